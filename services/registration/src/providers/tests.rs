//! The table of drivers, and what the tests of drivers share.

pub(crate) mod double;

use async_trait::async_trait;
use serde_json::json;

use super::*;
use double::{Fixture, Reply, Seen, ids, reply, wanted};

#[test]
fn every_type_has_one_name_and_one_driver() {
    for (name, driver) in DRIVERS {
        let found = entry(&ProviderType::new(name));
        assert_eq!(found.0, *name);
        assert_eq!(found.1.class(), driver.class(), "{name}");
        assert_eq!(DRIVERS.iter().filter(|(other, _)| other == name).count(), 1);
    }
    assert_eq!(entry(&ProviderType::new("Keycloak")).0, "other");
}

#[test]
fn types_differ_in_what_can_be_found_out_about_an_attempt() {
    use ReconcileClass::{ChosenId, Plain, Search};
    let classes: Vec<_> = DRIVERS.iter().map(|(_, driver)| driver.class()).collect();
    assert_eq!(classes, [ChosenId, Search, Search, Plain, Plain, Plain]);
}

/// A provider that follows the RFCs and says one thing more. The line of [`DRIVERS`] would be
/// `("minimal", &minimal::Minimal)`.
struct Minimal;

#[async_trait]
impl Driver for Minimal {
    fn customize(&self, _site: Site<'_>, body: &mut serde_json::Map<String, serde_json::Value>) {
        body.insert("minimal".into(), true.into());
    }
}

#[tokio::test]
async fn a_driver_says_only_where_its_provider_differs_from_the_rfcs() {
    let fixture = Fixture::start(|seen| match seen.method.as_str() {
        "DELETE" => reply(204, json!(null)),
        _ => reply(200, json!({"client_id": "c1", "scope": "a"})),
    })
    .await;
    let table: &[Entry] = &[("minimal", &Minimal)];
    let (_, driver) = table[0];
    let prepared = driver.prepare(fixture.site(), &wanted(&["a"]), &ids());
    let session = fixture.session();
    driver.register(&session, &prepared.unwrap()).await.unwrap();
    let known = fixture.known();
    driver.read(&session, &known).await.unwrap();
    let updated = driver.update(&session, &known, &wanted(&["a"])).await;
    updated.unwrap();
    assert_eq!(
        driver.delete(&session, &known).await.unwrap(),
        Deleted::Deleted
    );
    let seen = fixture.server.seen();
    let methods: Vec<&str> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods, ["POST", "GET", "GET", "PUT", "DELETE"]);
    assert_eq!(seen[0].json()["minimal"], true);
    assert_eq!(seen[3].json()["minimal"], true);
}

/// The registration access token that Portico knows may be an old one, since Keycloak rotates it: that it is refused says
/// nothing while the management credentials, which come first, got no answer.
#[tokio::test]
async fn a_provider_that_is_away_is_not_a_refused_token() {
    let fixture = Fixture::start(|seen| match seen.target.as_str() {
        "/token" => reply(200, json!({"access_token": "of-management"})),
        _ if seen.authorization() == "Bearer of-management" => reply(502, json!({})),
        "/install/c1" => reply(200, json!({})),
        _ => reply(401, json!({"error": "invalid_token"})),
    })
    .await
    .with_management("portico", "of-portico");
    let (session, known) = (fixture.session(), fixture.known());
    let driver = entry(&ProviderType::new("keycloak")).1;
    let deleted = driver.delete(&session, &known).await.unwrap_err();
    let updated = driver.update(&session, &known, &wanted(&["a"])).await;
    for failure in [deleted, updated.unwrap_err()] {
        assert_eq!(failure.disposition, Disposition::Retry, "{failure}");
        assert_eq!(failure.status, Some(502));
    }
}

/// An update that comes in twice rotates the token at the first time, and is refused at the second.
#[tokio::test]
async fn a_token_that_was_rotated_meanwhile_decides_nothing() {
    let fixture = Fixture::start(|seen| match seen.method.as_str() {
        "GET" => reply(
            200,
            json!({"clientId": "c1", "optionalClientScopes": ["a"]}),
        ),
        _ => reply(401, json!({"error": "invalid_token"})),
    })
    .await;
    let driver = entry(&ProviderType::new("keycloak")).1;
    let (session, known) = (fixture.session(), fixture.known());
    let updated = driver.update(&session, &known, &wanted(&["a"])).await;
    let failure = updated.unwrap_err();
    assert_eq!(failure.disposition, Disposition::Retry);
    assert!(failure.outcome_unknown, "the first one was carried out");

    let other = entry(&ProviderType::new("other")).1;
    let updated = other.update(&session, &known, &wanted(&["a"])).await;
    let failure = updated.unwrap_err();
    assert_eq!(failure.disposition, Disposition::Unmanageable);
    assert!(failure.outcome_unknown);
}

/// A provider of each type that can tell by its own word that a client is not there.
async fn with_management(kind: &str, behave: fn(&Seen) -> Reply) -> Fixture {
    let mut fixture = Fixture::start(move |seen: &Seen| match seen.target.as_str() {
        "/token" => reply(200, json!({"access_token": "of-management"})),
        _ => behave(seen),
    })
    .await;
    fixture.endpoints.issuer = format!("{}/realms/r", fixture.server.base);
    if kind == "keycloak" {
        return fixture.with_management("portico", "of-portico");
    }
    fixture.method = Method::ApiToken;
    fixture.options.api_audience = "https://api.example".into();
    fixture.options.management_audience = fixture.server.url("/api/v2/").to_string();
    fixture
}

async fn updated(kind: &str, fixture: &Fixture) -> Result<RegisteredClient, Failure> {
    let driver = entry(&ProviderType::new(kind)).1;
    let (session, known) = (fixture.session(), fixture.known());
    driver.update(&session, &known, &wanted(&["a"])).await
}

/// Read, update, delete and rotation of a client, and what came of them.
async fn managed(kind: &str, fixture: &Fixture) -> Vec<Result<(), Failure>> {
    let driver = entry(&ProviderType::new(kind)).1;
    let (session, known) = (fixture.session(), fixture.known());
    let chosen = portico_vault::Secret::new("another-secret-of-it");
    vec![
        driver.read(&session, &known).await.map(drop),
        updated(kind, fixture).await.map(drop),
        driver
            .rotate_secret(&session, &known, &chosen)
            .await
            .map(drop),
        driver.delete(&session, &known).await.map(drop),
    ]
}

/// A proxy that does not know the path says so of every client.
#[tokio::test]
async fn a_404_of_somebody_else_is_no_word_on_a_client() {
    for kind in ["keycloak", "okta", "auth0"] {
        let page = |_: &Seen| Reply(404, vec![], "<h1>Not Found</h1>".to_owned());
        let json = |_: &Seen| reply(404, json!({"message": "no Route matched"}));
        for answer in [page as fn(&Seen) -> Reply, json] {
            let fixture = with_management(kind, answer).await;
            for outcome in managed(kind, &fixture).await {
                let failure = outcome.unwrap_err();
                let code = failure.code.as_str();
                assert!(
                    [failure::ABSENCE_UNCLEAR, "client_grant_conflict"].contains(&code),
                    "{kind}: {failure}"
                );
                assert_eq!(failure.disposition, Disposition::Retry, "{kind}");
                assert!(failure.outcome_unknown, "{kind}");
            }
        }
    }
}

/// Whoever may search there knows more than a 404.
#[tokio::test]
async fn keycloak_is_asked_for_the_client_by_its_id() {
    let found = |seen: &Seen| match seen.target.as_str() {
        "/admin/realms/r/clients?clientId=c1" => reply(200, json!([{"clientId": "c1"}])),
        _ => reply(404, json!({"error": "invalid_request"})),
    };
    let none = |seen: &Seen| match seen.target.as_str() {
        "/admin/realms/r/clients?clientId=c1" => reply(200, json!([])),
        _ => reply(404, json!({"error": "invalid_request"})),
    };
    for (answer, is_gone) in [(found as fn(&Seen) -> Reply, false), (none, true)] {
        let fixture = with_management("keycloak", answer).await;
        let mut outcomes = managed("keycloak", &fixture).await;
        let deleted = outcomes.pop().unwrap();
        assert_eq!(deleted.is_ok(), is_gone, "{deleted:?}");
        for outcome in outcomes {
            let failure = outcome.unwrap_err();
            let is_gone_too = failure.disposition == Disposition::Gone;
            assert_eq!(is_gone_too, is_gone, "{failure}");
        }
    }
}

/// RFC 7592 section 2.2: what is left out is deleted, so what nobody here knows is sent back, and not kept.
#[tokio::test]
async fn an_update_sends_back_what_nobody_here_knows() {
    for kind in ["other", "gluu", "okta"] {
        let fixture = with_management(kind, |seen: &Seen| match seen.method.as_str() {
            "GET" => reply(
                200,
                json!({
                    "client_id": "c1", "client_name": "Weather app", "scope": "a", "application_type": "service",
                    "policy_of_an_admin": {"level": 2}, "api_secret": "of-an-admin", "client_secret": "$2y$digest",
                    "registration_access_token": "rat2", "nothing": null,
                }),
            ),
            _ => reply(200, json!({"client_id": "c1", "scope": "a", "policy_of_an_admin": 3})),
        })
        .await;
        let updated = updated(kind, &fixture).await.unwrap();
        let seen = fixture.server.seen();
        let methods: Vec<&str> = seen.iter().map(|seen| seen.method.as_str()).collect();
        assert_eq!(methods, ["GET", "PUT"], "{kind}");
        let sent = seen[1].json();
        assert_eq!(sent["policy_of_an_admin"], json!({"level": 2}), "{kind}");
        assert_eq!(sent["api_secret"], "of-an-admin", "{kind}");
        assert_ne!(sent["client_secret"], "$2y$digest", "{kind}");
        let granted = serde_json::to_string(&updated.granted).unwrap();
        assert!(!granted.contains("admin"), "{kind}: {granted}");
        if kind != "okta" {
            // The read brought it, and the update none.
            assert_eq!(seen[1].authorization(), "Bearer rat2");
            let token = updated.registration_access_token;
            assert_eq!(token, Some(portico_vault::Secret::new("rat2")));
        }
    }
    // Keycloak keeps what is left out, so the origins that an admin allows are left out.
    let fixture = with_management("keycloak", |_| reply(200, json!({"clientId": "c1"}))).await;
    updated("keycloak", &fixture).await.unwrap();
    let seen = fixture.server.seen();
    let sent = seen.last().unwrap().json();
    assert!(sent.get("webOrigins").is_none() && sent.get("enabled").is_none());
}

/// A provider that lets nobody read a client is told what it said last; one that is away is asked again.
#[tokio::test]
async fn a_client_that_cannot_be_read_is_updated_all_the_same() {
    for (status, puts) in [(404, 1), (405, 1), (403, 1), (503, 0)] {
        let fixture = Fixture::start(move |seen: &Seen| match seen.method.as_str() {
            "GET" => reply(status, json!({})),
            "PUT" => reply(200, json!({"client_id": "c1"})),
            _ => reply(200, json!({"access_token": "t"})),
        })
        .await;
        let updated = updated("other", &fixture).await;
        assert_eq!(updated.is_ok(), puts == 1, "{status}");
        let seen = fixture.server.seen();
        let sent: Vec<_> = seen.iter().filter(|seen| seen.method == "PUT").collect();
        assert_eq!(sent.len(), puts, "{status}");
        assert!(
            sent.iter()
                .all(|put| put.json()["subject_type"] == "public")
        );
    }
}

/// Only of a call that makes or changes a client is it a success that cannot be read.
#[tokio::test]
async fn an_answer_without_end_is_unread_only_where_something_was_changed() {
    let endless = || Reply(200, vec![], "x".repeat(2 << 20));
    let fixture = Fixture::start(move |seen: &Seen| match seen.target.as_str() {
        "/token" => endless(),
        _ => reply(201, json!({"client_id": "c1"})),
    })
    .await
    .with_management("portico", "of-portico");
    let driver = entry(&ProviderType::new("other")).1;
    let prepared = driver.prepare(fixture.site(), &wanted(&["a"]), &ids());
    let registered = driver
        .register(&fixture.session(), &prepared.unwrap())
        .await;
    let failure = registered.unwrap_err();
    assert_eq!(failure.unread, None, "nothing was sent to be registered");
    assert!(!failure.outcome_unknown);
    let fixture = Fixture::start(move |_| endless()).await;
    let (session, known) = (fixture.session(), fixture.known());
    let read = driver.read(&session, &known).await.unwrap_err();
    assert_eq!((read.unread, read.outcome_unknown), (None, false));
    let prepared = driver.prepare(fixture.site(), &wanted(&["a"]), &ids());
    let registered = driver.register(&session, &prepared.unwrap()).await;
    let failure = registered.unwrap_err();
    assert!(failure.unread.is_some() && failure.outcome_unknown);
}
