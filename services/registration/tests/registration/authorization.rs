//! How the portal authorizes itself: chosen, checked, kept, tried, never given out.

use portico_proto::registration::v1::*;
use portico_sandbox::identity_provider::{self as sandbox};

use crate::support::{
    App, SECRET, TOKEN, admin, answer, change, field, of, provider, with_secrets,
};

async fn check(app: &App, settings: CreateIdentityProviderRequest) -> (bool, String, String) {
    use check_identity_provider_request::Subject;
    let request = app.request(
        &admin(),
        CheckIdentityProviderRequest {
            subject: Some(Subject::Settings(settings)),
        },
    );
    let check = answer(app.client().check_identity_provider(request).await).unwrap();
    let step = check.steps.iter().find(|step| step.name == "authorization");
    let step = step.unwrap().clone();
    (check.ok, step.outcome, step.detail)
}

#[tokio::test]
async fn what_earlier_settings_meant_they_still_mean() {
    let (app, sandbox) = (App::start().await, provider().await);
    let named =
        |name: &str, message: CreateIdentityProviderRequest| CreateIdentityProviderRequest {
            name: name.into(),
            ..message
        };
    let open = app.create(named("open", of(&sandbox))).await.unwrap();
    assert_eq!(open.authorization, "none");
    let both = app
        .create(named("both", with_secrets(of(&sandbox))))
        .await
        .unwrap();
    assert_eq!(both.authorization, "initial_access_token");
    assert!(both.has_initial_access_token && !both.has_api_token);
    // A token for Okta is an API token, whichever field it came in.
    let okta = CreateIdentityProviderRequest {
        r#type: "okta".into(),
        initial_access_token: TOKEN.into(),
        ..named("okta", of(&sandbox))
    };
    let okta = app.create(okta).await.unwrap();
    assert_eq!(okta.authorization, "api_token");
    assert!(okta.has_api_token && !okta.has_initial_access_token);
    // What is missing is a warning as long as nothing was chosen.
    let bare = CreateIdentityProviderRequest {
        r#type: "okta".into(),
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
    let chosen = |kind: &str, authorization: &str| CreateIdentityProviderRequest {
        r#type: kind.into(),
        authorization: authorization.into(),
        ..of(&sandbox)
    };
    for (message, expected) in [
        (
            chosen("other", "basic"),
            ("authorization", "authorization_unknown"),
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
            CreateIdentityProviderRequest {
                api_token: TOKEN.into(),
                ..chosen("auth0", "api_token")
            },
            ("api_audience", "api_audience_missing"),
        ),
        (
            CreateIdentityProviderRequest {
                api_token: TOKEN.into(),
                initial_access_token: TOKEN.into(),
                ..chosen("okta", "")
            },
            ("api_token", "api_token_mismatch"),
        ),
        (
            CreateIdentityProviderRequest {
                management_auth_method: "none".into(),
                ..chosen("other", "")
            },
            ("management_auth_method", "management_auth_method_unknown"),
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
    let message = CreateIdentityProviderRequest {
        authorization: "client_credentials".into(),
        management_client_id: "portal".into(),
        management_client_secret: SECRET.into(),
        management_scope: "client.create".into(),
        management_audience: "https://id.example".into(),
        management_auth_method: "client_secret_post".into(),
        software_statement: statement.into(),
        client_template: "template".into(),
        ..of(&sandbox)
    };
    let created = app.create(message).await.unwrap();
    assert_eq!(created.authorization, "client_credentials");
    assert_eq!(created.management_scope, "client.create");
    assert_eq!(created.management_audience, "https://id.example");
    assert_eq!(created.management_auth_method, "client_secret_post");
    assert_eq!(created.client_template, "template");
    assert!(created.has_software_statement);
    assert!(!format!("{created:?}").contains(statement));
    assert_eq!(app.vault_entries().await, 2);

    let renamed = UpdateIdentityProviderRequest {
        name: Some("Renamed".into()),
        ..change(&created.id)
    };
    let renamed = app.update(renamed).await.unwrap();
    assert_eq!(renamed.management_scope, "client.create");
    assert!(renamed.has_software_statement);
    let without = UpdateIdentityProviderRequest {
        software_statement: Some(String::new()),
        management_scope: Some(String::new()),
        ..change(&created.id)
    };
    let without = app.update(without).await.unwrap();
    assert!(!without.has_software_statement && without.management_scope.is_empty());
    assert_eq!(app.vault_entries().await, 1);
    // The credentials are needed by what was chosen.
    let gone = UpdateIdentityProviderRequest {
        management_client_id: Some(String::new()),
        ..change(&created.id)
    };
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
    assert!(ok && outcome == "passed", "{detail}");
    assert!(detail.contains("not tried"), "{detail}");
    let wrong = CreateIdentityProviderRequest {
        authorization: "client_credentials".into(),
        ..with_secrets(of(&sandbox))
    };
    let (ok, outcome, detail) = check(&app, wrong).await;
    assert!(!ok && outcome == "failed", "{detail}");
    assert!(
        detail.contains("management_credentials_refused"),
        "{detail}"
    );
    assert!(!detail.contains(SECRET));
    let missing = CreateIdentityProviderRequest {
        r#type: "okta".into(),
        ..of(&sandbox)
    };
    let (ok, _, detail) = check(&app, missing).await;
    assert!(!ok && detail.contains("api_token"), "{detail}");
    assert_eq!(sandbox.client_count(), 0);
}
