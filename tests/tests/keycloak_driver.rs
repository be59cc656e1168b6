//! The Keycloak driver against a real Keycloak.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portico_registration::providers::check::check;
use portico_registration::providers::discovery::{Overrides, discover};
use portico_registration::providers::metadata::{SECRET_CHANGED, differences};
use portico_registration::providers::session::Fetch;
use portico_registration::providers::{
    ChosenIds, Deleted, Disposition, Driver, Endpoints, Failure, KnownClient, Management, Marker,
    Method, Options, ProviderType, RawAnswer, Reconciled, RegisteredClient, Session, Spool,
    SpoolError, Step, WantedClient, driver_for,
};
use portico_runtime::clock::Clock;
use portico_runtime::outgoing::address::AllowEntry;
use portico_runtime::outgoing::{Outgoing, OutgoingSettings};
use portico_tests::keycloak::{KEYCLOAK, Keycloak};
use portico_trials::trials;
use portico_vault::Secret;
use serde_json::json;

fn main() -> std::process::ExitCode {
    portico_trials::run([
        trials!(single, [KEYCLOAK]; registers_with_chosen_id_secret_and_scopes, the_connection_test_passes, an_attempt_may_be_repeated_and_makes_one_client, management_credentials_recover_a_lost_registration_access_token, scopes_grow_and_shrink_and_what_is_not_ours_stays, the_realms_own_scopes_stay, a_secret_that_somebody_changed_is_put_back, with_management_credentials_no_token_is_rotated, secrets_rotate_to_the_chosen_one_and_may_be_repeated, deletes_once_and_knows_what_is_gone, what_is_refused_has_a_name, a_client_for_people_signing_in_gets_its_redirect_urls, a_spooled_answer_is_as_good_as_the_call, a_suspended_client_gets_no_token_until_it_is_resumed),
    ])
}

/// Remembers what passed through, or loses it as a killed process would.
#[derive(Default)]
struct Kept(Mutex<Vec<RawAnswer>>);

#[async_trait]
impl Spool for Kept {
    async fn keep(&self, answer: &RawAnswer) -> Result<(), SpoolError> {
        self.0.lock().unwrap().push(answer.clone());
        Ok(())
    }
}

struct Provider {
    keycloak: Keycloak,
    endpoints: Endpoints,
    outgoing: Outgoing,
    initial: Option<Secret>,
    management: Option<Management>,
    options: Options,
    kept: Kept,
}

impl Provider {
    async fn start() -> Self {
        let keycloak = Keycloak::start().await;
        let allow: AllowEntry = "127.0.0.1".parse().unwrap();
        let outgoing = Outgoing::new(OutgoingSettings {
            allow: Arc::new([allow].into_iter().collect()),
            ..OutgoingSettings::default()
        });
        let fetch = Fetch {
            outgoing: &outgoing,
            skip_tls_verify: false,
            trusted_certificates: "",
        };
        let endpoints = discover(fetch, &keycloak.well_known_url(), Overrides::default())
            .await
            .unwrap();
        let initial = Some(Secret::new(keycloak.initial_access_token(100).await));
        let (management, kept) = (None, Kept::default());
        Self {
            keycloak,
            endpoints,
            outgoing,
            initial,
            management,
            options: Options::default(),
            kept,
        }
    }

    fn fetch(&self) -> Fetch<'_> {
        Fetch {
            outgoing: &self.outgoing,
            skip_tls_verify: false,
            trusted_certificates: "",
        }
    }

    fn session(&self) -> Session<'_> {
        Session {
            fetch: self.fetch(),
            endpoints: &self.endpoints,
            method: Method::implied(
                ProviderType::Keycloak,
                self.initial.is_some(),
                self.management.is_some(),
            ),
            options: &self.options,
            token: self.initial.as_ref(),
            management: self.management.as_ref(),
            software_statement: None,
            spool: &self.kept,
            deadline: Duration::from_secs(20),
        }
    }

    fn give_management(&mut self) {
        let (id, secret) = self.keycloak.management();
        self.management = Some(Management {
            client_id: id.into(),
            client_secret: Secret::new(secret),
        });
    }

    async fn register(
        &self,
        wanted: &WantedClient,
        ids: &ChosenIds,
    ) -> Result<RegisteredClient, Failure> {
        let prepared = driver().prepare(self.session().site(), wanted, ids)?;
        driver().register(&self.session(), &prepared).await
    }

    async fn registered(&self, scopes: &[&str]) -> KnownClient {
        let registered = self.register(&wanted(scopes), &ids()).await.unwrap();
        registered.into_known(set(scopes))
    }

    /// The scopes that a token of the client carries, or the error.
    async fn token(&self, client: &KnownClient, scope: &str) -> Result<BTreeSet<String>, String> {
        let secret = client.client_secret.as_ref().unwrap().expose();
        let (status, body) = self.keycloak.token(&client.client_id, secret, scope).await;
        if status != 200 {
            return Err(format!(
                "{status} {}",
                body["error"].as_str().unwrap_or_default()
            ));
        }
        let scope = body["scope"].as_str().unwrap_or_default();
        Ok(scope.split_whitespace().map(str::to_owned).collect())
    }
}

fn driver() -> &'static dyn Driver {
    driver_for(ProviderType::Keycloak)
}

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

fn wanted(scopes: &[&str]) -> WantedClient {
    WantedClient {
        name: "Weather app".into(),
        redirect_uris: Vec::new(),
        grant_types: set(&["client_credentials"]),
        response_types: BTreeSet::new(),
        token_endpoint_auth_method: "client_secret_basic".into(),
        scopes: set(scopes),
        okta_application_type: String::new(),
        marker: Marker {
            id: Clock::system().new_id().to_string(),
            attempt: 1,
        },
    }
}

fn ids() -> ChosenIds {
    ChosenIds {
        client_id: Clock::system().new_id().to_string(),
        client_secret: Secret::new(format!(
            "{}{}",
            Clock::system().new_id().simple(),
            Clock::system().new_id().simple()
        )),
    }
}

const PAYMENTS: &str = "product_payments free_plan";

async fn registers_with_chosen_id_secret_and_scopes() {
    let provider = Provider::start().await;
    let (wanted, ids) = (wanted(&["product_payments", "free_plan"]), ids());
    let registered = provider.register(&wanted, &ids).await.unwrap();
    assert_eq!(registered.client_id, ids.client_id);
    assert_eq!(registered.client_secret.as_ref(), Some(&ids.client_secret));
    assert!(registered.registration_access_token.is_some());
    assert_eq!(differences(&wanted, &registered.granted), []);
    let shown = serde_json::to_string(&registered.granted).unwrap();
    assert!(!shown.contains(ids.client_secret.expose()));

    let known = registered.into_known(wanted.scopes.clone());
    let scopes = provider.token(&known, PAYMENTS).await.unwrap();
    assert_eq!(scopes, set(&["product_payments", "free_plan"]));
    assert_eq!(
        provider.token(&known, "gold_plan").await,
        Err("400 invalid_scope".into())
    );
    let client = provider.keycloak.client(&ids.client_id).await.unwrap();
    assert_eq!(
        client["attributes"]["portico.marker"],
        wanted.marker.to_string()
    );
    assert_eq!(client["standardFlowEnabled"], json!(false));
    assert_eq!(provider.kept.0.lock().unwrap()[0].step, Step::Register);
}

async fn the_connection_test_passes() {
    let provider = Provider::start().await;
    let found = check(
        provider.fetch(),
        &provider.keycloak.well_known_url(),
        Overrides::default(),
    )
    .await;
    assert!(found.ok(), "{found:?}");
    assert_eq!(found.steps.len(), 6);
    let scopes = found.endpoints.unwrap().scopes_supported;
    assert!(scopes.contains(&"product_payments".to_owned()));
}

async fn an_attempt_may_be_repeated_and_makes_one_client() {
    let mut provider = Provider::start().await;
    // Good for one registration, so the repeated POST is refused for its token.
    provider.initial = Some(Secret::new(provider.keycloak.initial_access_token(1).await));
    let (wanted, ids) = (wanted(&["product_payments", "free_plan"]), ids());
    let prepared = driver()
        .prepare(provider.session().site(), &wanted, &ids)
        .unwrap();
    driver()
        .register(&provider.session(), &prepared)
        .await
        .unwrap();

    // The process died, and with it the answer.
    for initial in [
        provider.keycloak.initial_access_token(5).await,
        String::new(),
    ] {
        if !initial.is_empty() {
            provider.initial = Some(Secret::new(initial));
        }
        let found = driver()
            .reconcile(&provider.session(), &prepared)
            .await
            .unwrap();
        let Reconciled::Registered(found) = found else {
            panic!("{found:?}")
        };
        assert_eq!(found.client_id, ids.client_id);
        assert!(found.registration_access_token.is_none() && found.warnings.len() == 1);
        let known = found.into_known(wanted.scopes.clone());
        assert!(provider.token(&known, PAYMENTS).await.is_ok());
        assert!(!driver().can_manage(&provider.session(), &known));
        let failure = driver()
            .update(&provider.session(), &known, &wanted)
            .await
            .unwrap_err();
        assert_eq!(failure.disposition, Disposition::Unmanageable);
        // The second time round its token is used up.
        provider.initial = Some(Secret::new("damaged"));
    }
    assert_eq!(provider.keycloak.client_count().await, 1);
}

async fn management_credentials_recover_a_lost_registration_access_token() {
    let mut provider = Provider::start().await;
    let (wanted, ids) = (wanted(&["product_payments"]), ids());
    provider.register(&wanted, &ids).await.unwrap();
    provider.give_management();
    let found = provider.register(&wanted, &ids).await.unwrap();
    assert_eq!(found.client_secret.as_ref(), Some(&ids.client_secret));
    let known = found.into_known(wanted.scopes.clone());
    assert!(known.registration_access_token.is_some());

    // The token is good without the credentials.
    provider.management = None;
    let read = driver().read(&provider.session(), &known).await.unwrap();
    assert_eq!(read.client_secret, None);
    assert_eq!(read.granted.scopes(), Some(wanted.scopes));
    assert_eq!(provider.keycloak.client_count().await, 1);
}

async fn scopes_grow_and_shrink_and_what_is_not_ours_stays() {
    let provider = Provider::start().await;
    let mut known = provider
        .registered(&["product_payments", "free_plan"])
        .await;
    let all = "product_payments product_orders free_plan";
    assert!(provider.token(&known, all).await.is_err());

    // An admin gives the client a scope of their own.
    let client = provider.keycloak.client(&known.client_id).await.unwrap();
    let scopes = provider.keycloak.admin_url("/client-scopes");
    let (_, scopes) = provider.keycloak.admin("GET", &scopes, None).await;
    let gold = scopes
        .as_array()
        .unwrap()
        .iter()
        .find(|scope| scope["name"] == "gold_plan");
    let path = format!(
        "/clients/{}/optional-client-scopes/{}",
        client["id"].as_str().unwrap(),
        gold.unwrap()["id"].as_str().unwrap()
    );
    let url = provider.keycloak.admin_url(&path);
    assert_eq!(provider.keycloak.admin("PUT", &url, None).await.0, 204);

    for scopes in [
        &["product_payments", "product_orders", "free_plan"][..],
        &["product_orders", "free_plan"],
        &[],
    ] {
        let before = known.registration_access_token.clone();
        let updated = driver()
            .update(&provider.session(), &known, &wanted(scopes))
            .await
            .unwrap();
        known = updated.merge_into(known, set(scopes));
        assert_ne!(known.registration_access_token, before, "a PUT rotates it");
        let mut expected = set(scopes);
        expected.insert("gold_plan".into());
        assert_eq!(known.granted.scopes(), Some(expected));
        let carried = provider.token(&known, &scopes.join(" ")).await.unwrap();
        assert_eq!(carried, set(scopes));
    }
    assert_eq!(
        provider.token(&known, "free_plan").await,
        Err("400 invalid_scope".into())
    );
    // What makes it a service account did not get lost on the way.
    let client = provider.keycloak.client(&known.client_id).await.unwrap();
    let defaults = client["defaultClientScopes"].as_array().unwrap();
    assert!(defaults.contains(&json!("basic")) && defaults.contains(&json!("service_account")));
}

/// From 26.8 on Keycloak gives the realm's default scopes to clients that name others, too. Here an admin does, so that
/// it is the same with each of its releases.
async fn the_realms_own_scopes_stay() {
    let provider = Provider::start().await;
    let admin = async |method: &str, path: &str, body| {
        let url = provider.keycloak.admin_url(path);
        provider.keycloak.admin(method, &url, body).await
    };
    let profile = json!({
        "name": "profile", "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"},
    });
    let (status, _) = admin("POST", "/client-scopes", Some(profile)).await;
    assert_eq!(status, 201);
    let (_, scopes) = admin("GET", "/client-scopes", None).await;
    let mut scopes = scopes.as_array().unwrap().iter();
    let profile = scopes.find(|scope| scope["name"] == "profile").unwrap();
    let profile = profile["id"].as_str().unwrap();
    let of_realm = format!("/default-default-client-scopes/{profile}");
    assert_eq!(admin("PUT", &of_realm, None).await.0, 204);

    let mut known = provider
        .registered(&["product_payments", "free_plan"])
        .await;
    let id = provider.keycloak.client(&known.client_id).await.unwrap()["id"].clone();
    let id = id.as_str().unwrap();
    let of_client = format!("/clients/{id}/default-client-scopes/{profile}");
    assert_eq!(admin("PUT", &of_client, None).await.0, 204);

    for scopes in [
        &["product_payments", "product_orders", "free_plan"][..],
        &["product_orders", "free_plan"],
    ] {
        let updated = driver()
            .update(&provider.session(), &known, &wanted(scopes))
            .await
            .unwrap();
        known = updated.merge_into(known, set(scopes));
        assert_eq!(differences(&wanted(scopes), &known.granted), []);
        let mut expected = set(scopes);
        expected.insert("profile".into());
        let carried = provider.token(&known, &scopes.join(" ")).await.unwrap();
        assert_eq!(carried, expected);
    }
    let secret = ids().client_secret;
    driver()
        .rotate_secret(&provider.session(), &known, &secret)
        .await
        .unwrap();
    let (_, defaults) = admin("GET", &format!("/clients/{id}/default-client-scopes"), None).await;
    let mut defaults = defaults.as_array().unwrap().iter();
    assert!(defaults.any(|scope| scope["name"] == "profile"));
}

async fn a_secret_that_somebody_changed_is_put_back() {
    let provider = Provider::start().await;
    let known = provider
        .registered(&["product_payments", "free_plan"])
        .await;
    let secret_changed =
        |found: &RegisteredClient| found.granted.members().get(SECRET_CHANGED).cloned();
    let found = driver().read(&provider.session(), &known).await.unwrap();
    assert_eq!(secret_changed(&found), None);
    let client = provider.keycloak.client(&known.client_id).await.unwrap();
    let path = format!("/clients/{}/client-secret", client["id"].as_str().unwrap());
    let url = provider.keycloak.admin_url(&path);
    assert_eq!(provider.keycloak.admin("POST", &url, None).await.0, 200);
    assert!(provider.token(&known, PAYMENTS).await.is_err());

    let found = driver().read(&provider.session(), &known).await.unwrap();
    assert_eq!(secret_changed(&found), Some(json!(true)));
    assert!(found.client_secret.is_none(), "a read gives no secret");
    let wanted = wanted(&["product_payments", "free_plan"]);
    let resumed = driver()
        .resume(&provider.session(), &known, &wanted)
        .await
        .unwrap();
    let scopes = wanted.scopes.clone();
    let resumed = resumed.merge_into(known.clone(), scopes);
    assert!(provider.token(&known, PAYMENTS).await.is_ok());
    let found = driver().read(&provider.session(), &resumed).await.unwrap();
    assert_eq!(secret_changed(&found), None);
}

async fn with_management_credentials_no_token_is_rotated() {
    let mut provider = Provider::start().await;
    let known = provider.registered(&["product_payments"]).await;
    provider.give_management();
    let grown = wanted(&["product_payments", "free_plan"]);
    let updated = driver()
        .update(&provider.session(), &known, &grown)
        .await
        .unwrap();
    assert!(updated.registration_access_token.is_none());
    let known = updated.merge_into(known, grown.scopes.clone());
    assert!(provider.token(&known, PAYMENTS).await.is_ok());
    provider.management = None;
    assert!(driver().read(&provider.session(), &known).await.is_ok());

    // Wrong ones do no harm while there is a registration access token.
    provider.management = Some(Management {
        client_id: known.client_id.clone(),
        client_secret: Secret::new("wrong"),
    });
    assert!(
        driver()
            .update(&provider.session(), &known, &grown)
            .await
            .is_ok()
    );
}

async fn secrets_rotate_to_the_chosen_one_and_may_be_repeated() {
    let provider = Provider::start().await;
    let known = provider
        .registered(&["product_payments", "free_plan"])
        .await;
    let old = known.clone();
    let fresh = ids().client_secret;
    let rotated = driver()
        .rotate_secret(&provider.session(), &known, &fresh)
        .await
        .unwrap();
    assert_eq!(rotated.client_secret.as_ref(), Some(&fresh));
    let known = rotated.merge_into(known, set(&["product_payments", "free_plan"]));
    assert!(provider.token(&known, PAYMENTS).await.is_ok());
    assert!(
        provider
            .token(&old, PAYMENTS)
            .await
            .unwrap_err()
            .starts_with("401")
    );

    // The answer got lost with the process: the old token is what is left.
    let again = driver()
        .rotate_secret(&provider.session(), &old, &fresh)
        .await
        .unwrap();
    assert_eq!(again.client_secret, Some(fresh));
    assert_eq!(again.warnings.len(), 1);
}

async fn deletes_once_and_knows_what_is_gone() {
    let mut provider = Provider::start().await;
    let known = provider.registered(&["product_payments"]).await;
    let deleted = driver().delete(&provider.session(), &known).await.unwrap();
    assert_eq!(deleted, Deleted::Deleted);
    assert!(
        provider
            .token(&known, "")
            .await
            .unwrap_err()
            .starts_with("401")
    );
    let deleted = driver().delete(&provider.session(), &known).await.unwrap();
    assert_eq!(deleted, Deleted::AlreadyGone);

    let known = provider.registered(&["product_payments"]).await;
    provider.keycloak.delete_client(&known.client_id).await;
    for management in [false, true] {
        if management {
            provider.give_management();
        }
        let failure = driver()
            .update(&provider.session(), &known, &wanted(&[]))
            .await
            .unwrap_err();
        assert_eq!(failure.disposition, Disposition::Gone, "{failure}");
    }
    let deleted = driver().delete(&provider.session(), &known).await.unwrap();
    assert_eq!(deleted, Deleted::AlreadyGone);

    // Not gone, but not ours to delete with a wrong token.
    provider.management = None;
    let mut known = provider.registered(&["product_payments"]).await;
    known.registration_access_token = Some(Secret::new("wrong"));
    let failure = driver()
        .delete(&provider.session(), &known)
        .await
        .unwrap_err();
    assert_eq!(failure.disposition, Disposition::Unmanageable);
    assert_eq!(provider.keycloak.client_count().await, 1);
}

async fn what_is_refused_has_a_name() {
    let mut provider = Provider::start().await;
    for scope in ["product_unlisted", "product_nowhere"] {
        let failure = provider
            .register(&wanted(&[scope]), &ids())
            .await
            .unwrap_err();
        assert_eq!(failure.disposition, Disposition::Fail);
        assert_eq!(failure.code, "scope_unknown_at_provider");
        assert!(failure.description.contains("clientScope"), "{failure}");
    }
    let known = provider.registered(&["product_payments"]).await;
    let unlisted = wanted(&["product_payments", "product_unlisted"]);
    let failure = driver()
        .update(&provider.session(), &known, &unlisted)
        .await
        .unwrap_err();
    assert_eq!(failure.code, "scope_unknown_at_provider");
    assert!(
        driver().read(&provider.session(), &known).await.is_ok(),
        "a refused PUT rotates nothing"
    );

    let mut bad = wanted(&[]);
    bad.redirect_uris = vec!["javascript:alert(1)".into()];
    bad.grant_types = set(&["authorization_code"]);
    let failure = provider.register(&bad, &ids()).await.unwrap_err();
    assert_eq!(
        (failure.code.as_str(), failure.disposition),
        ("invalid_redirect_uri", Disposition::Fail)
    );
    bad.token_endpoint_auth_method = "private_key_jwt".into();
    let failure = provider.register(&bad, &ids()).await.unwrap_err();
    assert_eq!(failure.code, "auth_method_unsupported");

    let used_up = provider.keycloak.initial_access_token(1).await;
    provider.initial = Some(Secret::new(used_up));
    provider.registered(&[]).await;
    for token in [None, Some("damaged"), Some("two words"), Some("")] {
        if let Some(token) = token {
            provider.initial = (!token.is_empty()).then(|| Secret::new(token));
        }
        let failure = provider.register(&wanted(&[]), &ids()).await.unwrap_err();
        assert_eq!(failure.disposition, Disposition::PauseProvider, "{failure}");
        assert!(!failure.outcome_unknown);
    }
    assert_eq!(provider.keycloak.client_count().await, 2);
}

async fn a_client_for_people_signing_in_gets_its_redirect_urls() {
    let provider = Provider::start().await;
    let mut wanted = wanted(&["product_payments"]);
    wanted.grant_types = set(&["authorization_code", "refresh_token"]);
    wanted.response_types = set(&["code"]);
    wanted.redirect_uris = vec!["https://app.example/callback".into()];
    wanted.token_endpoint_auth_method = "none".into();
    wanted.name = "x".repeat(400);
    let ids = ids();
    let registered = provider.register(&wanted, &ids).await.unwrap();
    assert_eq!(registered.client_secret, None);
    assert_eq!(differences(&wanted, &registered.granted), []);

    // Found again although it has no secret to ask with.
    let found = provider.register(&wanted, &ids).await.unwrap();
    assert_eq!(found.client_id, ids.client_id);

    let known = registered.into_known(wanted.scopes.clone());
    wanted.redirect_uris = vec!["https://app.example/elsewhere".into()];
    let updated = driver()
        .update(&provider.session(), &known, &wanted)
        .await
        .unwrap();
    assert_eq!(differences(&wanted, &updated.granted), []);
    let client = provider.keycloak.client(&ids.client_id).await.unwrap();
    assert_eq!(client["redirectUris"], json!(wanted.redirect_uris));
    assert_eq!(provider.keycloak.client_count().await, 1);
}

async fn a_spooled_answer_is_as_good_as_the_call() {
    let provider = Provider::start().await;
    let known = provider.registered(&["product_payments"]).await;
    driver()
        .update(&provider.session(), &known, &wanted(&["free_plan"]))
        .await
        .unwrap();
    let kept = provider.kept.0.lock().unwrap().clone();
    let steps: Vec<Step> = kept.iter().map(|answer| answer.step).collect();
    assert_eq!(steps, [Step::Register, Step::Read, Step::Update]);
    let answer = RawAnswer::from_secret(&kept[2].to_secret().unwrap()).unwrap();
    let parsed = driver().parse(&provider.endpoints, &answer).unwrap();
    let known = parsed.merge_into(known, set(&["free_plan"]));
    assert!(driver().read(&provider.session(), &known).await.is_ok());
}

async fn a_suspended_client_gets_no_token_until_it_is_resumed() {
    let mut provider = Provider::start().await;
    let known = provider
        .registered(&["product_payments", "free_plan"])
        .await;
    // Its own token could never switch it on again.
    let failure = driver()
        .suspend(&provider.session(), &known)
        .await
        .unwrap_err();
    assert_eq!(failure.code, "suspension_unsupported");
    assert!(provider.token(&known, PAYMENTS).await.is_ok());

    provider.give_management();
    for _ in 0..2 {
        driver().suspend(&provider.session(), &known).await.unwrap();
        assert!(provider.token(&known, PAYMENTS).await.is_err());
    }
    let wanted = wanted(&["product_payments", "free_plan"]);
    driver()
        .update(&provider.session(), &known, &wanted)
        .await
        .unwrap();
    assert!(provider.token(&known, PAYMENTS).await.is_err());
    driver()
        .resume(&provider.session(), &known, &wanted)
        .await
        .unwrap();
    let granted = provider.token(&known, PAYMENTS).await.unwrap();
    assert_eq!(granted, set(&["product_payments", "free_plan"]));
}
