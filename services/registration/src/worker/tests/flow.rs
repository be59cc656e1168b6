//! Scopes grow and shrink; the last revocation deletes.

use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::access::v1 as access;
use portico_sandbox::identity_provider::Operation;
use prost::Message as _;

use super::world::{World, profile_of, set};
use crate::oauth_client::{Event, OauthClient, RegistrationEvent};

#[tokio::test]
async fn an_approval_ends_in_a_client_that_works() {
    let mut world = World::start().await;
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    let there = world.only_client();
    assert_eq!(client.live().unwrap().answer.client_id, there.client_id);
    assert_eq!(there.metadata.scopes, set(&["product_pay", "free_plan"]));
    assert_eq!(there.metadata.client_name.as_deref(), Some("Weather app"));
    world.until_outcome(request, "done 1").await;
    assert_eq!(world.outcomes(request), ["started 1", "done 1"]);
    let done = world.reports(request).pop().unwrap();
    assert_eq!(done.client_id, Some(there.client_id));
    assert_eq!(done.application_id, world.application_id.to_string());
    assert_eq!(done.identity_provider_name, "The provider");
    world.until_held(&["free_plan", "product_pay"]).await;
    assert_eq!(
        world.texts("SELECT status FROM oauth_clients").await,
        ["ready"]
    );
}

#[tokio::test]
async fn scopes_grow_and_shrink_and_the_last_revocation_deletes() {
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    let client_id = world.only_client().client_id;
    let second = world.approve("ship", "free").await;
    world.until_done(second).await;
    let all = set(&["product_pay", "product_ship", "free_plan"]);
    assert_eq!(world.only_client().metadata.scopes, all);
    assert_eq!(world.only_client().client_id, client_id);
    world.revoke(first).await;
    world.until_ended(first).await;
    assert_eq!(
        world.only_client().metadata.scopes,
        set(&["product_ship", "free_plan"])
    );
    world.revoke(second).await;
    let client = world.until_ended(second).await;
    assert_eq!(world.provider.client_count(), 0);
    assert!(client.live().is_none());
    // Nothing secret of it is left.
    world.until_secrets(0).await;
    assert_eq!(world.provider.requests(Operation::Register), 1);
    world.until_outcome(second, "done 2").await;
    let deleted = |request| world.reports(request).pop().unwrap().client_deleted;
    assert_eq!([deleted(first), deleted(second)], [false, true]);
    world.until_held(&[]).await;
    // A grant after that registers anew.
    let third = world.approve("pay", "gold").await;
    world.until_done(third).await;
    let there = world.only_client();
    assert_ne!(there.client_id, client_id);
    assert_eq!(there.metadata.scopes, set(&["product_pay", "gold_plan"]));
}

#[tokio::test]
async fn a_revocation_that_comes_first_leaves_the_approval_without_effect() {
    let mut world = World::start().await;
    let request = world.deps.clock.new_id();
    world.revoke(request).await;
    world.approve_as(request, "pay", "free").await;
    world.approve_as(request, "pay", "free").await;
    let client = world.client().await;
    assert!(client.ended.contains_key(&request) && client.grants.is_empty());
    world.until_outcome(request, "nothing_to_do 2").await;
    assert_eq!(world.reports(request).len(), 1);
    assert_eq!(world.provider.requests(Operation::Register), 0);
}

#[tokio::test]
async fn the_client_follows_its_application_in_any_order_of_messages() {
    let mut world = World::start().await;
    // Before there is a client, and so before the approval that has an older name but comes later.
    let request = world.deps.clock.new_id();
    let approval = world.approval(request, "pay", "free");
    world.rename("Storm app").await;
    let message = portico_bus::Message {
        id: world.deps.clock.new_id(),
        subject: "portico.access.access_approved".into(),
        payload: access::AccessApproved {
            wanted: Some(approval),
            approved_by: "admin".into(),
        }
        .encode_to_vec()
        .into(),
        headers: [("position".to_owned(), "0".to_owned())].into(),
    };
    world
        .deps
        .bus
        .publish(message)
        .await
        .unwrap()
        .await
        .unwrap();
    world.until_done(request).await;
    world
        .until("renamed", |c| {
            c.live()
                .is_some_and(|l| l.applied.profile == profile_of("Storm app"))
        })
        .await;
    world.rename("Calm app").await;
    world
        .until("renamed", |c| {
            c.live()
                .is_some_and(|l| l.applied.profile == profile_of("Calm app"))
        })
        .await;
    assert_eq!(
        world.only_client().metadata.client_name.as_deref(),
        Some("Calm app")
    );
}

#[tokio::test]
async fn two_applications_have_two_clients_and_orphans_of_the_second_would_be_powerless() {
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    world.application_id = world.deps.clock.new_id();
    let second = world.approve("pay", "free").await;
    world.until_done(second).await;
    assert_eq!(world.provider.client_count(), 2);
    // The provider is known to manage clients: registered without scopes, which came by an update.
    let intended = world
        .events()
        .await
        .into_iter()
        .filter_map(|event| match event {
            Event::Registration(RegistrationEvent::Intended(intended)) => {
                Some(intended.wanted.scopes.len())
            }
            _ => None,
        });
    assert_eq!(intended.collect::<Vec<_>>(), [2, 0]);
    assert_eq!(world.provider.requests(Operation::Update), 1);
    for client in world.provider.clients() {
        assert_eq!(client.metadata.scopes, set(&["product_pay", "free_plan"]));
    }
}

#[tokio::test]
async fn no_secret_is_in_the_database_or_in_a_message() {
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    let second = world.approve("ship", "free").await;
    world.until_done(second).await;
    world.until_outcome(second, "done 1").await;
    let there = world.only_client();
    let secrets = [
        there.client_secret.unwrap(),
        there.registration_access_token.unwrap(),
        super::world::TOKEN.to_owned(),
    ];
    let mut files = 0;
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        for secret in &secrets {
            assert!(
                !content
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes())
            );
        }
    }
    assert!(files >= 2, "the database and its log");
    for message in world.messages.lock().unwrap().iter() {
        let content = format!("{:?}", message.payload);
        assert!(
            secrets
                .iter()
                .all(|secret| !content.contains(secret.as_str()))
        );
    }
    // And yet it is there for who may have it.
    let client = world.client().await;
    let owner = portico_vault::Owner::new(crate::oauth_client::OWNER, world.id());
    let kept = world
        .vault
        .get(&owner, &client.live().unwrap().answer.secret_ref.unwrap())
        .await;
    assert_eq!(kept.unwrap().unwrap().expose(), secrets[0]);
}

#[tokio::test]
async fn a_rebuilt_view_equals_the_live_one() {
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    let second = world.approve("ship", "free").await;
    world.until_done(second).await;
    world.revoke(first).await;
    world.until_ended(first).await;
    let state: OauthClient = {
        let states = world.texts("SELECT state FROM oauth_clients").await;
        serde_json::from_str(&states[0]).unwrap()
    };
    assert_eq!(state, world.client().await);
    assert_equal_a_rebuild(&world.store).await;
}
