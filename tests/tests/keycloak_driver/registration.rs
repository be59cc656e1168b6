//! A client comes to be, or is refused by name.

use portico_registration::providers::check::check;
use portico_registration::providers::discovery::Overrides;
use portico_registration::providers::metadata::differences;
use portico_registration::providers::{Disposition, RawAnswer, Reconciled, Step};
use portico_tests::keycloak::KEYCLOAK;
use portico_trials::{Trial, trials};
use portico_vault::Secret;
use serde_json::json;

use super::provider::{PAYMENTS, Provider, driver, ids, set, wanted};

pub fn trials() -> Vec<Trial> {
    trials!(single, [KEYCLOAK];
        registers_with_chosen_id_secret_and_scopes,
        the_connection_test_passes,
        an_attempt_may_be_repeated_and_makes_one_client,
        what_is_refused_has_a_name,
        a_client_for_people_signing_in_gets_its_redirect_urls,
        a_spooled_answer_is_as_good_as_the_call,
    )
}

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
