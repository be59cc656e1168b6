//! What it says of itself: its endpoints may move, its issuer not.

use super::*;
use crate::identity_provider::IdentityProvider;
use crate::worker::tests::world::set;

/// Where clients are registered, as far as is known.
async fn registration_path(world: &World) -> String {
    let provider = world
        .store
        .load::<IdentityProvider>(world.provider_id)
        .await;
    let settings = provider.unwrap().state.settings.unwrap();
    let endpoint = settings.location.endpoints.registration_endpoint;
    endpoint.path().to_owned()
}

#[tokio::test]
async fn a_provider_that_has_moved_is_followed_after_a_failed_call() {
    let mut world = World::start().await;
    world.provider.behave(|provider| provider.moved = true);
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    assert_eq!(registration_path(&world).await, "/v2/register");
    assert_eq!(world.provider.client_count(), 1);
}

#[tokio::test]
async fn another_issuer_is_never_followed() {
    let mut world = World::start().await;
    let before = world
        .store
        .load::<IdentityProvider>(world.provider_id)
        .await
        .unwrap();
    let other = world.provider.url().replace("127.0.0.1", "127.0.0.2");
    world.provider.behave(|provider| {
        provider.moved = true;
        provider.issuer = Some(other);
    });
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    assert_eq!(problem(&client, request).code, "http_404");
    let after = world
        .store
        .load::<IdentityProvider>(world.provider_id)
        .await
        .unwrap();
    assert_eq!(after.version, before.version);
    assert_eq!(world.provider.client_count(), 0);
}

/// As HTTP caching asks for it, also where nothing fails.
#[tokio::test]
async fn a_document_is_looked_at_again_when_it_is_stale() {
    let mut world = World::start().await;
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    world.provider.behave(|provider| provider.moved = true);
    let before = world.provider.requests(Operation::Discovery);
    let worker = world.worker();
    for _ in 0..2 {
        worker.check_keys().await.unwrap();
    }
    assert_eq!(
        world.provider.requests(Operation::Discovery),
        before + 1,
        "once: it is fresh for a time"
    );
    assert_eq!(registration_path(&world).await, "/v2/register");
    assert_eq!(
        world.only_client().metadata.scopes,
        set(&["product_pay", "free_plan"])
    );
}
