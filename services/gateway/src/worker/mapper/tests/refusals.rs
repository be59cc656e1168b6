//! What cannot be mapped, and what need not be.

use uuid::Uuid;

use super::world::{Granted, World, nowhere};
use super::{BOTH, mapping_of, request};
use crate::entitlement::Nothing;

#[tokio::test]
async fn one_api_that_fails_stops_only_those_who_need_it() {
    let world = World::start().await;
    world.add_gateway().await;
    world
        .grant(request(1), &Granted::new("lost", "gold", &["nowhere"]))
        .await;
    world
        .grant(request(2), &Granted::new("pay", "free", &["pay"]))
        .await;
    let failure = world.synchronise(request(1)).await.unwrap_err();
    assert_eq!(
        (failure.retry, failure.code.as_str()),
        (false, "api_not_at_gateway")
    );
    assert_eq!(
        world.call("pay", &world.token(BOTH)).await,
        200,
        "another's, done on the way"
    );
    world.synchronise(request(2)).await.unwrap();
    let again = world.synchronise(request(1)).await.unwrap_err();
    assert_eq!(again.code, "api_not_at_gateway");
}

#[tokio::test]
async fn an_api_of_another_provider_is_not_taken_over() {
    let world = World::start().await;
    world.add_gateway().await;
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    world.synchronise(request(1)).await.unwrap();
    let mut granted = Granted::new("ship", "gold", &["pay"]);
    granted.identity_provider = world.add_provider("https://elsewhere.example/").await;
    world.grant(request(2), &granted).await;
    let failure = world.synchronise(request(2)).await.unwrap_err();
    assert_eq!(
        (failure.retry, failure.code.as_str()),
        (false, "key_source_taken")
    );
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 200);

    // Nobody needs the first one any more.
    world.revoke(request(1)).await;
    for number in [1, 2] {
        world.synchronise(request(number)).await.unwrap();
    }
    assert_eq!(
        mapping_of(&world.gateway.api("pay").unwrap()),
        ["gold_plan", "product_ship"]
    );
    assert_eq!(
        world
            .call("pay", &world.token("product_ship gold_plan"))
            .await,
        403,
        "keys of another"
    );
}

#[tokio::test]
async fn nothing_to_map_is_a_success_that_says_so() {
    let world = World::start().await;
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    let mapped = world.synchronise(request(1)).await.unwrap();
    assert_eq!(mapped.nothing, Some(Nothing::NoGateway));

    world.add_gateway().await;
    world
        .grant(request(2), &Granted::new("talk", "free", &[]))
        .await;
    let mapped = world.synchronise(request(2)).await.unwrap();
    assert_eq!(mapped.nothing, Some(Nothing::NoApis));
}

#[tokio::test]
async fn a_gateway_that_is_away_or_unknown_is_named() {
    let world = World::start().await;
    let first = world.add_gateway().await;
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    world.synchronise(request(1)).await.unwrap();

    let second = world.add_gateway_at(&nowhere()).await;
    world.synchronise(request(1)).await.unwrap();
    assert_eq!(
        world.call("pay", &world.token(BOTH)).await,
        200,
        "mapped before there were two"
    );
    world
        .grant(request(2), &Granted::new("ship", "gold", &["ship"]))
        .await;
    let failure = world.synchronise(request(2)).await.unwrap_err();
    assert_eq!(
        (failure.retry, failure.code.as_str()),
        (false, "gateway_ambiguous")
    );

    let mut granted = Granted::new("ship", "gold", &["ship"]);
    granted.gateway = Some(second.to_string());
    world.grant(request(3), &granted).await;
    let failure = world.synchronise(request(3)).await.unwrap_err();
    assert_eq!(
        (failure.retry, failure.code.as_str()),
        (true, "gateway_unreachable")
    );

    let lines = world
        .mapper
        .preview(&[granted.grant(world.provider_id)])
        .await
        .unwrap();
    assert!(lines[0].starts_with("Not possible: API ship"), "{lines:?}");

    granted.gateway = Some(Uuid::from_u128(99).to_string());
    world.grant(request(4), &granted).await;
    let failure = world.synchronise(request(4)).await.unwrap_err();
    assert_eq!(
        (failure.retry, failure.code.as_str()),
        (false, "gateway_not_found")
    );
    granted.gateway = Some(first.to_string());
    world.grant(request(5), &granted).await;
    world.synchronise(request(5)).await.unwrap();
}

/// What is not known yet is waited for, for ever if need be.
#[tokio::test]
async fn an_identity_provider_that_is_not_known_yet_is_waited_for() {
    let world = World::start().await;
    world.add_gateway().await;
    let mut granted = Granted::new("pay", "free", &["pay"]);
    granted.identity_provider = Uuid::from_u128(77);
    world.grant(request(1), &granted).await;
    let failure = world.synchronise(request(1)).await.unwrap_err();
    assert_eq!(
        (failure.waits, failure.code.as_str()),
        (true, "identity_provider_unknown")
    );
}

/// Rule 8, at any API: the scope would open this product to the clients of the other one.
#[tokio::test]
async fn a_scope_that_another_product_has_is_left_out_and_waited_for() {
    let world = World::start().await;
    world.add_gateway().await;
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    world.synchronise(request(1)).await.unwrap();
    let other = Granted::new("ship", "free", &["ship"]);
    let mut item = other.item();
    item.product.scopes = ["product_pay".to_owned()].into();
    world.grant_item(request(2), item).await;
    let failure = world.synchronise(request(2)).await.unwrap_err();
    assert_eq!(
        (failure.waits, failure.code.as_str()),
        (true, "scope_still_held")
    );
    assert!(failure.reason.contains("PAY"), "{failure}");
    assert_eq!(world.call("ship", &world.token(BOTH)).await, 403);
    world.revoke(request(1)).await;
    world.synchronise(request(1)).await.unwrap();
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 403, "at once");
    let failure = world.synchronise(request(2)).await.unwrap_err();
    assert_eq!(
        failure.code, "scope_still_held",
        "clients may have it still"
    );
}
