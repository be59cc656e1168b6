//! Secrets and registration access tokens: rotated, lost, changed by somebody.

use portico_registration::providers::metadata::SECRET_CHANGED;
use portico_registration::providers::{Management, RegisteredClient};
use portico_tests::keycloak::KEYCLOAK;
use portico_trials::{Trial, trials};
use portico_vault::Secret;
use serde_json::json;

use super::provider::{PAYMENTS, Provider, driver, ids, set, wanted};

pub fn trials() -> Vec<Trial> {
    trials!(single, [KEYCLOAK];
        management_credentials_recover_a_lost_registration_access_token,
        a_secret_that_somebody_changed_is_put_back,
        with_management_credentials_no_token_is_rotated,
        secrets_rotate_to_the_chosen_one_and_may_be_repeated,
    )
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
