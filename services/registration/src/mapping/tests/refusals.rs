//! What cannot be mapped, and what need not be.

use uuid::Uuid;

use super::super::{MappingFailure, Skipped};
use super::world::{Granted, World, nowhere};
use super::{BOTH, mapping_of, request};

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
    let failure = world.synchronise(&[request(1)]).await.unwrap_err();
    assert_eq!(
        (failure.retry, failure.code.as_str()),
        (false, "api_not_at_gateway")
    );
    assert_eq!(
        world.call("pay", &world.token(BOTH)).await,
        200,
        "another's, done on the way"
    );
    world.synchronise(&[request(2)]).await.unwrap();
    let both = world
        .synchronise(&[request(1), request(2)])
        .await
        .unwrap_err();
    assert_eq!(both.code, "api_not_at_gateway");
}

#[tokio::test]
async fn an_api_of_another_provider_is_not_taken_over() {
    let world = World::start().await;
    world.add_gateway().await;
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    world.synchronise(&[request(1)]).await.unwrap();
    let mut granted = Granted::new("ship", "gold", &["pay"]);
    granted.identity_provider = world.add_provider("https://elsewhere.example/").await;
    world.grant(request(2), &granted).await;
    let failure = world.synchronise(&[request(2)]).await.unwrap_err();
    assert_eq!(
        (failure.retry, failure.code.as_str()),
        (false, "key_source_taken")
    );
    assert_eq!(world.call("pay", &world.token(BOTH)).await, 200);

    // Nobody needs the first one any more.
    world.revoke(request(1)).await;
    world.synchronise(&[request(1), request(2)]).await.unwrap();
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
    let mapped = world.synchronise(&[request(1)]).await.unwrap();
    assert_eq!(mapped.skipped, Some(Skipped::NoGateway));

    world.add_gateway().await;
    world
        .grant(request(2), &Granted::new("talk", "free", &[]))
        .await;
    let mapped = world
        .mapper
        .synchronise(&[], &[request(2)], &world.context())
        .await
        .unwrap();
    assert_eq!(mapped.skipped, Some(Skipped::NoApis));
}

#[tokio::test]
async fn a_gateway_that_is_away_or_unknown_is_named() {
    let world = World::start().await;
    let first = world.add_gateway().await;
    world
        .grant(request(1), &Granted::new("pay", "free", &["pay"]))
        .await;
    world.synchronise(&[request(1)]).await.unwrap();

    let second = world.add_gateway_at(&nowhere()).await;
    world.synchronise(&[request(1)]).await.unwrap();
    assert_eq!(
        world.call("pay", &world.token(BOTH)).await,
        200,
        "mapped before there were two"
    );
    world
        .grant(request(2), &Granted::new("ship", "gold", &["ship"]))
        .await;
    let failure = world.synchronise(&[request(2)]).await.unwrap_err();
    assert_eq!(
        (failure.retry, failure.code.as_str()),
        (false, "gateway_ambiguous")
    );

    let mut granted = Granted::new("ship", "gold", &["ship"]);
    granted.gateway = second.to_string();
    world.grant(request(3), &granted).await;
    let synchronise = async |gateway: &str, number| -> Result<_, MappingFailure> {
        let context = world.context();
        world
            .mapper
            .synchronise(&[gateway.to_owned()], &[request(number)], &context)
            .await
    };
    let failure = synchronise(&granted.gateway, 3).await.unwrap_err();
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

    granted.gateway = Uuid::from_u128(99).to_string();
    world.grant(request(4), &granted).await;
    let failure = synchronise(&granted.gateway, 4).await.unwrap_err();
    assert_eq!(
        (failure.retry, failure.code.as_str()),
        (false, "gateway_not_found")
    );
    granted.gateway = first.to_string();
    world.grant(request(5), &granted).await;
    synchronise(&granted.gateway, 5).await.unwrap();
}
