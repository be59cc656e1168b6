//! Lifecycle of a registered client, at the sandbox's provider.

use std::time::Duration;

use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::registration::v1::{self as public, client_changed::Change};
use portico_sandbox::identity_provider::{Answer, Fault, Operation};
use portico_vault::Secret;
use prost::Message as _;

use super::world::{PATIENCE, World, set};
use crate::client_type::{self, ClientType};
use crate::oauth_client::{
    Command, FoundClient, OauthClient, OrphanCommand, OrphanReason, Resolution, Resolved,
};
use crate::worker::{ClaimedClient, DriftResult, OrphanAction};

fn changes(world: &World) -> Vec<Change> {
    let messages = world.public("client_changed");
    let decode = |message: &portico_bus::Message| {
        public::ClientChanged::decode(message.payload.clone())
            .unwrap()
            .change()
    };
    messages.iter().map(decode).collect()
}

fn is_ready(client: &OauthClient) -> bool {
    client.status() == "ready"
}

fn is_suspended(client: &OauthClient) -> bool {
    client.status() == "suspended"
}

#[tokio::test]
async fn a_suspended_access_has_no_scopes_until_it_is_resumed() {
    let mut world = World::start().await;
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    let before = world.only_client();
    world.suspend(request).await;
    world.until("suspended", is_suspended).await;
    assert_eq!(world.only_client().metadata.scopes, set(&[]));
    world.until_outcome(request, "done 2").await;
    world.until_held(&[]).await;
    world.resume(request).await;
    world.until_done(request).await;
    let after = world.only_client();
    assert_eq!(after.client_id, before.client_id);
    assert_eq!(after.metadata.scopes, set(&["product_pay", "free_plan"]));
    world.until_public("client_changed", 2).await;
    assert_eq!(changes(&world), [Change::Suspended, Change::Resumed]);
    world.until_outcome(request, "done 3").await;
}

#[tokio::test]
async fn a_suspended_application_waits_and_loses_nothing() {
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    world.suspend_application(true).await;
    world.until("suspended", is_suspended).await;
    let second = world.approve("ship", "free").await;
    let second = move |client: &OauthClient| client.grants.contains_key(&second);
    world.until("granted", second).await;
    // An approval brings the application as it is: here not suspended.
    world.until("ready", is_ready).await;
    assert_eq!(
        world.only_client().metadata.scopes,
        set(&["product_pay", "product_ship", "free_plan"])
    );
}

#[tokio::test]
async fn a_changed_client_type_reaches_its_clients() {
    let mut world = World::start().await;
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    let before = world
        .store
        .load::<ClientType>(world.client_type_id)
        .await
        .unwrap()
        .state;
    let mut definition = before.definition.unwrap();
    definition.grant_types.insert("refresh_token".into());
    let command = client_type::Command::Change { definition };
    world
        .execute::<ClientType>(world.client_type_id, &command)
        .await;
    let updated = |client: &OauthClient| {
        let live = client.live();
        is_ready(client)
            && live.is_some_and(|live| {
                let grants = live.answer.granted.list("grant_types");
                grants.is_some_and(|grants| grants.contains("refresh_token"))
            })
    };
    world.until("updated", updated).await;
}

async fn resolve(
    world: &World,
    marker: &str,
    action: OrphanAction,
    claimed: &ClaimedClient,
) -> Result<(), portico_proto::Error> {
    let context = world.context();
    let worker = world.worker();
    let done = worker.resolve_orphan(world.id(), marker, action, claimed, &context);
    done.await.unwrap()
}

#[tokio::test]
async fn a_client_that_is_in_use_is_no_orphan_whoever_says_so() {
    let mut world = World::start().await;
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    let in_use = world.only_client();
    // Listed before, and in use again; and listed for another application, that says it is this one.
    let find = |marker: &str, client_id: &str| {
        let found = FoundClient {
            marker: marker.to_owned(),
            client_id: client_id.to_owned(),
            rat_ref: None,
            uri: None,
        };
        Command::Orphan(OrphanCommand::Find(found, set(&[])))
    };
    let own = find("old", &in_use.client_id);
    world.execute::<OauthClient>(world.id(), &own).await;
    let claimed = ClaimedClient {
        token: in_use.registration_access_token.clone().map(Secret::new),
        ..ClaimedClient::default()
    };
    let done = resolve(&world, "old", OrphanAction::Delete, &claimed).await;
    assert_eq!(done.unwrap_err().code, "client_in_use");
    world.application_id = world.deps.clock.new_id();
    let other = world.approve("ship", "free").await;
    world.until_done(other).await;
    let anothers = find("anothers", &in_use.client_id);
    world.execute::<OauthClient>(world.id(), &anothers).await;
    let done = resolve(&world, "anothers", OrphanAction::Delete, &claimed).await;
    assert_eq!(done.unwrap_err().code, "client_in_use");
    let mistaken = ClaimedClient {
        client_id: "another".to_owned(),
        ..claimed
    };
    let done = resolve(&world, "anothers", OrphanAction::Delete, &mistaken).await;
    assert_eq!(done.unwrap_err().code, "orphan_not_ours");
    assert_eq!(world.provider.client_count(), 2);
}

#[tokio::test]
async fn a_client_that_the_provider_keeps_has_no_power_and_is_listed() {
    let mut world = World::start().await;
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    let refusal = Fault::Refuse(Answer::status(405));
    world.provider.fail_next(Operation::Delete, 1, refusal);
    world.revoke(request).await;
    let client = world.until_ended(request).await;
    assert_eq!(client.live(), None);
    let there = world.only_client();
    assert_eq!(there.metadata.scopes, set(&[]));
    let (marker, orphan) = client.orphans.iter().next().unwrap();
    assert_eq!(orphan.reason, OrphanReason::DeleteRefused);
    assert_eq!(orphan.client_id, there.client_id);
    let listed = world
        .texts("SELECT marker FROM orphans WHERE status = 'open' AND manageable = 1")
        .await;
    assert_eq!(listed, [marker.as_str()]);
    // Its provider deletes now; what is needed for it was kept.
    let nothing = ClaimedClient::default();
    let done = resolve(&world, marker, OrphanAction::Delete, &nothing).await;
    assert_eq!(done, Ok(()));
    assert_eq!(world.provider.client_count(), 0);
    let client = world.client().await;
    assert_eq!(client.orphans[marker].resolution, Some(Resolution::Deleted));
    assert_equal_a_rebuild(&world.store).await;
}

#[tokio::test]
async fn an_orphan_that_is_not_ours_is_not_touched() {
    let mut world = World::start().await;
    // Registered, and nobody hears of it; until the request is parked.
    world
        .provider
        .fail_next(Operation::Register, 3, Fault::CommitThenClose);
    let request = world.approve("pay", "free").await;
    let parked = move |client: &OauthClient| {
        let grant = client.grants.get(&request);
        grant.is_some_and(|grant| grant.failure().is_some())
    };
    let client = world.until("parked", parked).await;
    assert_eq!(client.orphans.len(), 3);
    let orphans = world.provider.clients();
    assert_eq!(orphans.len(), 3);
    let foreign = world.register_by_hand("Somebody else's").await;
    let (marker, _) = client.orphans.iter().next().unwrap();
    let found = ClaimedClient {
        client_id: foreign.0.clone(),
        token: Some(Secret::new(foreign.1)),
        uri: Some(foreign.2.parse().unwrap()),
    };
    let done = resolve(&world, marker, OrphanAction::Delete, &found).await;
    assert_eq!(done.unwrap_err().code, "orphan_not_ours");
    assert_eq!(world.provider.client_count(), 4);
    // Without saying which it is, nothing can be found at this kind of provider.
    let nothing = ClaimedClient::default();
    let done = resolve(&world, marker, OrphanAction::Adopt, &nothing).await;
    assert_eq!(done.unwrap_err().code, "client_id_missing");
    let context = world.context();
    let command = Command::Orphan(OrphanCommand::Resolve(Resolved {
        marker: marker.clone(),
        how: Resolution::Dismissed,
        note: None,
    }));
    world
        .store
        .execute::<OauthClient>(world.id(), &command, &context)
        .await
        .unwrap();
    let open = world
        .texts("SELECT marker FROM orphans WHERE status = 'open'")
        .await;
    assert_eq!(open.len(), 2);
    assert_equal_a_rebuild(&world.store).await;
}

/// A page that is left before it is shown, at a provider that gives a new token with every read.
#[tokio::test]
async fn a_look_that_nobody_waits_for_any_more_loses_no_token_and_blocks_nobody() {
    let mut world = World::start().await;
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    world
        .provider
        .behave(|behaviour| behaviour.rotate_on_read = true);
    let late = Fault::CommitThenDelay(Duration::from_millis(300));
    world.provider.fail_next(Operation::Read, 1, late);
    let worker = world.worker();
    let asked = async {
        while world.provider.requests(Operation::Read) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        look = worker.compare(world.id()) => panic!("{look:?}"),
        () = asked => {}
    }
    let look = async {
        loop {
            match worker.compare(world.id()).await.unwrap() {
                DriftResult::Busy => tokio::time::sleep(Duration::from_millis(5)).await,
                look => return look,
            }
        }
    };
    let look = tokio::time::timeout(PATIENCE, look).await;
    assert_eq!(
        look.expect("the client is free again"),
        DriftResult::Unchanged
    );
}
