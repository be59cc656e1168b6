//! The security log: one line and one event for each thing, without a name, a mail address or a secret.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use portico_proto::{
    accounts::v1::{
        CreateApiTokenRequest, DeleteSessionRequest, Refusals, ReportRefusalsRequest,
        ReportRefusalsResponse, RevokeApiTokenRequest,
    },
    time,
};
use portico_runtime::Caller;
use portico_trials::Trial;
use portico_vault::{Owner, VaultRef};
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber as _;

use crate::support::{ADMIN, PASSWORD, Place, World, code, developer, on_every_database};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        what_matters_to_an_account_is_an_event,
        failures_make_one_event_for_an_account_and_minute,
        refusals_make_one_event_for_an_account_and_minute,
        what_there_is_not_is_locked_as_what_there_is,
        an_address_is_kept_once_in_the_vault_and_erased_with_the_account,
        lines_name_accounts_and_networks_and_nothing_else,
    )
}

const EMAIL: &str = "ada@example.org";
const ADDRESS: &str = "192.0.2.77";

/// The events of the security log, as they are stored.
async fn events(world: &World) -> Vec<(String, Value)> {
    let rows = world.rows("events", &["position", "type", "data"]).await;
    let rows = rows
        .into_iter()
        .filter(|row| row[1].starts_with("security."));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|row| row[0].parse::<i64>().unwrap());
    rows.into_iter()
        .map(|row| (row[1].clone(), serde_json::from_str(&row[2]).unwrap()))
        .collect()
}

async fn what_matters_to_an_account_is_an_event(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up("Ada", EMAIL).await.unwrap();
    let session = world.sign_in_with(EMAIL, PASSWORD, ADDRESS).await.unwrap();
    let message = CreateApiTokenRequest {
        name: "ci".into(),
        expires_in_days: Some(1),
    };
    let request = world.request(&developer(&user), message);
    let created = world.client().create_api_token(request).await.unwrap();
    let created = created.into_inner();
    for _ in 0..2 {
        world.authenticate(&created.token).await.unwrap();
        world.advance(120);
    }
    for _ in 0..2 {
        let message = DeleteSessionRequest {
            token: session.token.clone(),
        };
        world.client().delete_session(message).await.unwrap();
    }
    let events = events(&world).await;
    let types: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    let expected = ["signed_in", "api_token_first_used", "signed_out"];
    assert_eq!(types, expected.map(|kind| format!("security.{kind}")));
    for (kind, data) in &events {
        assert_eq!(data["account_id"], user.id, "{kind}");
    }
    assert_eq!(events[1].1["token_id"], created.api_token.unwrap().id);
}

async fn failures_make_one_event_for_an_account_and_minute(place: Place) {
    let mut world = World::start(&place).await;
    let user = world.sign_up("Ada", EMAIL).await.unwrap();
    world.service.run(&world.deps);
    for n in 0..7 {
        for email in [EMAIL, "nobody@example.org"] {
            let wrong = world
                .sign_in_with(email, "wrong", &format!("198.51.100.{n}"))
                .await;
            assert_eq!(code(wrong), "credentials_wrong");
        }
    }
    until(&world, 60, 1).await;
    for n in 0..5 {
        let wrong = world
            .sign_in_with(EMAIL, "wrong", &format!("198.51.100.{n}"))
            .await;
        let expected = if n < 3 {
            "credentials_wrong"
        } else {
            "too_many_attempts"
        };
        assert_eq!(code(wrong), expected);
    }
    until(&world, 0, 2).await;
    let events = until(&world, 60, 3).await;
    let told: Vec<_> = events
        .iter()
        .map(|(kind, data)| (kind.as_str(), data["count"].as_u64()))
        .collect();
    let expected = [
        ("security.sign_in_failed", Some(7)),
        ("security.sign_in_locked", None),
        ("security.sign_in_failed", Some(3)),
    ];
    assert_eq!(told, expected);
    for (kind, data) in &events {
        assert_eq!(data["account_id"], user.id, "{kind}");
    }
    assert_eq!(events[1].1["until"], "2026-01-01T00:05:00Z");
    // What is left is told at the end.
    assert!(world.sign_in_with(ADMIN, "wrong", "").await.is_err());
    world.deps.shutdown.cancel();
    world.deps.tasks.close();
    world.deps.tasks.wait().await;
    assert_eq!(self::events(&world).await.len(), 4);
}

async fn refusals_make_one_event_for_an_account_and_minute(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up("Ada", EMAIL).await.unwrap();
    let refusals = |user: &str, count| Refusals {
        user_id: user.to_owned(),
        minute: time::parse("2026-01-01T00:01:00Z"),
        count,
    };
    let reporter = "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e";
    let report = async |caller: &Caller, all: Vec<Refusals>| {
        let message = ReportRefusalsRequest {
            reporter: reporter.to_owned(),
            refusals: all,
        };
        let request = world.request(caller, message);
        world.client().report_refusals(request).await
    };
    let edge = Caller::service("edge");
    // The second one, because the answer to the first was lost.
    for _ in 0..2 {
        let answer = report(&edge, vec![refusals(&user.id, 3)]).await.unwrap();
        assert_eq!(answer.into_inner(), ReportRefusalsResponse {});
    }
    let (kind, data) = events(&world).await.remove(0);
    assert_eq!(kind, "security.refused");
    let expected = json!({"account_id": user.id, "minute": "2026-01-01T00:01:00Z", "count": 3});
    assert_eq!(data, expected);
    // What cannot be is refused as a whole.
    let wrong = vec![refusals(ADMIN, 1)];
    assert_eq!(code(report(&edge, wrong).await), "id_invalid");
    let many = vec![refusals(&user.id, 1); 1001];
    assert_eq!(code(report(&edge, many).await), "refusals_invalid");
    let other = report(&developer(&user), vec![refusals(&user.id, 1)]).await;
    assert_eq!(code(other), "forbidden");
    assert_eq!(events(&world).await.len(), 1);
}

/// Neither the answers nor their number tell whether there is an account. A refusal says by its status that it was one, so
/// it may be quick: a hash for nothing would only serve a flood.
async fn what_there_is_not_is_locked_as_what_there_is(place: Place) {
    let world = World::start(&place).await;
    world.sign_up("Ada", EMAIL).await.unwrap();
    let mut answers = Vec::new();
    for email in [EMAIL, "nobody@example.org"] {
        let mut told = Vec::new();
        for n in 0..12 {
            let address = format!("198.51.100.{n}");
            told.push(world.sign_in_with(email, "wrong", &address).await.err());
        }
        answers.push(told);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0][9].as_ref().unwrap().code, "credentials_wrong");
    assert_eq!(answers[0][10].as_ref().unwrap().code, "too_many_attempts");
}

/// The events once there are so many, after so many seconds.
async fn until(world: &World, seconds: u64, count: usize) -> Vec<(String, Value)> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    // The one who stores them may not sleep yet, so the time goes on until it does; but not while it stores, or the window
    // of the attempts would end meanwhile.
    loop {
        world.advance(seconds);
        let advanced = tokio::time::Instant::now();
        while advanced.elapsed() < Duration::from_secs(2) {
            let events = events(world).await;
            if events.len() >= count {
                return events;
            }
            tokio::task::yield_now().await;
        }
        assert!(tokio::time::Instant::now() < deadline, "no event");
    }
}

async fn an_address_is_kept_once_in_the_vault_and_erased_with_the_account(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up("Ada", EMAIL).await.unwrap();
    for address in [ADDRESS, ADDRESS, "2001:db8::1", "2001:db8::2", ""] {
        assert!(world.sign_in_with(EMAIL, PASSWORD, address).await.is_ok());
    }
    let vault = world.deps.vault(world.store.database());
    let owner = Owner::new("user", user.id.parse().unwrap());
    let mut found = Vec::new();
    let mut references = Vec::new();
    for (_, data) in events(&world).await {
        let Some(reference) = data["address_ref"].as_str() else {
            continue;
        };
        let reference = VaultRef(reference.parse().unwrap());
        let address = vault.get(&owner, &reference).await.unwrap().unwrap();
        found.push(address.expose().to_owned());
        references.push(reference);
    }
    assert_eq!(found, [ADDRESS, ADDRESS, "2001:db8::", "2001:db8::"]);
    references.dedup();
    assert_eq!(references.len(), 2);
    let admin = world.admin().await;
    let message = portico_proto::accounts::v1::EraseUserRequest { id: user.id };
    let request = world.request(&admin, message);
    world.client().erase_user(request).await.unwrap();
    for reference in references {
        assert_eq!(vault.get(&owner, &reference).await.unwrap(), None);
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A callsite that another test's thread reaches first, where nobody listens, is remembered as one that nobody ever
/// listens to. With a subscriber for the whole process there is no such thread.
fn hear_every_callsite() {
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
}

async fn lines_name_accounts_and_networks_and_nothing_else(place: Place) {
    let world = World::start(&place).await;
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    hear_every_callsite();
    let user = signs_in_and_out(&world).with_subscriber(subscriber).await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for secret in [
        EMAIL,
        "Ada",
        PASSWORD,
        "a wrong one",
        ADDRESS,
        "pts_",
        "ptk_",
    ] {
        assert!(!text.contains(secret), "{secret} is logged");
    }
    let mut told: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["target"] == "security")
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            (text("event"), text("account"), text("address"))
        })
        .collect();
    let (nobody, network) = (String::new(), "192.0.2.0/24");
    let expected = [
        ("sign_in_failed", &user, network),
        ("sign_in_of_unknown_account", &nobody, network),
        ("signed_in", &user, network),
        ("api_token_made", &user, ""),
        ("api_token_first_used", &user, ""),
        ("api_token_revoked", &user, ""),
        ("signed_out", &user, ""),
        ("sign_in_failed", &user, network),
        ("sign_in_locked", &user, network),
        ("sign_in_refused", &nobody, network),
    ];
    let expected = expected
        .map(|(what, account, address)| (what.to_owned(), account.clone(), address.to_owned()));
    // Of ten failures one is enough.
    told.dedup();
    assert_eq!(told, expected);
}

/// Returns who.
async fn signs_in_and_out(world: &World) -> String {
    let user = world.sign_up("Ada", EMAIL).await.unwrap();
    for email in [EMAIL, "nobody@example.org"] {
        let wrong = world.sign_in_with(email, "a wrong one", ADDRESS).await;
        assert_eq!(code(wrong), "credentials_wrong");
    }
    let session = world.sign_in_with(EMAIL, PASSWORD, ADDRESS).await.unwrap();
    let message = CreateApiTokenRequest {
        name: "ci".into(),
        expires_in_days: Some(1),
    };
    let request = world.request(&developer(&user), message);
    let created = world.client().create_api_token(request).await.unwrap();
    let created = created.into_inner();
    world.authenticate(&created.token).await.unwrap();
    let message = RevokeApiTokenRequest {
        id: created.api_token.unwrap().id,
    };
    let request = world.request(&developer(&user), message);
    world.client().revoke_api_token(request).await.unwrap();
    let message = DeleteSessionRequest {
        token: session.token,
    };
    world.client().delete_session(message).await.unwrap();
    for n in 0..11 {
        let wrong = world.sign_in_with(EMAIL, "a wrong one", ADDRESS).await;
        let limited = code(wrong) == "too_many_attempts";
        assert_eq!(limited, n == 10);
    }
    user.id
}
