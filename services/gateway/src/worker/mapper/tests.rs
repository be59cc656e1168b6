//! Against the doubles of gateway and provider.

mod changes;
mod refusals;
pub(crate) mod world;

use portico_sandbox::gateway::seed;
use serde_json::Value;
use uuid::Uuid;

use crate::item::Limit;
use world::{ADMIN, Granted, World};

const BOTH: &str = "product_pay free_plan";

fn request(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn mapping_of(api: &Value) -> Vec<String> {
    let mapping = api["scopes"]["jwt"]["scope_to_policy"].as_object();
    mapping
        .into_iter()
        .flatten()
        .map(|(scope, _)| scope.clone())
        .collect()
}

#[tokio::test]
async fn a_grant_opens_the_api_and_its_end_closes_it() {
    let world = World::start().await;
    let gateway = world.add_gateway().await;
    let token = world.token_of_a_client(BOTH).await;
    assert_eq!(world.call("pay", &token).await, 403);

    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    let mapped = world.synchronise(request(1)).await.unwrap();
    assert_eq!(mapped.nothing, None);
    let line = "API pay: adds scope product_pay with policy portico-product-pay";
    assert!(
        mapped.changes.iter().any(|change| change == line),
        "{:?}",
        mapped.changes
    );
    assert_eq!(world.call("pay", &token).await, 200);
    let product_only = world.token_of_a_client("product_pay").await;
    assert_eq!(
        world.call("pay", &product_only).await,
        200,
        "by the default policy"
    );
    let plan_only = world.token_of_a_client("free_plan").await;
    assert_eq!(world.call("pay", &plan_only).await, 403);

    // Again: nothing changes, and nothing is written.
    let writes = world.writes();
    let again = world.synchronise(request(1)).await.unwrap();
    assert_eq!((again.changes, again.warnings), (vec![], vec![]));
    assert_eq!(world.writes(), writes);

    world.revoke(request(1)).await;
    world.synchronise(request(1)).await.unwrap();
    assert_eq!(world.call("pay", &token).await, 403);
    assert!(mapping_of(&world.gateway.api("pay").unwrap()).is_empty());
    assert_eq!(world.gateway.policy("portico-product-pay"), None);
    assert_eq!(world.gateway.policy("portico-plan-free"), None);
    let recorded = world.recorded(gateway, "pay").await;
    assert!(recorded.settled && recorded.owned.entries.is_empty());
}

#[tokio::test]
async fn what_somebody_else_needs_stays() {
    let world = World::start().await;
    world.add_gateway().await;
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    world
        .grant(request(2), &Granted::new("pay", "free", &["pay"]))
        .await;
    world
        .grant(request(3), &Granted::new("ship", "free", &["ship"]))
        .await;
    for number in 1..=3 {
        world.synchronise(request(number)).await.unwrap();
    }
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 200);
    assert_eq!(
        world
            .call("ship", &world.token("product_ship free_plan"))
            .await,
        200
    );

    world.revoke(request(1)).await;
    world.synchronise(request(1)).await.unwrap();
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 200);

    world.revoke(request(2)).await;
    world.synchronise(request(2)).await.unwrap();
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 403);
    assert_eq!(world.gateway.policy("portico-product-pay"), None);
    assert_eq!(
        world
            .call("ship", &world.token("product_ship free_plan"))
            .await,
        200,
        "the plan is shared"
    );
}

#[tokio::test]
async fn entries_of_others_survive_everything() {
    let world = World::start().await;
    world.add_gateway().await;
    let theirs = seed::connected(
        world.gateway.api("pay").unwrap(),
        &world.provider.jwks_url(),
        &[("theirs", "noop"), ("free_plan", "portico-plan-free")],
    );
    world.gateway.load(vec![theirs], vec![]).unwrap();
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    world.synchronise(request(1)).await.unwrap();
    assert_eq!(
        mapping_of(&world.gateway.api("pay").unwrap()),
        ["free_plan", "product_pay", "theirs"]
    );
    world.revoke(request(1)).await;
    world.synchronise(request(1)).await.unwrap();
    assert_eq!(
        mapping_of(&world.gateway.api("pay").unwrap()),
        ["free_plan", "theirs"]
    );
}

#[tokio::test]
async fn wherever_it_stops_doing_it_again_ends_the_same() {
    let undisturbed = World::start().await;
    undisturbed.add_gateway().await;
    undisturbed
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    undisturbed.synchronise(request(1)).await.unwrap();
    let calls = undisturbed.gateway.control_calls().len();
    undisturbed.revoke(request(1)).await;
    undisturbed.synchronise(request(1)).await.unwrap();
    let calls_of_revoking = undisturbed.gateway.control_calls().len() - calls;
    assert!(calls > 5 && calls_of_revoking > 5);

    for failing in 0..calls {
        let world = World::start().await;
        let gateway = world.add_gateway().await;
        world
            .grant(request(1), &Granted::new("pay", "free", &["pay"]))
            .await;
        world.fail_call(failing);
        let failure = world.synchronise(request(1)).await.unwrap_err();
        assert!(failure.retry, "call {failing}: {failure}");
        // A new process, which knows what was recorded.
        let world = world.restarted().await;
        world.synchronise(request(1)).await.unwrap();
        assert_eq!(
            world.call("pay", &world.token(BOTH)).await,
            200,
            "call {failing}"
        );
        assert!(world.recorded(gateway, "pay").await.settled);
        world.revoke(request(1)).await;
        world.synchronise(request(1)).await.unwrap();
        assert!(
            mapping_of(&world.gateway.api("pay").unwrap()).is_empty(),
            "call {failing}"
        );
        assert_eq!(
            world.gateway.policy("portico-plan-free"),
            None,
            "call {failing}"
        );
    }
    for failing in 0..calls_of_revoking {
        let world = World::start().await;
        world.add_gateway().await;
        world
            .grant(request(1), &Granted::new("pay", "free", &["pay"]))
            .await;
        world.synchronise(request(1)).await.unwrap();
        world.revoke(request(1)).await;
        world.fail_call(failing);
        let first = world.synchronise(request(1)).await;
        // Where only a policy is left behind, the access is gone all the same.
        assert!(
            first.is_err_and(|failure| failure.retry)
                || world.call("pay", &world.token(BOTH)).await == 403
        );
        let world = world.restarted().await;
        world.synchronise(request(1)).await.unwrap();
        assert!(
            mapping_of(&world.gateway.api("pay").unwrap()).is_empty(),
            "call {failing}"
        );
        assert_eq!(
            world.gateway.policy("portico-product-pay"),
            None,
            "call {failing}"
        );
    }
}

#[tokio::test]
async fn the_limits_of_the_plan_hold() {
    let world = World::start().await;
    world.add_gateway().await;
    let mut granted = Granted::new("pay", "free", &["pay"]);
    granted.rate = Some(Limit {
        requests: 2,
        seconds: 60,
    });
    world.grant(request(1), &granted).await;
    let mut granted = Granted::new("ship", "small", &["ship"]);
    granted.quota = Some(Limit {
        requests: 3,
        seconds: 3600,
    });
    world.grant(request(2), &granted).await;
    for number in [1, 2] {
        world.synchronise(request(number)).await.unwrap();
    }
    for expected in [200, 200, 429] {
        assert_eq!(world.call("pay", &world.token(BOTH)).await, expected);
    }
    for expected in [200, 200, 200, 403] {
        assert_eq!(
            world
                .call("ship", &world.token("product_ship small_plan"))
                .await,
            expected
        );
    }
}

#[tokio::test]
async fn many_at_once_do_not_undo_each_other() {
    let world = World::start().await;
    world.add_gateway().await;
    let other = world.other_mapper();
    let mut work = Vec::new();
    for number in 0..12_u128 {
        let api = if number % 2 == 0 { "pay" } else { "ship" };
        let granted = Granted::new(&format!("p{number}"), "free", &[api]);
        world.grant(request(number), &granted).await;
        let mapper = if number % 3 == 0 {
            &other
        } else {
            &world.mapper
        }
        .clone();
        let context = world.context();
        work.push(tokio::spawn(async move {
            mapper
                .synchronise(&[None].into(), request(number), &context)
                .await
        }));
    }
    for one in work {
        one.await.unwrap().unwrap();
    }
    for number in 0..12 {
        let api = if number % 2 == 0 { "pay" } else { "ship" };
        let token = world.token(&format!("product_p{number} free_plan"));
        assert_eq!(world.call(api, &token).await, 200, "product {number}");
    }
}

#[tokio::test]
async fn a_preview_says_what_would_change_and_changes_nothing() {
    let world = World::start().await;
    let granted = Granted::new("pay", "free", &["pay"]);
    let grants = [granted.grant(world.provider_id)];
    let lines = world.mapper.preview(&grants).await.unwrap();
    assert_eq!(lines, ["No gateway is configured: nothing is mapped."]);
    world.add_gateway().await;
    let lines = world.mapper.preview(&grants).await.unwrap();
    assert!(
        lines.contains(&"API pay: adds scope product_pay with policy portico-product-pay".into()),
        "{lines:?}"
    );
    assert!(lines.contains(&"API pay: adds scope free_plan with policy portico-plan-free".into()));
    assert_eq!(world.writes(), 0);
    assert_eq!(
        world.store.read(0, 100).await.unwrap().len(),
        2,
        "only provider and gateway were made"
    );
    let lines = world
        .mapper
        .preview(&[Granted::new("x", "y", &["nowhere"]).grant(world.provider_id)])
        .await;
    assert!(
        lines
            .unwrap()
            .iter()
            .any(|line| line.starts_with("Not possible: API nowhere"))
    );
    assert_eq!(ADMIN, world.context().metadata.actor);
}
