//! Lost answers, gateways that fail or refuse, and processes that end in the middle.

use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::access::v1::wanted_access::State;
use portico_sandbox::gateway::DashboardSettings;
use portico_vault::Secret;

use uuid::Uuid;

use super::world::{KEYS, World};
use crate::entitlement::{
    AccessCommand, Command, Credential, Entitlement, KeyCommand, KeyPlace, Wanted, WantedState,
    key_id, marker, owner, place_in_vault,
};
use crate::item::{Api, Item, Plan, Product};
use crate::known::Application;
use crate::worker::mapper::Mapper;

#[tokio::test]
async fn a_key_whose_answer_got_lost_is_deleted_and_made_anew() {
    for kind in [None, Some(DashboardSettings::default())] {
        let mut world = World::start_by(kind).await;
        world.gateway.lose_next_keys(2, 504);
        let request = world.approve_keys(&["weather"]).await;
        world.until_reported(request, 1, "done").await;
        assert_eq!(world.gateway.key_hashes().len(), 1, "no key is left over");
        let key = world.key(request, "weather").await;
        assert_eq!(world.call("weather", &key).await, 200);
        let entitlement = world.entitlement(request).await;
        assert_eq!(entitlement.keys().values().next().unwrap().attempt, 3);
    }
}

#[tokio::test]
async fn a_gateway_that_fails_is_tried_again() {
    let mut world = World::prepare(None).await;
    world.gateway.fail_next_control(3, 503);
    world.run().await;
    let request = world.approve_keys(&["weather"]).await;
    world.until_reported(request, 1, "done").await;
    let reports = world.reports(request);
    assert!(
        reports.contains(&"1 delayed gateway_unavailable".to_owned()),
        "{reports:?}"
    );
    let entitlement = world.entitlement(request).await;
    assert_eq!(entitlement.last_error(), None);
    assert_eq!(world.gateway.key_hashes().len(), 1);
}

#[tokio::test]
async fn what_the_gateway_refuses_is_parked_with_its_words_until_it_is_retried() {
    let mut world = World::prepare(None).await;
    world.gateway.fail_next_control(1, 403);
    world.run().await;
    let request = world.approve_keys(&["weather"]).await;
    world
        .until_reported(request, 1, "failed gateway_secret_refused")
        .await;
    let entitlement = world.entitlement(request).await;
    let reason = entitlement.last_error().unwrap();
    assert_eq!(reason.code, "gateway_secret_refused");
    assert_eq!(reason.message, "the double was told to fail");
    let named = world.reported().pop().unwrap().gateway_name;
    assert_eq!(named.as_deref(), Some("Tyk"));
    world.retry(request).await;
    world.until_reported(request, 2, "done").await;
    assert_eq!(world.gateway.key_hashes().len(), 1);
    assert_equal_a_rebuild(&world.store).await;
}

#[tokio::test]
async fn a_product_at_no_gateway_is_parked_by_name() {
    let mut world = World::start_by(None).await;
    let request = world.approve_keys(&["elsewhere"]).await;
    let failed = world.until(request, "parked", Entitlement::is_parked).await;
    assert_eq!(failed.failed.unwrap().code, "api_not_at_gateway");
}

#[tokio::test]
async fn a_deletion_is_repeated_until_it_succeeds_and_gone_is_done() {
    let mut world = World::start_by(None).await;
    let request = world.approve_keys(&["weather"]).await;
    world.until_reported(request, 1, "done").await;
    world.gateway.fail_next_control(2, 500);
    world.revoke(request).await;
    world.until_reported(request, 2, "done").await;
    assert!(world.gateway.key_hashes().is_empty());

    let request = world.approve_keys(&["weather"]).await;
    world.until_reported(request, 1, "done").await;
    let mapper = Mapper::new(&world.deps, &world.store, &world.vault);
    assert_eq!(mapper.drift(world.gateway_id).await.unwrap(), []);
    for hash in world.gateway.key_hashes() {
        assert!(world.gateway.remove_key(&hash));
    }
    let drift = mapper.drift(world.gateway_id).await.unwrap();
    assert_eq!(drift.len(), 1);
    assert_eq!(
        (drift[0].kind, drift[0].wanted.as_str()),
        ("key_missing", "an API key for WEATHER")
    );
    world.revoke(request).await;
    world.until_reported(request, 2, "done").await;
}

/// As a process leaves it that ends between the intent and its outcome.
async fn intended(world: &World, request: Uuid) -> Uuid {
    let id = key_id(request, "weather", world.gateway_id);
    let places = vec![KeyPlace {
        key_id: id,
        product_id: "weather".into(),
        gateway_id: world.gateway_id,
        api_ids: vec!["weather".into()],
    }];
    for command in [
        Command::Access(AccessCommand::Want(Box::new(wanted(world)))),
        Command::Key(KeyCommand::Place { places }),
        Command::Key(KeyCommand::Intend { key_id: id }),
    ] {
        world.execute::<Entitlement>(request, &command).await;
    }
    id
}

fn wanted(world: &World) -> Wanted {
    let product = Product {
        id: "weather".into(),
        name: "WEATHER".into(),
        apis: vec![Api {
            api_id: "weather".into(),
            ..Api::default()
        }],
        ..Product::default()
    };
    let plan = Plan {
        id: "free".into(),
        ..Plan::default()
    };
    Wanted {
        revision: 1,
        state: WantedState::Granted,
        credential: Credential::ApiKey,
        application_id: world.application_id,
        application: Application::default(),
        items: vec![Item { product, plan }],
    }
}

/// The same request, as the access-request service knows it.
fn submitted(world: &mut World) -> Uuid {
    let items = vec![world.item("weather")];
    world.submit(KEYS, items)
}

#[tokio::test]
async fn a_process_that_ends_after_the_call_leaves_no_key_behind() {
    let mut world = World::prepare(None).await;
    let request = submitted(&mut world);
    let id = intended(&world, request).await;
    let lost = world.gateway.add_key(serde_json::json!({
        "alias": marker(id, 1), "apply_policies": ["noop"],
    }));
    let foreign = world
        .gateway
        .add_key(serde_json::json!({"alias": "somebody's"}));
    world.run().await;
    world.until_reported(request, 1, "done").await;
    let hashes = world.gateway.key_hashes();
    assert!(hashes.contains(&foreign) && !hashes.contains(&lost));
    assert_eq!(hashes.len(), 2);
}

#[tokio::test]
async fn an_answer_that_was_kept_is_taken_up() {
    let mut world = World::prepare(None).await;
    let request = submitted(&mut world);
    let id = intended(&world, request).await;
    let hash = world.gateway.add_key(serde_json::json!({
        "alias": marker(id, 1), "apply_policies": ["noop"],
    }));
    let kept = serde_json::json!({"key": "the-key", "hash": hash, "headers": {}}).to_string();
    world
        .vault
        .put_at(place_in_vault(id, 1), &owner(request), &Secret::new(kept))
        .await
        .unwrap();
    world.run().await;
    world.until_reported(request, 1, "done").await;
    assert_eq!(world.gateway.key_hashes(), [hash]);
    assert_eq!(world.key(request, "weather").await, "the-key");
}

#[tokio::test]
async fn an_attempt_under_way_is_undone_by_a_revocation() {
    let mut world = World::prepare(None).await;
    let request = submitted(&mut world);
    let id = intended(&world, request).await;
    world.gateway.add_key(serde_json::json!({
        "alias": marker(id, 1), "apply_policies": ["noop"],
    }));
    world.run().await;
    // The first revision was the approval.
    world.next(request, State::Granted, |_| {});
    world.revoke(request).await;
    world.until_reported(request, 2, "done").await;
    assert!(world.gateway.key_hashes().is_empty());
    assert_equal_a_rebuild(&world.store).await;
}
