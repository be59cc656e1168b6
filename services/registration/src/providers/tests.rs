//! The table of drivers, and what the tests of drivers share.

pub(crate) mod double;

use async_trait::async_trait;
use serde_json::json;

use super::*;
use double::{Fixture, ids, reply, wanted};

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
    assert_eq!(methods, ["POST", "GET", "PUT", "DELETE"]);
    assert_eq!(seen[0].json()["minimal"], true);
    assert_eq!(seen[2].json()["minimal"], true);
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
