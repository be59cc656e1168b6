//! One journey against every kind of identity provider: Keycloak and the strangers are real, one of them certified;
//! the others are doubles.

use http::StatusCode;
use portico_tests::{
    keycloak::KEYCLOAK,
    peers::{AUTHLIB, OIDC_PROVIDER},
};
use portico_trials::{Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    actions::{Configured, Credentials},
    peers::Double,
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = trials!(single, []; okta, auth0, gluu, curity, other);
    trials.extend(trials!(single, [KEYCLOAK]; keycloak));
    trials.extend(trials!(single, [OIDC_PROVIDER]; node_oidc_provider));
    trials.extend(trials!(single, [AUTHLIB]; authlib));
    trials
}

async fn okta() {
    journey(Provider::Double(Double::okta().await)).await;
}

async fn auth0() {
    journey(Provider::Double(Double::auth0().await)).await;
}

async fn gluu() {
    journey(Provider::Double(Double::gluu().await)).await;
}

async fn curity() {
    journey(Provider::Double(Double::curity().await)).await;
}

async fn other() {
    journey(Provider::sandbox().await).await;
}

async fn node_oidc_provider() {
    journey(Provider::oidc_provider()).await;
}

async fn authlib() {
    let provider = Provider::authlib();
    let ways = Ways {
        taken_away: Some(200),
        ..Ways::of(provider.kind())
    };
    journey_by(ways, provider).await;
}

async fn keycloak() {
    journey(Provider::keycloak().await).await;
}

/// What differs, and has to.
struct Ways {
    /// Auth0 gives a token for an API, and only for one that is asked for.
    audience: Option<&'static str>,
    /// What a token request for a scope that was taken away is answered with. Okta's policies decide, not the client;
    /// Gluu and Authlib leave the scope out.
    taken_away: Option<u16>,
    /// Whether a client keeps its secret when its scopes change.
    keeps_secret: bool,
    /// Whether a secret can be replaced.
    rotates: bool,
    /// Whether the one before works until it is ended.
    keeps_old_secret: bool,
}

impl Ways {
    fn of(kind: &str) -> Self {
        let usual = Self {
            audience: None,
            taken_away: Some(400),
            keeps_secret: true,
            rotates: true,
            keeps_old_secret: false,
        };
        match kind {
            "okta" => Self {
                taken_away: None,
                keeps_old_secret: true,
                ..usual
            },
            "auth0" => Self {
                audience: Some("https://api.customer.example/"),
                taken_away: Some(403),
                ..usual
            },
            "gluu" => Self {
                taken_away: Some(200),
                rotates: false,
                ..usual
            },
            "curity" => Self {
                keeps_secret: false,
                ..usual
            },
            "other" => Self {
                rotates: false,
                ..usual
            },
            _ => usual,
        }
    }
}

async fn journey(provider: Provider) {
    journey_by(Ways::of(provider.kind()), provider).await;
}

async fn journey_by(ways: Ways, provider: Provider) {
    let world = World::start(provider, Backends::embedded()).await;
    let portal = world.configure().await;
    the_connection_test_passes(&world, &portal).await;

    let (first, application) = portal.submit(&portal.payments, None).await;
    world.approve(&first).await;
    let credentials = portal.credentials(&application).await;
    assert_eq!(credentials.scopes, "free_plan product_payments");
    let token = token(&credentials, &ways, "product_payments free_plan").await;
    assert_eq!(token, (200, "free_plan product_payments".to_owned()));
    assert_eq!(world.provider.client_count().await, 1);

    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    world.approve(&second).await;
    let grown = portal.credentials(&application).await;
    assert_eq!(grown.scopes, "free_plan product_orders product_payments");
    assert_eq!(grown.client_id, credentials.client_id);
    if ways.keeps_secret {
        assert_eq!(grown.client_secret, credentials.client_secret);
    }
    let both = token_of(&grown, &ways, "product_payments product_orders").await;
    assert_eq!(both, (200, "product_orders product_payments".to_owned()));
    assert_eq!(world.provider.client_count().await, 1);

    revoke(&world, &second).await;
    until("the scopes have shrunk", || async {
        let now = portal.credentials(&application).await;
        (now.scopes == "free_plan product_payments").then_some(())
    })
    .await;
    let shrunk = portal.credentials(&application).await;
    match ways.taken_away {
        Some(status) => {
            let orders = token_of(&shrunk, &ways, "product_orders").await;
            assert_eq!(orders, (status, String::new()));
        }
        None => it_is_said_that_scopes_are_elsewhere(&portal, &application).await,
    }
    let payments = token_of(&shrunk, &ways, "product_payments").await;
    assert_eq!(payments.0, 200);

    let last = rotate(&portal, &application, &shrunk, &ways).await;
    revoke(&world, &first).await;
    until("the client is deleted", || async {
        (world.provider.client_count().await == 0).then_some(())
    })
    .await;
    assert_eq!(token_of(&last, &ways, "free_plan").await.0, 401);
    // The provider has deleted it a moment before Portico knows.
    until("there are no credentials", || async {
        portal.try_credentials(&application).await.err()
    })
    .await;
}

use token_of as token;

/// The status and the scopes of a token, sorted.
async fn token_of(credentials: &Credentials, ways: &Ways, scope: &str) -> (u16, String) {
    let mut form = vec![("grant_type", "client_credentials"), ("scope", scope)];
    form.extend(ways.audience.map(|audience| ("audience", audience)));
    let response = portico_sandbox::outgoing::http_client()
        .unwrap()
        .post(&credentials.token_endpoint)
        .basic_auth(&credentials.client_id, Some(&credentials.client_secret))
        .form(&form)
        .send()
        .await
        .unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap_or_default();
    // Some name the scope in a refusal, too.
    let granted = body["scope"].as_str().filter(|_| status == 200);
    let granted = granted.unwrap_or_default();
    let mut scopes: Vec<&str> = granted.split_whitespace().collect();
    // Keycloak gives some of its own.
    scopes.retain(|scope| scope.starts_with("product_") || scope.ends_with("_plan"));
    scopes.sort_unstable();
    (status, scopes.join(" "))
}

async fn the_connection_test_passes(world: &World, portal: &Configured) {
    let path = format!("/api/v1/identity-providers/{}/check", portal.provider_id);
    let answer = world.admin.post(&path, json!({})).await.unwrap();
    let check = answer.expect(StatusCode::OK).unwrap();
    assert_eq!(check["ok"], true, "{check}");
    let steps = check["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["name"] == "authorization");
    // An initial access token may be good for one use, so it is not tried.
    let outcome = step.unwrap()["outcome"].as_str().unwrap();
    assert!(["passed", "skipped"].contains(&outcome), "{check}");
}

async fn revoke(world: &World, request: &str) {
    let revoked = world.act(&world.admin, request, "revoke").await;
    revoked.expect(StatusCode::ACCEPTED).unwrap();
}

async fn it_is_said_that_scopes_are_elsewhere(portal: &Configured, application: &str) {
    let path = format!("/api/v1/applications/{application}/credentials");
    let body = portal.developer.get(&path).await.unwrap().body;
    let differences = body["differences"].as_array().unwrap();
    let scope = differences.iter().find(|one| one["member"] == "scope");
    let consequence = scope.unwrap()["consequence"].as_str().unwrap();
    assert!(consequence.contains("access policies"), "{body}");
}

/// A new secret, where there is a way to one. Gives the credentials that are good then.
async fn rotate(
    portal: &Configured,
    application: &str,
    before: &Credentials,
    ways: &Ways,
) -> Credentials {
    let path = format!("/api/v1/applications/{application}/credentials/rotate");
    let answer = portal.developer.post(&path, json!({})).await.unwrap();
    if !ways.rotates {
        assert_eq!(answer.body["code"], "rotation_not_supported", "{answer:?}");
        assert_eq!(token_of(before, ways, "free_plan").await.0, 200);
        return before.clone();
    }
    answer.expect(StatusCode::OK).unwrap();
    let after = portal.credentials(application).await;
    assert_ne!(after.client_secret, before.client_secret);
    assert_eq!(token_of(&after, ways, "free_plan").await.0, 200);
    if ways.keeps_old_secret {
        assert_eq!(token_of(before, ways, "free_plan").await.0, 200);
        let path = format!("/api/v1/applications/{application}/credentials");
        let shown = portal.developer.get(&path).await.unwrap().body;
        assert!(shown["old_secret_valid_until"].is_string(), "{shown}");
        let (ended, body) = end_old_secret(portal, application).await;
        assert_eq!(ended, StatusCode::NO_CONTENT, "{body}");
    }
    let (again, body) = end_old_secret(portal, application).await;
    assert_eq!(again, StatusCode::CONFLICT, "{body}");
    assert_eq!(body["code"], "no_old_secret", "{body}");
    assert_eq!(token_of(before, ways, "free_plan").await.0, 401);
    assert_eq!(token_of(&after, ways, "free_plan").await.0, 200);
    after
}

async fn end_old_secret(portal: &Configured, application: &str) -> (StatusCode, Value) {
    let path = format!("/api/v1/applications/{application}/credentials/old-secret");
    let answer = portal.developer.delete(&path).await.unwrap();
    (answer.status, answer.body)
}
