//! A provider that lies: what it says is believed only as far as it can be, and nothing of it is kept that is secret.

use axum::http::Method;
use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::access::v1::report::Outcome;
use portico_proto::registration::v1::{self as public, client_changed::Change};
use portico_sandbox::doubles::{okta, stage};
use portico_sandbox::identity_provider::{Answer, Fault, Operation};
use portico_vault::Owner;
use prost::Message as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{TOKEN, World, set};
use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{
    Command, FollowCommand, OWNER, OauthClient, OrphanCommand, OrphanReason, Problem, Resolution,
};

const CLIENTS: &str = "/oauth2/v1/clients";

fn has_failed(request: Uuid) -> impl Fn(&OauthClient) -> bool + Send {
    move |client| {
        let grant = client.grants.get(&request);
        grant.is_some_and(|grant| grant.failure().is_some())
    }
}

fn problem(client: &OauthClient, request: Uuid) -> Problem {
    client.grants[&request].failure().unwrap().clone()
}

fn refuse(status: u16) -> Fault {
    Fault::Refuse(Answer::status(status))
}

/// The provider answers a registration that it carried out with this.
async fn registered_with(body: &Value) -> (World, Uuid, OauthClient) {
    let mut world = World::start().await;
    let lie = Fault::CommitThenAnswer(Answer::json(201, body));
    world.provider.fail_next(Operation::Register, 1, lie);
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    (world, request, client)
}

/// Everything that is stored beside the vault, as text.
async fn stored(world: &World) -> String {
    let mut all = String::new();
    for sql in [
        "SELECT data FROM events",
        "SELECT state || last_error FROM oauth_clients",
        "SELECT detail || client_id FROM orphans",
    ] {
        all.push_str(&world.texts(sql).await.join("\n"));
    }
    all
}

async fn open_orphans(world: &World) -> Vec<String> {
    world
        .texts("SELECT client_id FROM orphans WHERE status = 'open'")
        .await
}

async fn retry_now(world: &World) {
    let command = Command::Follow(FollowCommand::RetryNow);
    world.execute::<OauthClient>(world.id(), &command).await;
}

#[tokio::test]
async fn what_was_sent_is_in_no_word_of_a_refusal() {
    let mut world = World::start().await;
    let error = json!({
        "error": "invalid_client_metadata", "error_description": format!("you sent Bearer {TOKEN}"),
    });
    let refusal = Fault::Refuse(Answer::json(400, &error));
    world.provider.fail_next(Operation::Register, 9, refusal);
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    assert_eq!(
        problem(&client, request).reason,
        "you sent Bearer [redacted]"
    );
    world.until_outcome(request, "failed 1").await;
    let Some(Outcome::Failed(failed)) = world
        .reports(request)
        .pop()
        .unwrap()
        .report
        .unwrap()
        .outcome
    else {
        panic!("it has failed");
    };
    assert_eq!(failed.reason, "you sent Bearer [redacted]");
    assert!(!stored(&world).await.contains(TOKEN));
}

#[tokio::test]
async fn only_known_metadata_of_an_answer_is_kept() {
    let mut world = World::start().await;
    let answer = json!({
        "client_id": "c-liar", "client_secret": "secret-of-the-liar", "api_secret": "another-of-its-secrets",
        "client_secrets": ["secret-of-the-liar", "a-third-of-its-secrets"], "private_key_jwk": {"kty": "EC", "d": "private-part-of-it"},
        "client_name": "called secret-of-the-liar", "software_id": TOKEN, "scope": "product_pay free_plan",
    });
    let lie = Fault::CommitThenAnswer(Answer::json(201, &answer));
    world.provider.fail_next(Operation::Register, 1, lie);
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    let live = client.live().unwrap();
    let kept = serde_json::to_value(&live.answer.granted).unwrap();
    assert_eq!(
        kept,
        json!({"client_id": "c-liar", "scope": "product_pay free_plan"})
    );
    let stored = stored(&world).await;
    for secret in [
        "secret-of-the-liar",
        "another-of-its",
        "a-third-of-its",
        "private-part",
        TOKEN,
    ] {
        assert!(!stored.contains(secret), "{secret}");
    }
    let owner = Owner::new(OWNER, world.id());
    let secret = world
        .vault
        .get(&owner, &live.answer.secret_ref.unwrap())
        .await;
    assert_eq!(secret.unwrap().unwrap().expose(), "secret-of-the-liar");
}

#[tokio::test]
async fn an_id_or_secret_that_could_break_something_is_parked_with_the_reason() {
    let long = "c".repeat(400_000);
    for (member, value, why) in [
        ("client_id", "c1\r\nX-Evil: 1", "visible ASCII"),
        ("client_id", "c1\0", "visible ASCII"),
        ("client_id", "\u{1b}[2J", "visible ASCII"),
        ("client_id", &long, "more than 1000 characters"),
        ("client_secret", "s\r\n", "visible ASCII"),
        ("client_secret", &long, "more than 8192 characters"),
        ("registration_access_token", "r\0", "visible ASCII"),
    ] {
        let mut answer = json!({"client_id": "c1", "client_secret": "s1"});
        answer[member] = value.into();
        let (world, request, client) = registered_with(&answer).await;
        let problem = problem(&client, request);
        assert_eq!(problem.code, "provider_answer_invalid");
        assert!(
            problem.reason.contains(member) && problem.reason.contains(why),
            "{problem:?}"
        );
        assert!(stored(&world).await.len() < 100_000);
        assert_eq!(world.provider.requests(Operation::Register), 1);
    }
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_not_repeated() {
    for answer in [
        json!({"client": {"client_id": "c-wrapped", "client_secret": "secret-in-a-wrapping"}}),
        json!(["c-wrapped", "secret-in-a-wrapping"]),
        json!("secret-in-a-wrapping"),
        json!({}),
    ] {
        let (mut world, request, client) = registered_with(&answer).await;
        assert_eq!(problem(&client, request).code, "provider_answer_invalid");
        assert_eq!(world.provider.requests(Operation::Register), 1);
        let (marker, orphan) = client.orphans.iter().next().unwrap();
        assert_eq!(
            (client.orphans.len(), orphan.reason),
            (1, OrphanReason::OutcomeUnknown)
        );
        assert!(
            orphan.scopes.contains("product_pay"),
            "it may have them: {orphan:?}"
        );
        let detail = world.texts("SELECT detail FROM orphans").await;
        assert!(
            !detail[0].is_empty() && !detail[0].contains("secret-in"),
            "{detail:?}"
        );
        assert_eq!(
            detail[0].contains("c-wrapped"),
            answer["client"].is_object(),
            "{detail:?}"
        );
        let there = &world.provider.clients()[0].metadata.others;
        assert_eq!(
            format!("{}.1", there["software_id"].as_str().unwrap()),
            *marker
        );
        // Somebody who has looked there may try again.
        world.retry(request).await;
        world.until_done(request).await;
        assert_eq!(world.provider.client_count(), 2);
        assert_equal_a_rebuild(&world.store).await;
    }
}

/// The process ends before the answer is read.
#[tokio::test]
async fn a_page_or_an_answer_without_end_is_not_repeated_either() {
    for lie in [Answer::html(201), Answer::oversized(201, 2 << 20)] {
        let mut world = World::start().await;
        let lie = Fault::CommitThenAnswer(lie);
        world.provider.fail_next(Operation::Register, 1, lie);
        let request = world.approve("pay", "free").await;
        let client = world.until("failed", has_failed(request)).await;
        assert_eq!(problem(&client, request).code, "provider_answer_invalid");
        assert_eq!(world.provider.requests(Operation::Register), 1);
        assert_eq!(client.orphans.len(), 1);
    }
}

#[tokio::test]
async fn a_client_that_cannot_be_managed_is_not_taken_for_deleted() {
    for status in [401, 403, 404] {
        let mut world = World::start().await;
        let request = world.approve("pay", "free").await;
        world.until_done(request).await;
        let there = world.only_client();
        // Its secret was regenerated at the provider: the token endpoint says `invalid_client`.
        let regenerate = |client: &mut portico_sandbox::identity_provider::Client| {
            client.client_secret = Some("regenerated-there".into());
        };
        assert!(world.provider.edit_client(&there.client_id, regenerate));
        for operation in [Operation::Delete, Operation::Update, Operation::Read] {
            world.provider.fail_next(operation, 50, refuse(status));
        }
        world.revoke(request).await;
        world.until_outcome(request, "failed 2").await;
        let client = world.client().await;
        assert_eq!(
            client.live().unwrap().answer.client_id,
            there.client_id,
            "{status}"
        );
        assert_eq!(client.status(), "failed");
        let listed = "SELECT client_id FROM orphans WHERE status = 'open' AND manageable = 1";
        assert_eq!(world.texts(listed).await, [there.client_id.as_str()]);
        let words = world.texts("SELECT detail FROM orphans").await;
        assert!(words[0].contains("deleted or disabled there"), "{words:?}");
        assert_eq!(world.only_client().metadata.scopes, there.metadata.scopes);
        // Nobody else may have its scopes, and what it is managed with is kept for another try.
        world.until_held(&["free_plan", "product_pay"]).await;
        world.provider.clear_faults();
        retry_now(&world).await;
        world.until_ended(request).await;
        assert_eq!(world.provider.client_count(), 0);
        assert!(open_orphans(&world).await.is_empty());
        assert_equal_a_rebuild(&world.store).await;
    }
}

/// An update finds the client neither manageable nor known: only somebody who looks at the provider can tell.
#[tokio::test]
async fn a_client_that_may_be_gone_is_replaced_when_somebody_says_so() {
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    world.activate(first).await;
    let gone = world.only_client().client_id;
    assert!(world.provider.delete_client(&gone));
    let second = world.approve("ship", "free").await;
    let client = world.until("failed", has_failed(second)).await;
    assert_eq!(problem(&client, second).code, "client_perhaps_gone");
    assert_eq!(
        world.provider.client_count(),
        0,
        "nothing is registered on a suspicion"
    );
    assert_eq!(open_orphans(&world).await, [gone.as_str()]);
    let (marker, _) = client.orphans.iter().next().unwrap();
    let command = Command::Orphan(OrphanCommand::Resolve {
        marker: marker.clone(),
        how: Resolution::Dismissed,
        note: None,
    });
    world.execute::<OauthClient>(world.id(), &command).await;
    let is_another = |client: &OauthClient| {
        let live = client.live();
        live.is_some_and(|live| live.answer.client_id != gone) && client.status() == "ready"
    };
    world.until("replaced", is_another).await;
    assert_ne!(world.only_client().client_id, gone);
    world.until_public("client_changed", 1).await;
    assert_eq!(changes(&world), [(Change::Replaced, true)]);
    world.retry(second).await;
    world.until_done(second).await;
}

/// What was told of the client, and whether the service did it by itself.
fn changes(world: &World) -> Vec<(Change, bool)> {
    let messages = world.public("client_changed").into_iter();
    let changed = messages.map(|message| public::ClientChanged::decode(message.payload).unwrap());
    changed
        .map(|changed| (changed.change(), changed.by.starts_with("service:")))
        .collect()
}

#[tokio::test]
async fn people_hear_of_every_other_id_or_secret() {
    // The client vanished, which shows while something else is done.
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    world.activate(first).await;
    let gone = world.only_client().client_id;
    assert!(world.provider.delete_client(&gone));
    world.provider.fail_next(Operation::Update, 1, refuse(410));
    let second = world.approve("ship", "free").await;
    world.until_done(second).await;
    assert_ne!(world.only_client().client_id, gone);
    world.until_public("client_changed", 1).await;
    assert_eq!(changes(&world), [(Change::Replaced, true)]);
    // An update brings another secret (RFC 7592 section 2.2).
    world
        .provider
        .behave(|provider| provider.new_secret_on_update = true);
    world.revoke(second).await;
    world.until_ended(second).await;
    world.until_public("client_changed", 2).await;
    assert_eq!(changes(&world)[1], (Change::SecretRotated, true));
    // One that keeps it is no news.
    world
        .provider
        .behave(|provider| provider.new_secret_on_update = false);
    let third = world.approve("ship", "free").await;
    world.until_done(third).await;
    world.until_outcome(third, "done 1").await;
    assert_eq!(changes(&world).len(), 2);
}

#[tokio::test]
async fn a_search_that_lags_behind_is_repeated_before_another_client_is_registered() {
    let org = okta::start(TOKEN, &["product_pay", "free_plan"])
        .await
        .unwrap();
    let mut world = World::start().await;
    world.use_okta(&org.url()).await;
    org.lose_next(Method::POST, CLIENTS);
    for _ in 0..2 {
        org.refuse_next(Method::GET, CLIENTS, stage::Reply::json(200, &json!([])));
    }
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
    let org = okta::start(TOKEN, &["product_pay", "free_plan"])
        .await
        .unwrap();
    let mut world = World::start().await;
    world.use_okta(&org.url()).await;
    let wrapped = json!({"client": {"client_id": "c-wrapped"}});
    org.refuse_next(Method::POST, CLIENTS, stage::Reply::json(201, &wrapped));
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    assert_eq!(problem(&client, request).code, "provider_answer_invalid");
    assert_eq!(org.calls(&Method::POST, CLIENTS), 1);
    assert!(org.calls(&Method::GET, CLIENTS) > 1, "it was looked for");
    assert_eq!(open_orphans(&world).await, [""]);
}

#[tokio::test]
async fn a_client_that_no_search_finds_stays_listed() {
    let org = okta::start(TOKEN, &["product_pay", "free_plan"])
        .await
        .unwrap();
    let mut world = World::start().await;
    world.use_okta(&org.url()).await;
    org.lose_next(Method::POST, CLIENTS);
    for _ in 0..3 {
        org.refuse_next(Method::GET, CLIENTS, stage::Reply::json(200, &json!([])));
    }
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

#[tokio::test]
async fn a_secret_that_a_registration_withheld_is_fetched() {
    let mut world = World::start().await;
    world
        .provider
        .behave(|provider| provider.secret_withheld = true);
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    let owner = Owner::new(OWNER, world.id());
    let reference = client.live().unwrap().answer.secret_ref.unwrap();
    let secret = world.vault.get(&owner, &reference).await.unwrap().unwrap();
    let there = world.only_client().client_secret.unwrap();
    assert_eq!(secret.expose(), there);
}

#[tokio::test]
async fn a_client_that_can_get_no_token_is_never_announced() {
    type Lie = fn(&mut portico_sandbox::identity_provider::Behaviour);
    let withheld: Lie = |provider| {
        provider.secret_withheld = true;
        provider.hide_secret_on_read = true;
    };
    let expired: Lie = |provider| provider.secret_expires_at = Some(json!(1_000_000_000));
    let in_words: Lie = |provider| provider.secret_expires_at = Some(json!("2001-09-09T01:46:40Z"));
    for (lie, code) in [
        (withheld, "client_secret_missing"),
        (expired, "client_secret_expired"),
        (in_words, "client_secret_expired"),
    ] {
        let mut world = World::start().await;
        world.provider.behave(lie);
        let request = world.approve("pay", "free").await;
        let client = world.until("failed", has_failed(request)).await;
        assert_eq!(problem(&client, request).code, code);
        // What came of it is taken away again.
        let client = world
            .until("deleted", |client| client.live().is_none())
            .await;
        assert_eq!(
            (world.provider.client_count(), client.orphans.len()),
            (0, 0)
        );
        world.until_outcome(request, "failed 1").await;
        assert!(!world.outcomes(request).contains(&"done 1".to_owned()));
        // Mended at the provider, then retried.
        world
            .provider
            .behave(|provider| *provider = Default::default());
        world.retry(request).await;
        world.until_done(request).await;
    }
}

#[tokio::test]
async fn an_end_of_the_secret_that_is_no_time_is_a_warning() {
    let mut world = World::start().await;
    let unclear = Some(json!("at the end of the year"));
    world
        .provider
        .behave(|provider| provider.secret_expires_at = unclear);
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    let answer = &client.live().unwrap().answer;
    assert_eq!(answer.secret_expires_at, 0);
    assert!(
        answer.warnings[0].contains("client_secret_expires_at"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_provider_that_has_moved_is_followed_after_a_failed_call() {
    let mut world = World::start().await;
    world.provider.behave(|provider| provider.moved = true);
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    let provider = world
        .store
        .load::<IdentityProvider>(world.provider_id)
        .await;
    let settings = provider.unwrap().state.settings.unwrap();
    let endpoint = settings.location.endpoints.registration_endpoint;
    assert_eq!(endpoint.path(), "/v2/register");
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
    let provider = world
        .store
        .load::<IdentityProvider>(world.provider_id)
        .await;
    let settings = provider.unwrap().state.settings.unwrap();
    let endpoint = settings.location.endpoints.registration_endpoint;
    assert_eq!(endpoint.path(), "/v2/register");
    assert_eq!(
        world.only_client().metadata.scopes,
        set(&["product_pay", "free_plan"])
    );
}
