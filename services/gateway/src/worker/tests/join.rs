//! The rules of the join, at the gateway's half.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::access::v1::ApprovedItem;
use portico_proto::access::v1::wanted_access::State;
use portico_proto::gateway::v1::gateway_service_client::GatewayServiceClient;
use portico_proto::gateway::v1::{HeldScope, ListHeldScopesRequest, ReleaseHeldScopeRequest};
use portico_proto::registration::v1::IdentityProviderKeysChanged;
use portico_proto::{Error, Kind};
use portico_runtime::{Caller, Role, ServiceChannel, ServiceName};
use portico_sandbox::identity_provider as provider;
use uuid::Uuid;

use super::world::World;
use crate::entitlement::{
    AccessCommand, Command, Credential, Entitlement, Failing, Prospect, SCOPE_STILL_HELD,
    ScopesCommand, TryCommand, Wanted, WantedState,
};
use crate::gateway::{self, Gateway};
use crate::gateways::{plan_policy_id, product_policy_id};
use crate::item::{Api, Item, Plan, Product};
use crate::known::Application;

const BOTH: &str = "product_pay free_plan";

/// The product `ship`, which has taken over the scope of `pay`.
fn ship_with_the_scope_of_pay(world: &World) -> ApprovedItem {
    ApprovedItem {
        product_scopes: vec!["product_pay".into()],
        ..world.item("ship")
    }
}

async fn until_held(world: &World, request: Uuid) {
    world
        .until_reported(request, 1, "delayed scope_still_held")
        .await;
}

/// Rules 3 and 4: from the approval to a token that opens the API, and back.
#[tokio::test]
async fn an_approval_opens_the_api_and_its_revocation_closes_it() {
    let mut world = World::start().await;
    let request = world.approve_product("pay").await;
    world.until_reported(request, 1, "done").await;
    for status in [200, 403] {
        assert_eq!(world.call_with("pay", BOTH).await, status);
        let calls = world.gateway.control_calls().len();
        if status == 200 {
            world.retry(request).await;
            world.until_reported(request, 2, "done").await;
            assert_eq!(
                world.gateway.control_calls().len(),
                calls,
                "nobody is called"
            );
            world.revoke(request).await;
            world.until_reported(request, 3, "done").await;
        }
    }
    assert_eq!(world.reports(request), ["1 done", "2 done", "3 done"]);
    let left = [product_policy_id("pay"), plan_policy_id("free")];
    assert!(left.iter().all(|id| world.gateway.policy(id).is_none()));
}

#[tokio::test]
async fn a_suspension_closes_the_api_until_it_is_resumed() {
    let mut world = World::start().await;
    let request = world.approve_product("pay").await;
    world.until_reported(request, 1, "done").await;
    world.suspend(request).await;
    world.until_reported(request, 2, "done").await;
    assert_eq!(world.call_with("pay", BOTH).await, 403);
    world.resume(request).await;
    world.until_reported(request, 3, "done").await;
    assert_eq!(world.call_with("pay", BOTH).await, 200);
}

/// Rule 7: nothing is left behind by an approval that was under way.
#[tokio::test]
async fn a_revocation_overtakes_an_approval_under_way() {
    let mut world = World::prepare(None).await;
    world.gateway.fail_next_control(3, 503);
    world.run().await;
    world.announce_provider(1).await;
    let request = world.approve_product("pay").await;
    world.revoke(request).await;
    world
        .until(request, "gone", |entitlement| {
            entitlement.status() == "deleted"
        })
        .await;
    world
        .until_last_reported(request, &["2 done", "2 never_created"])
        .await;
    assert_eq!(world.call_with("pay", BOTH).await, 403);
    assert!(world.gateway.policy(&product_policy_id("pay")).is_none());
}

/// Rule 8: a scope that a product gave up goes to another one only when no client holds it from the former.
#[tokio::test]
async fn a_scope_moves_to_another_product_when_nobody_holds_it() {
    let mut world = World::start().await;
    let former = world.approve_product("pay").await;
    world.until_reported(former, 1, "done").await;
    let scopes = ["product_pay", "free_plan"];
    world.hold(&scopes, &[(former, 1)]).await;
    let item = ship_with_the_scope_of_pay(&world);
    let holder = world.application_id;
    world.application_id = world.deps.clock.new_id();
    let next = world.approve_items(vec![item]).await;
    until_held(&world, next).await;

    // `pay` gives the scope up: the gateway does not map it for `pay` any more, and not for `ship` either.
    world
        .raise(former, State::Granted, "access_scopes_changed", |wanted| {
            wanted.items[0].product_scopes = vec!["product_other".into()];
        })
        .await;
    world.until_reported(former, 2, "done").await;
    assert_eq!(world.call_with("pay", BOTH).await, 403);
    assert_eq!(world.call_with("ship", BOTH).await, 403);
    world.application_id = holder;
    world.hold(&scopes, &[(former, 1)]).await;
    world.hold(&scopes, &[(former, 2)]).await;
    let waiting = world.entitlement(next).await;
    assert_eq!(waiting.last_error().unwrap().code, SCOPE_STILL_HELD);
    assert!(waiting.last_error().unwrap().message.contains("PAY"));

    let scopes = ["product_other", "free_plan"];
    world.hold(&scopes, &[(former, 2)]).await;
    world.until_reported(next, 1, "done").await;
    assert_eq!(world.call_with("ship", BOTH).await, 200);
    assert_eq!(world.call_with("pay", BOTH).await, 403);
    assert_eq!(world.call_with("pay", "product_other free_plan").await, 200);
    assert_equal_a_rebuild(&world.store).await;
}

/// Rule 8: the client of the same application holds the scope for the new product, by right.
#[tokio::test]
async fn an_application_that_is_granted_both_products_does_not_wait_for_itself() {
    let mut world = World::start().await;
    let former = world.approve_product("pay").await;
    world.until_reported(former, 1, "done").await;
    let item = ship_with_the_scope_of_pay(&world);
    let next = world.approve_items(vec![item]).await;
    until_held(&world, next).await;
    world.revoke(former).await;
    world.until_reported(former, 2, "done").await;
    let scopes = ["product_pay", "free_plan"];
    world.hold(&scopes, &[(former, 2), (next, 1)]).await;
    world.until_reported(next, 1, "done").await;
    assert_eq!(world.call_with("ship", BOTH).await, 200);
    assert_equal_a_rebuild(&world.store).await;
}

/// Rule 8: an admin sees who waits for whom, and may release what is only held.
#[tokio::test]
async fn an_admin_may_release_a_held_scope() {
    let mut world = World::start().await;
    world.provide(axum::Router::new());
    let pay = ApprovedItem {
        product_id: world.deps.clock.new_id().to_string(),
        ..world.item("pay")
    };
    let former = world.approve_items(vec![pay]).await;
    world.until_reported(former, 1, "done").await;
    let item = ship_with_the_scope_of_pay(&world);
    let next = world.approve_items(vec![item]).await;
    until_held(&world, next).await;
    let held = held_scopes(&world).await;
    assert_eq!(held.len(), 1);
    let (waiting, holder) = (&held[0].product_name, &held[0].holder_product_name);
    assert_eq!((waiting.as_str(), holder.as_str()), ("SHIP", "PAY"));
    assert_eq!(held[0].application_ids, [world.application_id.to_string()]);

    let refused = release(&world, &held[0], Role::Admin).await.unwrap_err();
    assert_eq!(refused.code, "scope_still_granted");
    world.revoke(former).await;
    world.until_reported(former, 2, "done").await;
    let refused = release(&world, &held[0], Role::Developer).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Forbidden);
    for (scope, holder, code) in [
        ("", &held[0].holder_product_id, "scope_missing"),
        ("product_pay", &"pay".to_owned(), "id_invalid"),
        ("other", &held[0].holder_product_id, "not_found"),
        ("product_pay", &Uuid::nil().to_string(), "not_found"),
    ] {
        let other = HeldScope {
            scope: scope.to_owned(),
            holder_product_id: holder.clone(),
            ..held[0].clone()
        };
        let refused = release(&world, &other, Role::Admin).await.unwrap_err();
        assert_eq!(refused.code, code);
    }
    release(&world, &held[0], Role::Admin).await.unwrap();
    world.until_reported(next, 1, "done").await;
    assert_eq!(world.call_with("ship", BOTH).await, 200);
    assert_eq!(held_scopes(&world).await, []);
    let again = release(&world, &held[0], Role::Admin).await.unwrap_err();
    assert_eq!(again.kind, Kind::NotFound);
    assert_equal_a_rebuild(&world.store).await;
}

/// Nothing is half done: where one request with the scope is granted, no other one's is released.
#[tokio::test]
async fn a_scope_is_released_of_all_or_of_none() {
    let mut world = World::start().await;
    world.provide(axum::Router::new());
    let pay = ApprovedItem {
        product_id: world.deps.clock.new_id().to_string(),
        ..world.item("pay")
    };
    let gone = world.approve_items(vec![pay.clone()]).await;
    world.until_reported(gone, 1, "done").await;
    world.revoke(gone).await;
    world.until_reported(gone, 2, "done").await;
    let granted = world.approve_items(vec![pay]).await;
    world.until_reported(granted, 1, "done").await;
    let item = ship_with_the_scope_of_pay(&world);
    let next = world.approve_items(vec![item]).await;
    until_held(&world, next).await;
    let held = held_scopes(&world).await;
    let refused = release(&world, &held[0], Role::Admin).await.unwrap_err();
    assert_eq!(refused.code, "scope_still_granted");
    let claims = world.entitlement(gone).await.claims;
    assert!(claims.iter().any(|claim| claim.of.scope == "product_pay"));
}

/// Rule 8: a process may die when a scope is free, and before those who wait for it are told.
#[tokio::test]
async fn who_waits_for_a_scope_that_is_free_is_told_so_again() {
    let mut world = World::prepare(None).await;
    let (former, next) = (world.deps.clock.new_id(), world.deps.clock.new_id());
    let failing = Failing {
        code: SCOPE_STILL_HELD.into(),
        reason: String::new(),
        gateway_id: None,
        undone: None,
        news: 1,
    };
    let waits = TryCommand::Delay {
        failing,
        next_try_at: world.deps.clock.now() + SignedDuration::from_hours(1),
        prospect: Prospect::Waits,
    };
    let free = ScopesCommand::Free {
        answered: 2,
        held: BTreeSet::new(),
    };
    for (request, command) in [
        (former, want(&world, 1, WantedState::Granted, "pay")),
        (next, want(&world, 1, WantedState::Granted, "ship")),
        (next, Command::Try(waits)),
        (former, want(&world, 2, WantedState::Revoked, "pay")),
        (former, Command::Scopes(free)),
    ] {
        world.execute::<Entitlement>(request, &command).await;
    }
    world.run().await;
    world.announce_provider(1).await;
    world.hold(&[], &[(former, 2)]).await;
    world.until_reported(next, 1, "done").await;
    assert_eq!(world.call_with("ship", BOTH).await, 200);
    assert_equal_a_rebuild(&world.store).await;
}

/// Products that want the same scope.
fn want(world: &World, revision: u64, state: WantedState, product: &str) -> Command {
    let product = Product {
        id: product.into(),
        scopes: ["product_pay".to_owned()].into(),
        apis: vec![Api {
            api_id: product.into(),
            ..Api::default()
        }],
        ..Product::default()
    };
    let plan = Plan {
        id: "free".into(),
        scopes: ["free_plan".to_owned()].into(),
        ..Plan::default()
    };
    Command::Access(AccessCommand::Want(Box::new(Wanted {
        revision,
        state,
        credential: Credential::OauthClient {
            identity_provider_id: world.provider_id,
        },
        application_id: world.application_id,
        application: Application::default(),
        items: vec![Item { product, plan }],
    })))
}

/// Whoever was answered that there is no gateway is served by the first one.
#[tokio::test]
async fn a_gateway_that_is_added_later_serves_those_who_are_there() {
    let mut world = World::prepare(None).await;
    let delete = gateway::Command::Delete { grants: 0 };
    world.execute::<Gateway>(world.gateway_id, &delete).await;
    world.run().await;
    world.announce_provider(1).await;
    let client = world.approve_product("pay").await;
    let keys = world.approve_keys(&["weather"]).await;
    world.until_reported(client, 1, "no_gateway").await;
    world
        .until_reported(keys, 1, "failed gateway_missing")
        .await;
    let secret = world.gateway.secret().to_owned();
    world.add_gateway("tyk", &secret).await;
    for request in [client, keys] {
        world.until_reported(request, 1, "done").await;
    }
    assert_eq!(world.call_with("pay", BOTH).await, 200);
    assert_eq!(world.gateway.key_hashes().len(), 1);
}

async fn held_scopes(world: &World) -> Vec<HeldScope> {
    let message = ListHeldScopesRequest::default();
    let request = world.deps.identity.request(&user(Role::Admin), message);
    let listed = service(world).list_held_scopes(request).await.unwrap();
    listed.into_inner().held_scopes
}

async fn release(world: &World, held: &HeldScope, role: Role) -> Result<(), Error> {
    let message = ReleaseHeldScopeRequest {
        identity_provider_id: held.identity_provider_id.clone(),
        scope: held.scope.clone(),
        holder_product_id: held.holder_product_id.clone(),
    };
    let request = world.deps.identity.request(&user(role), message);
    service(world).release_held_scope(request).await?;
    Ok(())
}

fn user(role: Role) -> Caller {
    let id = Uuid::from_u128(3);
    Caller::User {
        id,
        role,
        let_in: false,
    }
}

fn service(world: &World) -> GatewayServiceClient<ServiceChannel> {
    GatewayServiceClient::new(world.deps.channels.to(ServiceName::Gateway))
}

/// Rule 9: facts that come before what they are about are kept, whatever the order.
#[tokio::test]
async fn facts_may_come_before_what_they_are_about() {
    let mut world = World::start_by(None).await;
    let plan = world.deps.clock.new_id().to_string();
    let item = ApprovedItem {
        plan_id: plan.clone(),
        ..world.item("pay")
    };
    world.change_plan(&plan, 2, 1).await;
    world.suspend_application(true).await;
    world.suspend_application(false).await;
    let request = world.approve_items(vec![item]).await;
    world
        .until_reported(request, 1, "delayed identity_provider_unknown")
        .await;
    world.announce_provider(1).await;
    world.until_reported(request, 1, "done").await;
    assert_eq!(world.call_with("pay", BOTH).await, 200);
    let policy = world.gateway.policy(&plan_policy_id(&plan)).unwrap();
    assert_eq!(policy["rate"], 1, "the newest plan");

    // What the client holds may be said before the revocation comes here.
    world.hold(&[], &[(request, 2)]).await;
    world.revoke(request).await;
    world.until_reported(request, 2, "done").await;
    world
        .until(request, "free", |entitlement| entitlement.claims.is_empty())
        .await;
}

/// Rule 10: gateways fetch the keys of a provider anew when registration says that they have changed.
#[tokio::test]
async fn gateways_follow_the_keys_of_a_provider() {
    let mut world = World::start().await;
    let request = world.approve_product("pay").await;
    world.until_reported(request, 1, "done").await;
    assert_eq!(world.call_with("pay", BOTH).await, 200);
    let listen = world.provider.address();
    world.provider.stop().await;
    let settings = provider::Settings {
        listen,
        ..provider::Settings::default()
    };
    world.provider = provider::start(settings).await.unwrap();
    assert_eq!(world.call_with("pay", BOTH).await, 403, "kept keys");
    world.gateway.fail_next_control(1, 503);
    let changed = IdentityProviderKeysChanged {
        identity_provider_id: world.provider_id.to_string(),
    };
    world
        .tell("registration.identity_provider_keys_changed", &changed)
        .await;
    until_called(&world, 200).await;

    world.provider.stop().await;
    let moved = provider::start(provider::Settings::default()).await;
    world.provider = moved.unwrap();
    assert_eq!(world.call_with("pay", BOTH).await, 403);
    world.announce_provider(2).await;
    until_called(&world, 200).await;
    assert_eq!(world.reports(request), ["1 done"]);
}

async fn until_called(world: &World, status: u16) {
    let wait = async {
        while world.call_with("pay", BOTH).await != status {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(super::world::PATIENCE, wait)
        .await
        .expect("the gateway follows");
}

/// Rule 11: a mapping entry goes only when no live grant needs it.
#[tokio::test]
async fn what_another_request_needs_stays_mapped() {
    let mut world = World::start().await;
    let first = world.approve_product("pay").await;
    let second = world.approve_product("pay").await;
    for request in [first, second] {
        world.until_reported(request, 1, "done").await;
    }
    world.revoke(first).await;
    world.until_reported(first, 2, "done").await;
    assert_eq!(world.call_with("pay", BOTH).await, 200);
    world.revoke(second).await;
    world.until_reported(second, 2, "done").await;
    assert_eq!(world.call_with("pay", BOTH).await, 403);
}

/// Limits, APIs and policies are followed without a revision, and said only where it does not go well.
#[tokio::test]
async fn the_limits_of_a_plan_are_followed_without_a_revision() {
    let mut world = World::start().await;
    let plan = world.deps.clock.new_id().to_string();
    let item = ApprovedItem {
        plan_id: plan.clone(),
        ..world.item("pay")
    };
    let request = world.approve_items(vec![item]).await;
    world.until_reported(request, 1, "done").await;
    let rate =
        |world: &World| world.gateway.policy(&plan_policy_id(&plan)).unwrap()["rate"].clone();
    assert_eq!(rate(&world), 3);
    world.change_plan(&plan, 2, 7).await;
    let follows = |version| {
        move |entitlement: &crate::entitlement::Entitlement| {
            entitlement.items()[0].plan.version == version && entitlement.status() == "ready"
        }
    };
    world.until(request, "followed", follows(2)).await;
    assert_eq!(rate(&world), 7);
    assert_eq!(world.reports(request), ["1 done"]);

    world.gateway.fail_next_control(1, 503);
    world.change_plan(&plan, 3, 9).await;
    world.until(request, "followed", follows(3)).await;
    assert_eq!(rate(&world), 9);
    world
        .until_reported(request, 1, "delayed gateway_unavailable")
        .await;
    world.until_last_reported(request, &["1 done"]).await;
}
