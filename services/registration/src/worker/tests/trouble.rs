//! Providers that refuse, stumble, forget, or do less than they should.

use portico_proto::access::v1::report::Outcome;
use portico_sandbox::identity_provider::{Answer, Fault, Operation};
use serde_json::json;

use super::world::{World, set};
use crate::oauth_client::{Access, OauthClient, Standing};

fn has_failed(request: uuid::Uuid) -> impl Fn(&OauthClient) -> bool + Send {
    move |client| {
        let grant = client.grants.get(&request);
        grant.is_some_and(|grant| grant.failure().is_some())
    }
}

fn failure(client: &OauthClient, request: uuid::Uuid) -> (String, String) {
    let problem = client.grants[&request].failure().unwrap().clone();
    (problem.code, problem.reason)
}

/// The last outcome of a request, as it was published.
fn last_outcome(world: &World, request: uuid::Uuid) -> Outcome {
    let last = world.reports(request).pop().unwrap();
    last.report.unwrap().outcome.unwrap()
}

#[tokio::test]
async fn what_passes_is_tried_again_with_a_pause() {
    let mut world = World::start().await;
    let busy = Fault::Refuse(Answer::status(503));
    world.provider.fail_next(Operation::Register, 2, busy);
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    assert_eq!(client.delay, None);
    assert_eq!(world.provider.requests(Operation::Register), 3);
    assert_eq!(world.provider.client_count(), 1);
    world.until_outcome(request, "done 1").await;
    assert_eq!(
        world.outcomes(request),
        ["started 1", "delayed 1", "delayed 1", "done 1"]
    );
    let delayed = world.reports(request).remove(1);
    let Some(Outcome::Delayed(delayed)) = delayed.report.unwrap().outcome else {
        panic!("it is delayed");
    };
    assert!(delayed.reason.contains("503"), "{delayed:?}");
    assert!(delayed.next_try_at.is_some());
}

#[tokio::test]
async fn after_the_last_try_it_is_parked_until_an_admin_retries() {
    let mut world = World::start().await;
    let busy = Fault::Refuse(Answer::status(503));
    world.provider.fail_next(Operation::Register, 5, busy);
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    assert_eq!(failure(&client, request).0, "http_503");
    assert_eq!(
        world.texts("SELECT status FROM oauth_clients").await,
        ["failed"]
    );
    world.until_outcome(request, "failed 1").await;
    let failed = world.reports(request).pop().unwrap();
    assert_eq!(failed.identity_provider_name, "The provider");
    world.until_held(&[]).await;
    world.retry(request).await;
    world.until_done(request).await;
    assert_eq!(world.provider.requests(Operation::Register), 6);
}

#[tokio::test]
async fn a_refusal_is_shown_in_the_providers_own_words() {
    let mut world = World::start().await;
    let error = json!({"error": "invalid_client_metadata", "error_description": "no robots here"});
    let refusal = Fault::Refuse(Answer::json(400, &error));
    world.provider.fail_next(Operation::Register, 1, refusal);
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    assert_eq!(
        failure(&client, request),
        ("invalid_client_metadata".into(), "no robots here".into())
    );
    assert_eq!(
        world.texts("SELECT last_error FROM oauth_clients").await,
        ["no robots here"]
    );
    // Revoking what failed leaves nothing.
    world.revoke(request).await;
    world.until_ended(request).await;
    assert_eq!(
        world.texts("SELECT status FROM oauth_clients").await,
        ["deleted"]
    );
}

#[tokio::test]
async fn a_scope_that_the_provider_does_not_know_fails_its_request_and_no_other() {
    let mut world = World::prepare().await;
    // All of them wait when the worker begins.
    world.run().await;
    let good = world.approve("pay", "free").await;
    world.until_done(good).await;
    let client_id = world.only_client().client_id;
    let bad = world.approve("nonsense", "free").await;
    let client = world.until("failed", has_failed(bad)).await;
    assert_eq!(client.grants[&good].standing, Standing::Done);
    let there = world.only_client();
    assert_eq!(there.client_id, client_id);
    assert_eq!(there.metadata.scopes, set(&["product_pay", "free_plan"]));
    // Mended at the provider, then retried.
    world.provider.add_scope("product_nonsense");
    world.retry(bad).await;
    world.until_done(bad).await;
    assert!(
        world
            .only_client()
            .metadata
            .scopes
            .contains("product_nonsense")
    );
}

#[tokio::test]
async fn of_several_new_requests_only_the_spoilt_one_fails() {
    let mut world = World::start().await;
    world.provider.use_up_initial_access_token();
    let first = world.approve("pay", "free").await;
    world
        .until("paused", |client| client.paused.is_some())
        .await;
    let bad = world.approve("nonsense", "free").await;
    let last = world.approve("ship", "gold").await;
    world
        .provider
        .set_initial_access_token(Some("another-token"), None);
    world.give_token("another-token").await;
    world.until_done(first).await;
    world.until_done(last).await;
    let client = world.until("failed", has_failed(bad)).await;
    assert!(!client.one_at_a_time);
    let there = world.only_client();
    assert_eq!(
        there.metadata.scopes,
        set(&["product_pay", "free_plan", "product_ship", "gold_plan"])
    );
}

#[tokio::test]
async fn a_used_up_token_pauses_the_provider_and_a_new_one_resumes_it() {
    let mut world = World::start().await;
    world.provider.use_up_initial_access_token();
    let request = world.approve("pay", "free").await;
    let client = world
        .until("paused", |client| client.paused.is_some())
        .await;
    assert_eq!(client.delay, None, "not counted");
    world.until_public("provider_paused", 1).await;
    assert_eq!(
        world.texts("SELECT status FROM oauth_clients").await,
        ["paused"]
    );
    let before = world.provider.requests(Operation::Register);
    // Another application's request waits without asking the provider.
    let waiting = world.application_id;
    world.application_id = world.deps.clock.new_id();
    let other = world.approve("pay", "free").await;
    world
        .until("paused", |client| client.paused.is_some())
        .await;
    assert_eq!(world.provider.requests(Operation::Register), before);
    // Both are told why they wait, and that nobody knows for how long.
    for request in [request, other] {
        world.until_outcome(request, "delayed 1").await;
        let Outcome::Delayed(delayed) = last_outcome(&world, request) else {
            panic!("it is delayed");
        };
        assert!(delayed.reason.contains("is paused"), "{delayed:?}");
        assert_eq!(delayed.next_try_at, None);
    }
    world
        .provider
        .set_initial_access_token(Some("another-token"), None);
    world.give_token("another-token").await;
    world.until_done(other).await;
    world.application_id = waiting;
    world.until_done(request).await;
    world.until_public("provider_resumed", 1).await;
    assert_eq!(world.provider.client_count(), 2);
}

#[tokio::test]
async fn a_scope_that_is_silently_not_granted_is_a_failure() {
    let mut world = World::start().await;
    world
        .provider
        .behave(|b| b.granted_scopes = Some(vec!["free_plan".into()]));
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    let (code, reason) = failure(&client, request);
    assert_eq!(code, "scope_not_granted");
    assert!(reason.contains("product_pay"), "{reason}");
    // What came of it is taken away again.
    world
        .until("deleted", |client| client.live().is_none())
        .await;
    assert_eq!(world.provider.client_count(), 0);
}

#[tokio::test]
async fn a_client_that_cannot_be_managed_works_and_its_revocation_is_reported() {
    let mut world = World::start().await;
    world.provider.behave(|b| b.no_management = true);
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    let second = world.approve("ship", "free").await;
    let client = world.until("failed", has_failed(second)).await;
    assert_eq!(failure(&client, second).0, "client_unmanageable");
    assert_eq!(client.grants[&request].standing, Standing::Done);
    world.revoke(request).await;
    world.until_outcome(request, "failed 2").await;
    let client = world.client().await;
    assert!(
        client.delay.as_ref().unwrap().stuck_since.is_some(),
        "{client:?}"
    );
    assert_eq!(client.status(), "failed");
    assert_eq!(client.grants[&request].access, Access::Revoked);
    // Nobody else may have its scopes as long as it has them.
    world.until_held(&["free_plan", "product_pay"]).await;
}

#[tokio::test]
async fn a_client_that_somebody_else_deleted_is_registered_anew() {
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    let client_id = world.only_client().client_id;
    assert!(world.provider.delete_client(&client_id));
    let gone = Fault::Refuse(Answer::status(410));
    // Once more after a look whether the provider has moved.
    world.provider.fail_next(Operation::Update, 2, gone);
    let second = world.approve("ship", "free").await;
    world.until_done(second).await;
    let there = world.only_client();
    assert_ne!(there.client_id, client_id);
    assert_eq!(
        there.metadata.scopes,
        set(&["product_pay", "product_ship", "free_plan"])
    );
}

#[tokio::test]
async fn odd_but_legal_providers_are_taken_as_they_are() {
    let mut world = World::start().await;
    world.provider.behave(|b| {
        b.created_is_200 = true;
        b.rotate_on_read = true;
        b.new_secret_on_update = true;
        b.no_secret_expiry = true;
    });
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    let second = world.approve("ship", "free").await;
    let client = world.until_done(second).await;
    // The secret that came with the update replaced the first one, which is gone from the vault.
    let owner = portico_vault::Owner::new(crate::oauth_client::OWNER, world.id());
    let secret = client.live().unwrap().answer.secret_ref.unwrap();
    let kept = world.vault.get(&owner, &secret).await.unwrap().unwrap();
    assert_eq!(
        Some(kept.expose()),
        world.only_client().client_secret.as_deref()
    );
    // The secret and the registration access token.
    world.until_secrets(2).await;
    world.revoke(first).await;
    world.until_ended(first).await;
    world.revoke(second).await;
    world.until_ended(second).await;
    assert_eq!(world.provider.client_count(), 0);
}
