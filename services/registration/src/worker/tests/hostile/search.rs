//! What it says of a client that is looked for: nothing found right after a write is not nothing there.

use axum::http::Method;
use portico_sandbox::doubles::okta::{self, Okta};
use portico_sandbox::doubles::{Handle, Reply};

use super::*;

pub(super) const CLIENTS: &str = "/oauth2/v1/clients";

pub(super) async fn start() -> (Handle<Okta>, World) {
    with(World::start().await).await
}

pub(super) async fn with(mut world: World) -> (Handle<Okta>, World) {
    let scopes = ["product_pay", "free_plan"];
    let org = okta::start(TOKEN, &scopes).await.unwrap();
    world.use_okta(&org.url()).await;
    (org, world)
}

/// The search lags behind, so many times.
pub(super) fn finds_nothing(org: &Handle<Okta>, times: usize) {
    for _ in 0..times {
        org.refuse_next(Method::GET, CLIENTS, Reply::json(200, &json!([])));
    }
}

#[tokio::test]
async fn a_search_that_lags_behind_is_repeated_before_another_client_is_registered() {
    let (org, mut world) = start().await;
    org.lose_next(Method::POST, CLIENTS);
    finds_nothing(&org, 2);
    let request = world.approve("pay", "free").await;
    world
        .until("listed", |client| !client.orphans.is_empty())
        .await;
    let client = world.until_done(request).await;
    assert_eq!(
        org.calls(&Method::POST, CLIENTS),
        2,
        "a registration and a new secret"
    );
    assert_eq!(org.double().client_count(), 1);
    let orphans: Vec<_> = client.orphans.values().collect();
    assert_eq!(
        (orphans.len(), orphans[0].resolution),
        (1, Some(Resolution::Adopted))
    );
    assert!(open_orphans(&world).await.is_empty(), "it is cleared");
    assert_equal_a_rebuild(&world.store).await;
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_looked_for_and_not_repeated() {
    let (org, mut world) = start().await;
    let wrapped = json!({"client": {"client_id": "c-wrapped"}});
    org.refuse_next(Method::POST, CLIENTS, Reply::json(201, &wrapped));
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    assert_eq!(problem(&client, request).code, "provider_answer_invalid");
    assert_eq!(org.calls(&Method::POST, CLIENTS), 1);
    assert!(org.calls(&Method::GET, CLIENTS) > 1, "it was looked for");
    assert_eq!(open_orphans(&world).await, [""]);
}

#[tokio::test]
async fn a_client_that_no_search_finds_stays_listed() {
    let (org, mut world) = start().await;
    org.lose_next(Method::POST, CLIENTS);
    finds_nothing(&org, 4);
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    assert_eq!(org.double().client_count(), 2);
    assert_eq!(open_orphans(&world).await, [""]);
    // It outlives the revocation, and everybody can see that.
    world.revoke(request).await;
    world.until_ended(request).await;
    assert_eq!(org.double().client_count(), 1);
    assert_eq!(open_orphans(&world).await, [""]);
}

/// However few tries the operator allows.
#[tokio::test]
async fn a_search_is_repeated_as_often_whatever_the_number_of_tries_is() {
    // It is found at the last look.
    let (org, mut world) = with(World::start_with_tries(2).await).await;
    org.lose_next(Method::POST, CLIENTS);
    finds_nothing(&org, 3);
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    assert_eq!(org.double().client_count(), 1);
    assert!(open_orphans(&world).await.is_empty());
    // It is not, and the tries are over: nothing more is registered until somebody says so.
    let (org, mut world) = with(World::start_with_tries(2).await).await;
    org.lose_next(Method::POST, CLIENTS);
    finds_nothing(&org, 4);
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    assert_eq!(
        problem(&client, request).code,
        "registration_without_effect"
    );
    let calls = (
        org.calls(&Method::POST, CLIENTS),
        org.calls(&Method::GET, CLIENTS),
    );
    assert_eq!(calls, (1, 4));
    assert_eq!(open_orphans(&world).await, [""]);
    world.retry(request).await;
    world.until_done(request).await;
    assert_eq!(org.double().client_count(), 2);
    assert_eq!(open_orphans(&world).await, [""]);
    assert_equal_a_rebuild(&world.store).await;
}

/// A search that fails is no look: the attempt stays open, and is listed when it is parked.
#[tokio::test]
async fn a_search_that_fails_parks_the_attempt_and_lists_it() {
    let (org, mut world) = with(World::start_with_tries(2).await).await;
    org.lose_next(Method::POST, CLIENTS);
    org.refuse_next(Method::GET, CLIENTS, Reply::empty(500));
    let request = world.approve("pay", "free").await;
    world.until("failed", has_failed(request)).await;
    assert_eq!(open_orphans(&world).await, [""]);
    world.retry(request).await;
    world.until_done(request).await;
    assert_eq!(org.double().client_count(), 1, "it was looked for first");
    assert!(open_orphans(&world).await.is_empty());
}
