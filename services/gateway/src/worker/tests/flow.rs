//! From the approval to a key that works, and back.

use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::access::v1::{ApprovedItem, wanted_access::State};
use portico_sandbox::gateway::DashboardSettings;
use uuid::Uuid;

use super::world::{KEYS, World};
use crate::entitlement::{Command, Entitlement, KeyCommand, owner, place_in_vault};
use crate::gateways::{plan_policy_id, product_policy_id};

fn kinds() -> [Option<DashboardSettings>; 2] {
    let without_ids = DashboardSettings {
        explicit_policy_ids: false,
        ..DashboardSettings::default()
    };
    [None, Some(without_ids)]
}

#[tokio::test]
async fn an_approval_makes_a_key_that_its_revocation_deletes() {
    for kind in kinds() {
        let mut world = World::start_by(kind).await;
        let request = world.approve_keys(&["weather"]).await;
        world.until_reported(request, 1, "done").await;
        let key = world.key(request, "weather").await;
        for status in [200, 200, 200, 429] {
            assert_eq!(world.call("weather", &key).await, status);
        }
        assert_ne!(world.call("maps", &key).await, 200);
        assert_eq!(world.gateway.key_hashes().len(), 1);

        world.revoke(request).await;
        world.until_reported(request, 2, "done").await;
        assert_eq!(world.call("weather", &key).await, 403);
        assert!(world.gateway.key_hashes().is_empty());
        let entitlement = world.entitlement(request).await;
        assert!(entitlement.keys().values().all(|key| !key.may_exist()));
        assert!(!world.said().await.contains(&key));
        assert_eq!(
            world.subjects(),
            [
                "gateway_reported",
                "api_key_changed",
                "gateway_reported",
                "gateway_reported",
                "api_key_changed",
                "gateway_reported",
            ]
        );
        assert_eq!(
            world.reports(request),
            ["1 started", "1 done", "2 started", "2 done"]
        );
    }
}

#[tokio::test]
async fn a_request_for_two_products_has_two_keys_and_a_shared_plan_stays_for_others() {
    let mut world = World::start_by(None).await;
    let both = world.approve_keys(&["weather", "maps"]).await;
    let other = world.approve_keys(&["maps"]).await;
    for request in [both, other] {
        world.until_reported(request, 1, "done").await;
    }
    let weather = world.key(both, "weather").await;
    let maps = world.key(both, "maps").await;
    let others = world.key(other, "maps").await;
    assert_eq!(world.call("weather", &weather).await, 200);
    assert_ne!(world.call("maps", &weather).await, 200);
    assert_eq!(world.call("maps", &maps).await, 200);
    assert_eq!(world.gateway.key_hashes().len(), 3);

    world.revoke(both).await;
    world.until_reported(both, 2, "done").await;
    assert_eq!(world.call("maps", &others).await, 200);
    assert!(world.gateway.policy(&plan_policy_id("free")).is_some());
    assert!(
        world
            .gateway
            .policy(&product_policy_id("weather"))
            .is_none()
    );

    world.revoke(other).await;
    world.until_reported(other, 2, "done").await;
    assert!(world.gateway.policy(&plan_policy_id("free")).is_none());
}

#[tokio::test]
async fn a_replaced_key_is_deleted_when_the_new_one_is_there() {
    let mut world = World::start_by(None).await;
    let request = world.approve_keys(&["weather"]).await;
    world.until_reported(request, 1, "done").await;
    let old = world.key(request, "weather").await;
    let key_id = *world
        .entitlement(request)
        .await
        .keys()
        .keys()
        .next()
        .unwrap();
    let replace = Command::Key(KeyCommand::Replace { key_id });
    world.execute::<Entitlement>(request, &replace).await;
    let replaced = |entitlement: &Entitlement| {
        let key = &entitlement.keys()[&key_id];
        key.attempt == 2 && key.made().is_some() && key.old.is_none()
    };
    world.until(request, "replaced", replaced).await;
    let new = world.key(request, "weather").await;
    assert_ne!(old, new);
    assert_eq!(world.call("weather", &new).await, 200);
    assert_eq!(world.call("weather", &old).await, 403);
    assert_eq!(world.gateway.key_hashes().len(), 1);
    let place = place_in_vault(key_id, 1);
    let kept = world.vault.get(&owner(request), &place).await;
    assert!(kept.unwrap().is_none());
    assert_eq!(
        world.reports(request),
        ["1 started", "1 done"],
        "the request stands as it stood"
    );
    assert_equal_a_rebuild(&world.store).await;
}

#[tokio::test]
async fn a_suspension_deletes_the_key_and_its_end_makes_another() {
    let mut world = World::start_by(None).await;
    let request = world.approve_keys(&["weather"]).await;
    world.until_reported(request, 1, "done").await;
    let old = world.key(request, "weather").await;
    let gone = |entitlement: &Entitlement| entitlement.keys().values().all(|key| !key.may_exist());
    world.suspend_application(true).await;
    world.until(request, "suspended", gone).await;
    assert_eq!(world.call("weather", &old).await, 403);
    world.suspend_application(false).await;
    let ready = |entitlement: &Entitlement| entitlement.status() == "ready";
    world.until(request, "resumed", ready).await;
    let new = world.key(request, "weather").await;
    assert_eq!(world.call("weather", &new).await, 200);

    world.suspend(request).await;
    world.until_reported(request, 2, "done").await;
    assert!(gone(&world.entitlement(request).await));
    world.resume(request).await;
    world.until_reported(request, 3, "done").await;
    assert_eq!(world.gateway.key_hashes().len(), 1);
    let reports = world.reports(request);
    assert_eq!(
        reports,
        [
            "1 started",
            "1 done",
            "2 started",
            "2 done",
            "3 started",
            "3 done"
        ]
    );
    assert_equal_a_rebuild(&world.store).await;
}

#[tokio::test]
async fn a_key_follows_the_limits_of_its_plan() {
    let mut world = World::start_by(None).await;
    let plan = world.deps.clock.new_id().to_string();
    let mut item = world.item("weather");
    item.plan_id = plan.clone();
    let request = world.approve(KEYS, vec![item]).await;
    world.until_reported(request, 1, "done").await;
    world.change_plan(&plan, 2, 1).await;
    let follows = |entitlement: &Entitlement| {
        entitlement.items()[0].plan.version == 2 && entitlement.status() == "ready"
    };
    world.until(request, "up to date", follows).await;
    let key = world.key(request, "weather").await;
    assert_eq!(world.call("weather", &key).await, 200);
    assert_eq!(world.call("weather", &key).await, 429);
    assert_eq!(world.reports(request), ["1 started", "1 done"]);
}

#[tokio::test]
async fn a_product_that_loses_its_apis_loses_its_keys() {
    let mut world = World::start_by(None).await;
    let product = world.deps.clock.new_id().to_string();
    let mut item = world.item("weather");
    item.product_id = product.clone();
    let request = world.approve(KEYS, vec![item]).await;
    world.until_reported(request, 1, "done").await;
    let old = world.key(request, &product).await;
    world.change_product(&product, 2, &[]).await;
    world
        .until_reported(request, 1, "failed product_without_api")
        .await;
    assert_eq!(world.call("weather", &old).await, 403);
    assert!(world.gateway.key_hashes().is_empty());

    world.change_product(&product, 3, &["weather"]).await;
    let ready = |entitlement: &Entitlement| entitlement.status() == "ready";
    world.until(request, "served again", ready).await;
    let new = world.key(request, &product).await;
    assert_eq!(world.call("weather", &new).await, 200);
    world.until_last_reported(request, &["1 done"]).await;
}

/// The fault of one product takes nothing from another, and does not keep what that one gave up.
#[tokio::test]
async fn a_product_that_loses_its_apis_leaves_the_others_right() {
    let mut world = World::start_by(None).await;
    let (weather, maps) = (world.deps.clock.new_id(), world.deps.clock.new_id());
    let product = |id: Uuid, item: ApprovedItem| ApprovedItem {
        product_id: id.to_string(),
        ..item
    };
    let items = vec![
        product(weather, world.item("weather")),
        product(maps, world.item("maps")),
    ];
    let (weather, maps) = (weather.to_string(), maps.to_string());
    let request = world.approve(KEYS, items).await;
    world.until_reported(request, 1, "done").await;
    let [kept, lost] = [
        world.key(request, &weather).await,
        world.key(request, &maps).await,
    ];
    world.change_product(&maps, 2, &[]).await;
    world
        .until_reported(request, 1, "failed product_without_api")
        .await;
    assert_eq!(world.call("maps", &lost).await, 403);
    assert_eq!(world.call("weather", &kept).await, 200);

    world.change_product(&weather, 2, &["maps"]).await;
    let follows = |entitlement: &Entitlement| {
        let places = entitlement.places();
        let mut ids = places.iter().flat_map(|place| &place.api_ids);
        ids.any(|id| id == "maps") && entitlement.status() == "failed"
    };
    world.until(request, "another API", follows).await;
    assert_eq!(world.call("weather", &kept).await, 403);
    assert_eq!(world.call("maps", &kept).await, 200);
    assert_equal_a_rebuild(&world.store).await;
}

/// Rule 2: the approval that comes late has no effect.
#[tokio::test]
async fn a_revocation_that_comes_first_leaves_nothing() {
    let mut world = World::start_by(None).await;
    let items = vec![world.item("weather")];
    let request = world.submit(KEYS, items);
    let approval = world.next(request, State::Granted, |_| {});
    world.revoke(request).await;
    world.until_reported(request, 2, "never_created").await;
    world.tell("access.access_approved", &approval).await;
    // Handled after that one, so the approval has been.
    let other = world.approve_keys(&["maps"]).await;
    world.until_reported(other, 1, "done").await;
    assert!(!world.entitlement(request).await.is_wanted());
    assert_eq!(world.gateway.key_hashes().len(), 1);
}
