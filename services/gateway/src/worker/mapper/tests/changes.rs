//! What changes at providers, products and gateways after access was granted.

use portico_sandbox::gateway::seed;
use portico_sandbox::identity_provider as provider;
use serde_json::json;
use uuid::Uuid;

use super::world::{Granted, World};
use super::{BOTH, mapping_of, request};
use crate::gateways::NO_OPERATION;

async fn follow(world: &World, gateway: Uuid) {
    let context = world.context();
    let provider = world.provider_id;
    let followed = world.mapper.follow_provider(gateway, provider, &context);
    followed.await.unwrap();
}

/// Rule 10: a gateway would refuse what a new key signed for minutes.
#[tokio::test]
async fn new_keys_of_a_provider_are_fetched_at_once() {
    let mut world = World::start().await;
    let gateway = world.add_gateway().await;
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    world.synchronise(request(1)).await.unwrap();
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 200);

    // The same provider, with another key.
    let listen = world.provider.address();
    world.provider.stop().await;
    let settings = provider::Settings {
        listen,
        ..provider::Settings::default()
    };
    world.provider = provider::start(settings).await.unwrap();
    assert_eq!(
        world.call("pay", &world.token(BOTH)).await,
        403,
        "kept keys"
    );
    follow(&world, gateway).await;
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 200);
}

#[tokio::test]
async fn keys_that_moved_are_followed() {
    let mut world = World::start().await;
    let gateway = world.add_gateway().await;
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    world.synchronise(request(1)).await.unwrap();
    world.provider = provider::start(provider::Settings::default())
        .await
        .unwrap();
    world.move_provider(&world.provider.url()).await;
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 403);
    follow(&world, gateway).await;
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 200);
    let recorded = world.recorded(gateway, "pay").await;
    assert!(
        recorded
            .owned
            .jwks_uris
            .contains(&world.provider.jwks_url())
    );
}

/// It is not done as long as the scope may open the API that the product has no more.
#[tokio::test]
async fn an_api_that_a_product_loses_is_closed_before_it_is_done() {
    let lose = |world: World, failing: Option<usize>| async move {
        world.add_gateway().await;
        let granted = Granted::new("pay", "free", &["pay", "ship"]);
        world.grant(request(1), &granted).await;
        world.synchronise(request(1)).await.unwrap();
        let mut product = Granted::new("pay", "free", &["ship"]).item().product;
        product.version = 2;
        world.follow(request(1), product).await;
        let calls = world.gateway.control_calls().len();
        if let Some(failing) = failing {
            world.fail_call(failing);
        }
        let done = world.synchronise(request(1)).await;
        let calls = world.gateway.control_calls().len() - calls;
        let left = mapping_of(&world.gateway.api("pay").unwrap());
        (calls, done, left)
    };
    let (calls, done, left) = lose(World::start().await, None).await;
    assert_eq!(done.map(|_| left), Ok(Vec::new()));
    assert!(calls > 3, "{calls}");
    for failing in 0..calls {
        let (_, done, left) = lose(World::start().await, Some(failing)).await;
        assert!(done.is_err() || left.is_empty(), "call {failing}: {left:?}");
    }
}

#[tokio::test]
async fn a_policy_that_an_admin_named_and_that_is_gone_stops_only_its_own_product() {
    let world = World::start().await;
    let gateway = world.add_gateway().await;
    let theirs = seed::product_policy("theirs", "Theirs", &[("pay", "pay")]);
    world.gateway.load(vec![], vec![theirs]).unwrap();
    let mut named = Granted::new("ship", "free", &["pay"]);
    named.product_policy = Some("theirs".into());
    world.grant(request(1), &named).await;
    world.synchronise(request(1)).await.unwrap();
    let token = world.token("product_ship free_plan");
    assert_eq!(world.call("pay", &token).await, 200);

    world.gateway.remove_policy("theirs").unwrap();
    world
        .grant(request(2), &Granted::new("pay", "free", &["pay"]))
        .await;
    world.synchronise(request(2)).await.unwrap();
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 200);
    assert_eq!(
        mapping_of(&world.gateway.api("pay").unwrap()),
        ["free_plan", "product_pay"],
        "nothing leads to what is gone"
    );
    let failure = world.synchronise(request(1)).await.unwrap_err();
    assert_eq!(
        (failure.retry, failure.code.as_str()),
        (false, "policy_not_at_gateway")
    );
    assert!(failure.reason.contains("theirs"), "{failure}");
    let drift = world.mapper.drift(gateway).await.unwrap();
    let named: Vec<_> = drift
        .iter()
        .map(|one| (one.kind, one.subject.as_str(), one.repairable))
        .collect();
    assert!(
        named.contains(&("policy_missing", "theirs", false)),
        "{named:?}"
    );

    let theirs = seed::product_policy("theirs", "Theirs", &[("pay", "pay")]);
    world.gateway.load(vec![], vec![theirs.clone()]).unwrap();
    world.synchronise(request(1)).await.unwrap();
    assert_eq!(world.call("pay", &token).await, 200);
    assert_eq!(
        world.gateway.policy("theirs"),
        Some(theirs),
        "used as it is"
    );
}

#[tokio::test]
async fn the_default_policy_is_made_compared_and_repaired() {
    let mut world = World::start().await;
    world.default_policy_id = NO_OPERATION;
    let gateway = world.add_gateway().await;
    let mut bare = world.gateway.api("pay").unwrap();
    bare["jwt_default_policies"] = json!([]);
    world.gateway.load(vec![bare], vec![]).unwrap();
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    world.synchronise(request(1)).await.unwrap();
    let product_only = world.token("product_pay");
    for expected in [200, 200, 200, 200, 200, 429] {
        assert_eq!(world.call("pay", &product_only).await, expected);
    }
    assert_eq!(world.mapper.drift(gateway).await.unwrap(), []);
    let mut edited = world.gateway.policy(NO_OPERATION).unwrap();
    edited["rate"] = json!(0);
    world.gateway.load(vec![], vec![edited]).unwrap();
    let drift = world.mapper.drift(gateway).await.unwrap();
    assert_eq!(
        (drift[0].kind, drift[0].subject.as_str()),
        ("policy_changed", NO_OPERATION)
    );
    world.gateway.remove_api(NO_OPERATION).unwrap();
    world
        .mapper
        .repair(gateway, &world.context())
        .await
        .unwrap();
    assert_eq!(world.mapper.drift(gateway).await.unwrap(), []);
    assert_eq!(world.gateway.policy(NO_OPERATION).unwrap()["rate"], 5);
    assert!(world.gateway.api(NO_OPERATION).is_some());
}
