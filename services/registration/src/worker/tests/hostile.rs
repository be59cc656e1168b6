//! A provider that lies: what it says is believed only as far as it can be, and nothing of it is kept that is secret.
//!
//! `manage`: what it says of a client that is to be changed; `search`: of one that is looked for; `usable`: of one by which
//! nobody gets a token; `document`: of itself; `erased`: of clients whose application is erased.

mod document;
mod erased;
mod manage;
mod search;
mod usable;

use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::access::v1::report::Outcome;
use portico_sandbox::identity_provider::{Answer, Fault, Operation};
use portico_vault::Owner;
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{TOKEN, World};
use crate::oauth_client::{
    Command, FollowCommand, OWNER, OauthClient, OrphanCommand, OrphanReason, Problem, Resolution,
    Resolved,
};

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

async fn dismiss(world: &World, marker: &str) {
    let command = Command::Orphan(OrphanCommand::Resolve(Resolved {
        marker: marker.to_owned(),
        how: Resolution::Dismissed,
        note: None,
    }));
    world.execute::<OauthClient>(world.id(), &command).await;
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
