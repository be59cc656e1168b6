//! Scopes that Portico gave, and the realm's own.

use portico_registration::providers::metadata::differences;
use portico_tests::keycloak::KEYCLOAK;
use portico_trials::{Trial, trials};
use serde_json::json;

use super::provider::{Provider, driver, ids, set, wanted};

pub fn trials() -> Vec<Trial> {
    trials!(single, [KEYCLOAK];
        scopes_grow_and_shrink_and_what_is_not_ours_stays,
        the_realms_own_scopes_stay,
    )
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
