//! What is verified of an identity provider before it is stored, and the connection test.

use portico_proto::{Kind, registration::v1::*};
use portico_sandbox::identity_provider::{Answer, Fault, Operation};
use serde_json::json;

use crate::support::{App, TOKEN, admin, answer, change, field, of, provider, with_secrets};

#[tokio::test]
async fn a_document_that_is_wrong_is_named_and_nothing_is_stored() {
    let (app, sandbox) = (App::start().await, provider().await);
    let refused = async |message| app.create(message).await.unwrap_err();
    let at = |url: &str| IdentityProvider {
        well_known_url: url.into(),
        ..with_secrets(of(&sandbox))
    };
    let base = sandbox.url();
    for (url, code) in [
        ("", "well_known_url_missing"),
        ("not a url", "well_known_url_invalid"),
        (base.as_str(), "well_known_url_invalid"),
        (
            "ftp://127.0.0.1/.well-known/openid-configuration",
            "well_known_url_invalid",
        ),
        (
            "http://10.255.255.1/.well-known/openid-configuration",
            "well_known_address_forbidden",
        ),
    ] {
        let error = refused(at(url)).await;
        assert_eq!(field(&error), ("well_known_url", code), "{url}");
        assert_eq!(error.kind, Kind::Invalid);
    }
    let page = Answer::html(200);
    sandbox.fail_next(Operation::Discovery, 1, Fault::Refuse(page));
    let error = refused(of(&sandbox)).await;
    assert_eq!(field(&error), ("well_known_url", "well_known_not_json"));
    sandbox.fail_next(Operation::Discovery, 1, Fault::Refuse(Answer::status(404)));
    let error = refused(of(&sandbox)).await;
    assert_eq!(field(&error), ("well_known_url", "well_known_status"));
    sandbox.behave(|behaviour| behaviour.issuer = Some("https://elsewhere.example".into()));
    let error = refused(of(&sandbox)).await;
    assert_eq!(field(&error), ("well_known_url", "issuer_mismatch"));
    sandbox.behave(|behaviour| behaviour.issuer = None);
    let without = json!({"issuer": base, "token_endpoint": base, "jwks_uri": base});
    let answer = Answer::json(200, &without);
    sandbox.fail_next(Operation::Discovery, 1, Fault::Refuse(answer));
    let error = refused(of(&sandbox)).await;
    assert_eq!(
        field(&error),
        ("well_known_url", "registration_endpoint_missing")
    );
    let page = Answer::html(200);
    sandbox.fail_next(Operation::Jwks, 1, Fault::Refuse(page));
    let error = refused(of(&sandbox)).await;
    assert_eq!(field(&error), ("well_known_url", "jwks_unusable"));
    let message = of(&sandbox);
    sandbox.stop().await;
    let error = refused(message).await;
    assert_eq!(field(&error), ("well_known_url", "well_known_unreachable"));
    assert_eq!(app.events().await, 0);
    assert_eq!(app.vault_entries().await, 0);
}

/// RFC 8414 section 2: a server may take registrations and not say where.
#[tokio::test]
async fn an_admin_may_say_where_clients_are_registered() {
    let (app, sandbox) = (App::start().await, provider().await);
    let announced = app.create(of(&sandbox)).await.unwrap();
    let endpoint = announced.registration_endpoint.clone();
    assert_eq!(announced.registration_endpoint_override, None);
    sandbox.behave(|behaviour| behaviour.registration_unannounced = true);
    let told = |url: &str| IdentityProvider {
        name: "Silent".into(),
        registration_endpoint_override: Some(url.into()),
        ..of(&sandbox)
    };
    let error = app.create(told("")).await.unwrap_err();
    assert_eq!(
        field(&error),
        ("well_known_url", "registration_endpoint_missing")
    );
    assert!(error.message.contains("registration_endpoint_override"));
    for (url, code) in [
        ("/register", "registration_endpoint_override_invalid"),
        ("https://elsewhere.example/r", "endpoint_foreign_origin"),
    ] {
        let error = app.create(told(url)).await.unwrap_err();
        assert_eq!(field(&error), ("registration_endpoint_override", code));
    }

    let created = app.create(told(&format!(" {endpoint}"))).await.unwrap();
    assert_eq!(created.registration_endpoint, endpoint);
    assert_eq!(created.registration_endpoint_override(), endpoint);
    // It stays where something else changes, and is used again by the test of what is stored.
    let renamed = change(
        &created.id,
        json!({"well_known_url": created.well_known_url.clone()}),
    );
    let renamed = app.update(renamed).await.unwrap();
    assert_eq!(renamed.registration_endpoint_override(), endpoint);
    let without = change(&created.id, json!({"registration_endpoint_override": ""}));
    let error = app.update(without.clone()).await.unwrap_err();
    assert_eq!(
        field(&error),
        ("well_known_url", "registration_endpoint_missing")
    );
    sandbox.behave(|behaviour| behaviour.registration_unannounced = false);
    let announced = app.update(without).await.unwrap();
    assert_eq!(announced.registration_endpoint, endpoint);
    assert_eq!(announced.registration_endpoint_override, None);
}

#[tokio::test]
async fn all_that_is_wrong_with_the_fields_is_told_at_once() {
    let (app, sandbox) = (App::start().await, provider().await);
    let message = IdentityProvider {
        name: " ".into(),
        r#type: 0,
        initial_access_token: Some("two words".into()),
        ..of(&sandbox)
    };
    let error = app.create(message).await.unwrap_err();
    let codes: Vec<&str> = error
        .fields
        .iter()
        .map(|field| field.code.as_str())
        .collect();
    assert_eq!(
        codes,
        [
            "name_missing",
            "type_missing",
            "initial_access_token_malformed"
        ]
    );
    assert_eq!(sandbox.requests(Operation::Discovery), 0);
}

#[tokio::test]
async fn a_changed_url_is_verified_and_the_same_one_read_again() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(of(&sandbox)).await.unwrap();
    sandbox.add_scope("gold_plan");
    let read_again = change(
        &created.id,
        json!({"well_known_url": sandbox.well_known_url()}),
    );
    let updated = app.update(read_again).await.unwrap();
    assert!(updated.scopes_supported.contains(&"gold_plan".to_owned()));
    sandbox.fail_next(Operation::Discovery, 1, Fault::Refuse(Answer::html(200)));
    let skip = change(&created.id, json!({"skip_tls_verify": true}));
    let error = app.update(skip.clone()).await.unwrap_err();
    assert_eq!(field(&error), ("well_known_url", "well_known_not_json"));
    assert_eq!(app.get(&admin(), &created.id).await.unwrap(), updated);
    assert!(app.update(skip).await.unwrap().skip_tls_verify);
}

#[tokio::test]
async fn tokens_do_not_follow_to_another_issuer() {
    let (app, sandbox, other) = (App::start().await, provider().await, provider().await);
    let mut message = of(&sandbox);
    message.initial_access_token = Some(TOKEN.into());
    let created = app.create(message).await.unwrap();
    let moved = change(
        &created.id,
        json!({"well_known_url": other.well_known_url()}),
    );
    let error = app.update(moved).await.unwrap_err();
    assert_eq!(
        field(&error),
        ("initial_access_token", "initial_access_token_missing")
    );
    let moved = json!({"well_known_url": other.well_known_url(), "initial_access_token": null});
    let moved = change(&created.id, moved);
    let moved = app.update(moved).await.unwrap();
    assert_eq!(moved.issuer, other.url());
    assert!(!moved.has_initial_access_token);
    assert_eq!(app.vault_entries().await, 0);
}

#[tokio::test]
async fn the_connection_test_tells_every_step_and_stores_nothing() {
    use check_identity_provider_request::Subject;
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(of(&sandbox)).await.unwrap();
    let check = async |subject| {
        let request = app.by_admin(CheckIdentityProviderRequest {
            subject: Some(subject),
        });
        answer(app.client().check_identity_provider(request).await)
    };
    for subject in [
        Subject::Id(created.id.clone()),
        Subject::Settings(of(&sandbox)),
    ] {
        let result = check(subject).await.unwrap();
        assert!(result.ok, "{result:?}");
        assert_eq!(result.steps.len(), 8);
    }
    sandbox.behave(|behaviour| behaviour.issuer = Some("https://elsewhere.example".into()));
    let result = check(Subject::Id(created.id)).await.unwrap();
    assert!(!result.ok);
    let steps: Vec<_> = result
        .steps
        .iter()
        .map(ConnectionCheckStep::outcome)
        .collect();
    assert_eq!(
        steps[..3],
        [
            CheckOutcome::Passed,
            CheckOutcome::Failed,
            CheckOutcome::Skipped
        ]
    );
    let nobody = app.deps.clock.new_id().to_string();
    let error = check(Subject::Id(nobody)).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    let wrong = IdentityProvider {
        r#type: 77,
        ..of(&sandbox)
    };
    let error = check(Subject::Settings(wrong)).await.unwrap_err();
    assert_eq!(error.code, "type_invalid");
    assert_eq!(app.events().await, 1);
}
