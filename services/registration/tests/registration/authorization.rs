//! How the portal authorizes itself: chosen, checked, kept, tried, never given out.

use portico_proto::{registration::v1::*, rest::Enumeration as _};
use portico_sandbox::identity_provider::{self as sandbox};
use serde_json::json;

use crate::support::{
    App, SECRET, TOKEN, admin, answer, change, field, of, provider, with_secrets,
};

async fn check(app: &App, settings: IdentityProvider) -> (bool, CheckOutcome, String) {
    use check_identity_provider_request::Subject;
    let request = app.request(
        &admin(),
        CheckIdentityProviderRequest {
            subject: Some(Subject::Settings(settings)),
        },
    );
    let check = answer(app.client().check_identity_provider(request).await).unwrap();
    let mut steps = check.steps.iter();
    let step = steps.find(|step| step.name() == CheckedPart::Authorization);
    let step = step.unwrap();
    (check.ok, step.outcome(), step.detail().to_owned())
}

#[tokio::test]
async fn what_earlier_settings_meant_they_still_mean() {
    let (app, sandbox) = (App::start().await, provider().await);
    let named = |name: &str, settings: IdentityProvider| IdentityProvider {
        name: name.into(),
        ..settings
    };
    let open = app.create(named("open", of(&sandbox))).await.unwrap();
    assert_eq!(open.authorization(), RegistrationAuthorization::None);
    let both = app
        .create(named("both", with_secrets(of(&sandbox))))
        .await
        .unwrap();
    assert_eq!(
        both.authorization(),
        RegistrationAuthorization::InitialAccessToken
    );
    assert!(both.has_initial_access_token && !both.has_api_token);
    // A token for Okta is an API token, whichever field it came in.
    let okta = IdentityProvider {
        r#type: IdentityProviderType::Okta.into(),
        initial_access_token: Some(TOKEN.into()),
        ..named("okta", of(&sandbox))
    };
    let okta = app.create(okta).await.unwrap();
    assert_eq!(okta.authorization(), RegistrationAuthorization::ApiToken);
    assert!(okta.has_api_token && !okta.has_initial_access_token);
    // What is missing is a warning as long as nothing was chosen.
    let bare = IdentityProvider {
        r#type: IdentityProviderType::Okta.into(),
        ..named("bare", of(&sandbox))
    };
    let bare = app.create(bare).await.unwrap();
    assert!(
        bare.warnings[0].contains("api_token"),
        "{:?}",
        bare.warnings
    );
}

#[tokio::test]
async fn a_way_that_was_chosen_must_fit_and_have_what_it_needs() {
    let (app, sandbox) = (App::start().await, provider().await);
    let chosen = |kind: &str, authorization: &str| IdentityProvider {
        r#type: IdentityProviderType::from_word(kind).unwrap().into(),
        authorization: RegistrationAuthorization::from_word(authorization).map(Into::into),
        ..of(&sandbox)
    };
    for (message, expected) in [
        (
            IdentityProvider {
                authorization: Some(77),
                ..of(&sandbox)
            },
            ("authorization", "authorization_invalid"),
        ),
        (
            chosen("keycloak", "api_token"),
            ("authorization", "authorization_unfit"),
        ),
        (
            chosen("okta", "client_credentials"),
            ("authorization", "authorization_unfit"),
        ),
        (
            chosen("curity", "none"),
            ("authorization", "authorization_unfit"),
        ),
        (
            chosen("other", "initial_access_token"),
            ("initial_access_token", "initial_access_token_missing"),
        ),
        (
            chosen("okta", "api_token"),
            ("api_token", "api_token_missing"),
        ),
        (
            chosen("curity", "client_credentials"),
            ("management_client_id", "management_client_id_missing"),
        ),
        (
            IdentityProvider {
                api_token: Some(TOKEN.into()),
                ..chosen("auth0", "api_token")
            },
            ("api_audience", "api_audience_missing"),
        ),
        (
            IdentityProvider {
                api_token: Some(TOKEN.into()),
                initial_access_token: Some(TOKEN.into()),
                ..chosen("okta", "")
            },
            ("api_token", "api_token_mismatch"),
        ),
        (
            IdentityProvider {
                management_auth_method: Some(TokenEndpointAuthMethod::None.into()),
                ..chosen("other", "")
            },
            ("management_auth_method", "management_auth_method_invalid"),
        ),
    ] {
        let error = app.create(message).await.unwrap_err();
        assert_eq!(field(&error), expected);
    }
    assert_eq!(app.vault_entries().await, 0);
    assert_eq!(app.events().await, 0);
}

#[tokio::test]
async fn settings_are_kept_and_secrets_never_given_out() {
    let (app, sandbox) = (App::start().await, provider().await);
    let statement = "eyJhbGciOiJub25lIn0.e30.c3RhdGVtZW50";
    let message = IdentityProvider {
        authorization: Some(RegistrationAuthorization::ClientCredentials.into()),
        management_client_id: Some("portal".into()),
        management_client_secret: Some(SECRET.into()),
        management_scope: Some("client.create".into()),
        management_audience: Some("https://id.example".into()),
        management_auth_method: Some(TokenEndpointAuthMethod::ClientSecretPost.into()),
        software_statement: Some(statement.into()),
        client_template: Some("template".into()),
        ..of(&sandbox)
    };
    let created = app.create(message).await.unwrap();
    assert_eq!(
        created.authorization(),
        RegistrationAuthorization::ClientCredentials
    );
    assert_eq!(created.management_scope(), "client.create");
    assert_eq!(created.management_audience(), "https://id.example");
    assert_eq!(
        created.management_auth_method(),
        TokenEndpointAuthMethod::ClientSecretPost
    );
    assert_eq!(created.client_template(), "template");
    assert!(created.has_software_statement);
    assert!(!format!("{created:?}").contains(statement));
    assert_eq!(app.vault_entries().await, 2);

    let renamed = change(&created.id, json!({"name": "Renamed"}));
    let renamed = app.update(renamed).await.unwrap();
    assert_eq!(renamed.management_scope(), "client.create");
    assert!(renamed.has_software_statement);
    // Null takes away what may be absent, also a secret that nobody is shown; an empty text does, too.
    let without = json!({"software_statement": null, "management_scope": ""});
    let without = change(&created.id, without);
    let without = app.update(without).await.unwrap();
    assert!(!without.has_software_statement && without.management_scope.is_none());
    assert_eq!(app.vault_entries().await, 1);
    // The credentials are needed by what was chosen.
    let gone = change(&created.id, json!({"management_client_id": null}));
    let error = app.update(gone).await.unwrap_err();
    assert_eq!(
        field(&error),
        ("management_client_id", "management_client_id_missing")
    );
}

#[tokio::test]
async fn the_connection_test_tries_what_uses_nothing_up() {
    let app = App::start().await;
    let settings = sandbox::Settings {
        initial_access_token: Some(TOKEN.into()),
        initial_access_token_uses: Some(1),
        ..sandbox::Settings::default()
    };
    let sandbox = sandbox::start(settings).await.unwrap();
    let (ok, outcome, detail) = check(&app, with_secrets(of(&sandbox))).await;
    assert!(ok && outcome == CheckOutcome::Skipped, "{detail}");
    assert!(detail.contains("not tried"), "{detail}");
    // Registration asks for a token here: that it is open is more than anybody knows.
    let (ok, outcome, detail) = check(&app, of(&sandbox)).await;
    assert!(ok && outcome == CheckOutcome::Skipped, "{detail}");
    assert!(detail.contains("was not tried"), "{detail}");
    let wrong = IdentityProvider {
        authorization: Some(RegistrationAuthorization::ClientCredentials.into()),
        ..with_secrets(of(&sandbox))
    };
    let (ok, outcome, detail) = check(&app, wrong).await;
    assert!(!ok && outcome == CheckOutcome::Failed, "{detail}");
    assert!(
        detail.contains("management_credentials_refused"),
        "{detail}"
    );
    assert!(!detail.contains(SECRET));
    let missing = IdentityProvider {
        r#type: IdentityProviderType::Okta.into(),
        ..of(&sandbox)
    };
    let (ok, _, detail) = check(&app, missing).await;
    assert!(!ok && detail.contains("api_token"), "{detail}");
    assert_eq!(sandbox.client_count(), 0);
}
