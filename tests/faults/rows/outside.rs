//! The provider and the mail server misbehave.

use std::{sync::Arc, time::Duration};

use portico_sandbox::{
    identity_provider::{Answer, Fault, Operation},
    mail,
};
use serde_json::json;

use crate::{
    client::until,
    invariants,
    ledger::Expected,
    round::Round,
    settle::settle,
    world::{Portal, Setup, World},
};

/// Longer than a call to a provider may take in these rounds.
const TOO_LONG: Duration = Duration::from_secs(10);

fn impatient() -> Setup {
    Setup {
        environment: vec![("PORTICO_OUTGOING_TIMEOUT", "3s".to_owned())],
        ..Setup::default()
    }
}

/// Its name, what a provider does instead, and whether the request gets active all the same.
type Misbehaviour = (&'static str, fn() -> Fault, Expected);

const MISBEHAVIOURS: [Misbehaviour; 9] = [
    (
        "500",
        || Fault::Refuse(Answer::status(500)),
        Expected::Active,
    ),
    (
        "429 with Retry-After",
        || Fault::Refuse(Answer::too_many_requests(1)),
        Expected::Active,
    ),
    (
        "slow drip",
        || Fault::Drip(Answer::html(200), Duration::from_millis(200)),
        Expected::Active,
    ),
    (
        "garbage",
        || Fault::Refuse(Answer::html(200)),
        Expected::Active,
    ),
    ("connection cut", || Fault::Close, Expected::Active),
    (
        "10 MB",
        || Fault::Refuse(Answer::oversized(201, 10 * 1024 * 1024)),
        Expected::Active,
    ),
    (
        "wrong types",
        || {
            Fault::Refuse(Answer::json(
                201,
                &json!({"client_id": 42, "client_secret": ["x"]}),
            ))
        },
        Expected::Active,
    ),
    (
        "200 for 201",
        || Fault::Delay(Duration::ZERO),
        Expected::Active,
    ),
    (
        "400 with a reason",
        || {
            let body = json!({"error": "invalid_client_metadata", "error_description": "no clients are taken today"});
            Fault::Refuse(Answer::json(400, &body))
        },
        Expected::Failed,
    ),
];

/// Successes that cannot be read: a client may be there, so it is left to an admin whether another one is registered.
const UNREADABLE: [&str; 4] = ["slow drip", "garbage", "10 MB", "wrong types"];

/// Each of the misbehaviours, at registration, update and deletion; others are not affected.
pub async fn provider_misbehaves(round: Arc<Round>) {
    let index = usize::try_from(round.seed).unwrap() % MISBEHAVIOURS.len();
    let (name, fault, expected) = MISBEHAVIOURS[index];
    let mut world = World::start(&round.folder, impatient()).await;
    let portal = world.configure().await;
    let provider = world.sandbox();
    provider.behave(|behaviour| behaviour.created_is_200 = name == "200 for 201");

    provider.fail_next(Operation::Register, 1, fault());
    let unreadable = UNREADABLE.contains(&name);
    let first = if unreadable {
        Expected::Failed
    } else {
        expected
    };
    let (request, application) = portal.granted(first).await;
    until("the fault was met", || async {
        (world.sandbox().requests(Operation::Register) > 0).then_some(())
    })
    .await;
    let (other, _) = portal.granted(Expected::Active).await;
    portal.wait_for(&other, "active").await;
    let seen = portal.wait_for(&request, first.as_str()).await;
    if first == Expected::Failed {
        let reason = seen["reason"].as_str().unwrap();
        assert!(
            unreadable || reason.contains("no clients are taken today"),
            "the provider's own words are missing: {reason}"
        );
        let listed = "SELECT CAST(COUNT(*) AS TEXT) FROM orphans";
        let orphans = world.stores.number("registration", listed).await;
        assert_eq!(orphans, i64::from(unreadable), "suspected orphans");
        retry(&portal, &request).await;
        portal.wait_for(&request, "active").await;
        portal.ledger.decided(&request, "retried", Expected::Active);
    }

    // An update that is refused is tried with less in it, and that is refused, too.
    let times = if expected == Expected::Failed { 8 } else { 1 };
    world.sandbox().fail_next(Operation::Update, times, fault());
    let (second, _) = portal
        .submit(&portal.orders, "product_orders", Some(&application))
        .await;
    portal
        .decide(&second, "approve", "approved", expected)
        .await;
    portal.wait_for(&second, expected.as_str()).await;
    if expected == Expected::Failed {
        world.sandbox().clear_faults();
        retry(&portal, &second).await;
        portal.wait_for(&second, "active").await;
        portal.ledger.decided(&second, "retried", Expected::Active);
    } else {
        // A deletion that the provider refuses for good is tried again after an hour.
        world.sandbox().fail_next(Operation::Delete, 1, fault());
        portal
            .decide(&other, "revoke", "revoked", Expected::Revoked)
            .await;
    }
    invariants::check(&mut world, &portal).await;
}

async fn retry(portal: &Portal, request: &str) {
    let path = format!("/api/v1/access-requests/{request}/retry");
    portal.admin.post(&path, json!({})).await.expect(202);
}

/// The answer to one application's registration comes again for another's.
pub async fn duplicate_answer(round: Arc<Round>) {
    let mut world = World::start(&round.folder, impatient()).await;
    let portal = world.configure().await;
    let (first, _) = portal.granted(Expected::Active).await;
    portal.wait_for(&first, "active").await;
    let client = world.sandbox().clients().remove(0);
    let answer = Answer::json(
        201,
        &json!({
            "client_id": client.client_id, "client_secret": client.client_secret, "client_secret_expires_at": 0,
            "registration_access_token": client.registration_access_token,
            "registration_client_uri": format!("{}/register/{}", world.sandbox().url(), client.client_id),
            "grant_types": ["client_credentials"], "scope": "product_payments free_plan",
            "token_endpoint_auth_method": "client_secret_basic",
        }),
    );
    world
        .sandbox()
        .fail_next(Operation::Register, 1, Fault::Refuse(answer));
    // The provider says that it registered one, so there is none besides until an admin has seen to it.
    let (second, _) = portal.granted(Expected::Failed).await;
    portal.wait_for(&second, "failed").await;
    let listed = "SELECT CAST(COUNT(*) AS TEXT) FROM orphans";
    let orphans = world.stores.number("registration", listed).await;
    assert_eq!(orphans, 1, "suspected orphans");
    retry(&portal, &second).await;
    portal.wait_for(&second, "active").await;
    portal.ledger.decided(&second, "retried", Expected::Active);
    invariants::check(&mut world, &portal).await;
}

/// The provider does it and is silent: what became of it is found out, or a suspected orphan is listed.
pub async fn times_out_after_commit(round: Arc<Round>) {
    let mut world = World::start(&round.folder, impatient()).await;
    let portal = world.configure().await;
    world
        .sandbox()
        .fail_next(Operation::Register, 1, Fault::CommitThenDelay(TOO_LONG));
    let (request, application) = portal.granted(Expected::Active).await;
    portal.wait_for(&request, "active").await;
    let orphans = world
        .stores
        .number("registration", "SELECT CAST(COUNT(*) AS TEXT) FROM orphans")
        .await;
    assert_eq!(orphans, 1, "suspected orphans");
    world
        .sandbox()
        .fail_next(Operation::Update, 1, Fault::CommitThenDelay(TOO_LONG));
    let (second, _) = portal
        .submit(&portal.orders, "product_orders", Some(&application))
        .await;
    portal
        .decide(&second, "approve", "approved", Expected::Active)
        .await;
    portal.wait_for(&second, "active").await;
    world
        .sandbox()
        .fail_next(Operation::Delete, 1, Fault::CommitThenDelay(TOO_LONG));
    for id in [&request, &second] {
        portal
            .decide(id, "revoke", "revoked", Expected::Revoked)
            .await;
    }
    invariants::check(&mut world, &portal).await;
}

/// The initial access token is used up: the provider's queue pauses, an alarm is raised, a new token resumes it.
pub async fn token_used_up(round: Arc<Round>) {
    let mut world = World::start(
        &round.folder,
        Setup {
            servers: round.seed % 2 == 1,
            ..Setup::default()
        },
    )
    .await;
    let portal = world.configure().await;
    world.sandbox().use_up_initial_access_token();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(portal.granted(Expected::Active).await.0);
    }
    let path = format!("/api/v1/identity-providers/{}", portal.provider_id);
    until("the provider is paused", || async {
        let provider = portal.admin.get(&path).await.expect(200);
        (provider["status"] == "paused").then_some(())
    })
    .await;
    // Across a restart, too.
    world.portico.kill().await;
    round.killed();
    world.portico.start().await;
    for id in &waiting {
        let request = portal.request(id).await;
        assert!(
            ["approved", "provisioning"].contains(&request["status"].as_str().unwrap()),
            "{request}"
        );
    }
    world
        .sandbox()
        .set_initial_access_token(Some("another-initial-access-token"), None);
    let token = json!({"initial_access_token": "another-initial-access-token"});
    portal.admin.patch(&path, token).await.expect(200);
    for id in &waiting {
        portal.wait_for(id, "active").await;
    }
    let orphans = world
        .stores
        .number("registration", "SELECT CAST(COUNT(*) AS TEXT) FROM orphans")
        .await;
    assert_eq!(orphans, 0, "suspected orphans");
    invariants::check(&mut world, &portal).await;
}

/// The mail server is away, then busy (451), then cuts the connection after it has taken a mail, then refuses (550).
pub async fn mail_server(round: Arc<Round>) {
    let mut world = World::start(
        &round.folder,
        Setup {
            servers: round.seed % 2 == 1,
            ..Setup::default()
        },
    )
    .await;
    let portal = world.configure().await;
    let address = world.mail.smtp_address();
    world.mail.stop().await;
    let (first, _) = portal.granted(Expected::Active).await;
    portal.wait_for(&first, "active").await;
    until("a mail waits for its next try", || async {
        let waiting = deliveries(&portal, "queued").await;
        waiting
            .iter()
            .any(|mail| mail["last_error"].is_string() && mail["next_try_at"].is_string())
            .then_some(())
    })
    .await;
    let settings = mail::Settings {
        smtp_listen: address,
        ..mail::Settings::default()
    };
    world.mail = mail::start(settings).await.unwrap();
    settle(&world, &portal).await;

    world.mail.fail_next(2, mail::Fault::RefuseMessage(451));
    world.mail.fail_next(1, mail::Fault::KeepThenClose);
    portal.granted(Expected::Active).await;
    settle(&world, &portal).await;

    world.mail.fail_next(1, mail::Fault::RefuseRecipient(550));
    portal.granted(Expected::Active).await;
    settle(&world, &portal).await;
    let failed = deliveries(&portal, "failed").await;
    assert_eq!(failed.len(), 1, "failed mails: {failed:?}");
    assert!(
        failed[0]["last_error"].as_str().unwrap().contains("550"),
        "{failed:?}"
    );
    let resend = format!(
        "/api/v1/deliveries/{}/resend",
        failed[0]["id"].as_str().unwrap()
    );
    portal.admin.post(&resend, json!({})).await.expect(202);
    until("no mail has failed", || async {
        deliveries(&portal, "failed").await.is_empty().then_some(())
    })
    .await;
    invariants::check(&mut world, &portal).await;
}

async fn deliveries(portal: &Portal, status: &str) -> Vec<serde_json::Value> {
    let path = format!("/api/v1/deliveries?limit=100&status={status}");
    portal.admin.get(&path).await.expect(200)["items"]
        .as_array()
        .unwrap()
        .clone()
}
