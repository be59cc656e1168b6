//! Identity providers: created, changed, deleted, checked.

use portico_proto::{Error, Kind, registration::v1::*};
use portico_runtime::Caller;
use portico_sandbox::identity_provider::{Answer, Fault, Operation};
use portico_vault::{Owner, VaultRef};
use serde_json::json;

use crate::support::{App, admin, answer, client_type, developer, of, provider, service};

/// A text that must never be seen.
const TOKEN: &str = "initial-access-token-3b0c9a";
const SECRET: &str = "management-secret-7d1f22";

fn with_secrets(mut message: CreateIdentityProviderRequest) -> CreateIdentityProviderRequest {
    message.initial_access_token = TOKEN.into();
    message.management_client_id = "portico-admin".into();
    message.management_client_secret = SECRET.into();
    message
}

fn change(id: &str) -> UpdateIdentityProviderRequest {
    UpdateIdentityProviderRequest {
        id: id.into(),
        ..UpdateIdentityProviderRequest::default()
    }
}

/// The error's only field and code.
fn field(error: &Error) -> (&str, &str) {
    assert_eq!(error.fields.len(), 1, "{error:?}");
    assert_eq!(error.fields[0].code, error.code);
    (&error.fields[0].field, &error.fields[0].code)
}

#[tokio::test]
async fn it_is_created_from_its_well_known_document() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(with_secrets(of(&sandbox))).await.unwrap();
    assert_eq!(created.issuer, sandbox.url());
    assert_eq!(created.jwks_uri, sandbox.jwks_url());
    assert!(created.registration_endpoint.starts_with(&sandbox.url()));
    assert!(created.token_endpoint.starts_with(&sandbox.url()));
    assert_eq!(created.scopes_supported, ["free_plan", "product_payments"]);
    assert_eq!(
        (created.status.as_str(), created.version),
        ("active", 1),
        "{created:?}"
    );
    assert!(created.has_initial_access_token);
    assert_eq!(created.scope_claim, "scope");
    assert_eq!(created.management_client_id, "portico-admin");
    assert_eq!(app.get(&admin(), &created.id).await.unwrap(), created);
}

#[tokio::test]
async fn a_document_that_is_wrong_is_named_and_nothing_is_stored() {
    let (app, sandbox) = (App::start().await, provider().await);
    let refused = async |message| app.create(message).await.unwrap_err();
    let at = |url: &str| CreateIdentityProviderRequest {
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
    let keys = Answer::json(200, &json!({"keys": []}));
    sandbox.fail_next(Operation::Jwks, 1, Fault::Refuse(keys));
    let error = refused(of(&sandbox)).await;
    assert_eq!(field(&error), ("well_known_url", "jwks_unusable"));
    let message = of(&sandbox);
    sandbox.stop().await;
    let error = refused(message).await;
    assert_eq!(field(&error), ("well_known_url", "well_known_unreachable"));
    assert_eq!(app.events().await, 0);
    assert_eq!(vault_entries(&app).await, 0);
}

async fn vault_entries(app: &App) -> i64 {
    use portico_eventstore::sqlx::{self, Row as _};
    sqlx::query("SELECT COUNT(*) FROM vault_value")
        .fetch_one(app.store.database().pool())
        .await
        .unwrap()
        .try_get(0)
        .unwrap()
}

#[tokio::test]
async fn all_that_is_wrong_with_the_fields_is_told_at_once() {
    let (app, sandbox) = (App::start().await, provider().await);
    let message = CreateIdentityProviderRequest {
        name: " ".into(),
        r#type: "Keycloak".into(),
        initial_access_token: "two words".into(),
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
            "type_unknown",
            "name_missing",
            "initial_access_token_malformed"
        ]
    );
    assert_eq!(sandbox.requests(Operation::Discovery), 0);
}

#[tokio::test]
async fn names_are_unique_in_more_than_case() {
    let (app, sandbox) = (App::start().await, provider().await);
    let first = app.create(of(&sandbox)).await.unwrap();
    let again = CreateIdentityProviderRequest {
        name: "SANDBOX".into(),
        ..with_secrets(of(&sandbox))
    };
    let error = app.create(again.clone()).await.unwrap_err();
    assert_eq!(
        (error.kind, field(&error)),
        (Kind::Conflict, ("name", "name_taken"))
    );
    let named = |name: &str| CreateIdentityProviderRequest {
        name: name.into(),
        ..of(&sandbox)
    };
    // At the same time: the rule is in the transaction of the append.
    let (a, b) = tokio::join!(app.create(named("Twin")), app.create(named("twin")));
    let refused = [&a, &b]
        .into_iter()
        .filter_map(|result| result.as_ref().err());
    let codes: Vec<_> = refused.map(|error| error.code.as_ref()).collect();
    assert_eq!(codes, ["name_taken"]);
    let rename = UpdateIdentityProviderRequest {
        name: Some("sandbox".into()),
        ..change(&a.or(b).unwrap().id)
    };
    let error = app.update(rename).await.unwrap_err();
    assert_eq!(error.code, "name_taken");
    app.delete(&first.id).await.unwrap();
    app.create(again).await.unwrap();
}

#[tokio::test]
async fn a_repeated_creation_makes_one_provider() {
    let (app, sandbox) = (App::start().await, provider().await);
    let create = async |message| {
        let request = app.keyed("key-1", message);
        answer(app.client().create_identity_provider(request).await)
    };
    let first = create(with_secrets(of(&sandbox))).await.unwrap();
    assert_eq!(create(with_secrets(of(&sandbox))).await.unwrap(), first);
    assert_eq!(app.events().await, 1);
    assert_eq!(vault_entries(&app).await, 2);
    let other = CreateIdentityProviderRequest {
        name: "Another".into(),
        ..with_secrets(of(&sandbox))
    };
    let error = create(other).await.unwrap_err();
    assert_eq!(error.code, "idempotency_key_reused");
    let other = CreateIdentityProviderRequest {
        initial_access_token: "another-token".into(),
        ..with_secrets(of(&sandbox))
    };
    let error = create(other).await.unwrap_err();
    assert_eq!(error.code, "idempotency_key_reused");
    assert_eq!(vault_entries(&app).await, 2);
}

#[tokio::test]
async fn what_is_not_given_stays() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(with_secrets(of(&sandbox))).await.unwrap();
    let renamed = app
        .update(UpdateIdentityProviderRequest {
            name: Some(" Renamed ".into()),
            if_version: created.version,
            ..change(&created.id)
        })
        .await
        .unwrap();
    let expected = IdentityProvider {
        name: "Renamed".into(),
        version: 2,
        updated_at: renamed.updated_at.clone(),
        ..created.clone()
    };
    assert_eq!(renamed, expected);
    assert_eq!(sandbox.requests(Operation::Discovery), 1);
    let error = app
        .update(UpdateIdentityProviderRequest {
            name: Some("Late".into()),
            if_version: created.version,
            ..change(&created.id)
        })
        .await
        .unwrap_err();
    assert_eq!(error.code, "version_mismatch");
}

#[tokio::test]
async fn a_changed_url_is_verified_and_the_same_one_read_again() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(of(&sandbox)).await.unwrap();
    sandbox.add_scope("gold_plan");
    let read_again = UpdateIdentityProviderRequest {
        well_known_url: Some(sandbox.well_known_url()),
        ..change(&created.id)
    };
    let updated = app.update(read_again).await.unwrap();
    assert!(updated.scopes_supported.contains(&"gold_plan".to_owned()));
    sandbox.fail_next(Operation::Discovery, 1, Fault::Refuse(Answer::html(200)));
    let skip = UpdateIdentityProviderRequest {
        skip_tls_verify: Some(true),
        ..change(&created.id)
    };
    let error = app.update(skip.clone()).await.unwrap_err();
    assert_eq!(field(&error), ("well_known_url", "well_known_not_json"));
    assert_eq!(app.get(&admin(), &created.id).await.unwrap(), updated);
    assert!(app.update(skip).await.unwrap().skip_tls_verify);
}

#[tokio::test]
async fn tokens_do_not_follow_to_another_issuer() {
    let (app, sandbox, other) = (App::start().await, provider().await, provider().await);
    let mut message = of(&sandbox);
    message.initial_access_token = TOKEN.into();
    let created = app.create(message).await.unwrap();
    let moved = UpdateIdentityProviderRequest {
        well_known_url: Some(other.well_known_url()),
        ..change(&created.id)
    };
    let error = app.update(moved.clone()).await.unwrap_err();
    assert_eq!(
        field(&error),
        ("initial_access_token", "initial_access_token_missing")
    );
    let moved = UpdateIdentityProviderRequest {
        initial_access_token: Some(String::new()),
        ..moved
    };
    let moved = app.update(moved).await.unwrap();
    assert_eq!(moved.issuer, other.url());
    assert!(!moved.has_initial_access_token);
    assert_eq!(vault_entries(&app).await, 0);
}

#[tokio::test]
async fn a_new_token_resumes_a_paused_provider_and_the_old_one_leaves_the_vault() {
    use portico_registration::identity_provider::{self, OWNER};
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(with_secrets(of(&sandbox))).await.unwrap();
    let id = created.id.parse().unwrap();
    let token = async || {
        let loaded = identity_provider::load(&app.store, id).await.unwrap();
        loaded.state.initial_access_token.unwrap()
    };
    let pause = async |refused: VaultRef| {
        let context = portico_eventstore::testing::context(app.deps.clock.new_id());
        identity_provider::pause(&app.store, id, Some(refused), "used up", &context)
            .await
            .unwrap();
    };
    let old = token().await;
    pause(old).await;
    let paused = app.get(&admin(), &created.id).await.unwrap();
    assert_eq!(
        (paused.status.as_str(), paused.status_reason.as_str()),
        ("paused", "used up")
    );
    let resumed = app
        .update(UpdateIdentityProviderRequest {
            initial_access_token: Some("second-token".into()),
            ..change(&created.id)
        })
        .await
        .unwrap();
    assert_eq!(
        (resumed.status.as_str(), resumed.status_reason.as_str()),
        ("active", "")
    );
    let vault = app.deps.vault(app.store.database());
    let owner = Owner::new(OWNER, id);
    assert_eq!(vault.get(&owner, &old).await.unwrap(), None);
    let new = vault.get(&owner, &token().await).await.unwrap().unwrap();
    assert_eq!(new.expose(), "second-token");
    // A worker that still had the old one.
    pause(old).await;
    assert_eq!(app.get(&admin(), &created.id).await.unwrap(), resumed);
}

#[tokio::test]
async fn it_is_deleted_with_its_secrets_when_nothing_needs_it() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(with_secrets(of(&sandbox))).await.unwrap();
    let kind = app.create_client_type(client_type(&created.id)).await;
    let error = app.delete(&created.id).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Conflict, "provider_in_use")
    );
    app.delete_client_type(&kind.unwrap().id).await.unwrap();
    app.delete(&created.id).await.unwrap();
    assert_eq!(vault_entries(&app).await, 0);
    let error = app.get(&admin(), &created.id).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    let rename = UpdateIdentityProviderRequest {
        name: Some("Back".into()),
        ..change(&created.id)
    };
    assert_eq!(app.update(rename).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(app.list("", 0, "").await, (vec![], String::new()));
    let unknown = app.deps.clock.new_id().to_string();
    assert_eq!(app.delete(&unknown).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn oauth_clients_are_in_the_way_of_deletion_and_of_another_issuer() {
    let (app, sandbox, other) = (App::start().await, provider().await, provider().await);
    let created = app.create(of(&sandbox)).await.unwrap();
    let kind = app.create_client_type(client_type(&created.id)).await;
    let kind = kind.unwrap().id;
    app.insert_oauth_client(&created.id, &kind).await;
    let error = app.delete_client_type(&kind).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Conflict, "client_type_in_use")
    );
    let error = app.delete(&created.id).await.unwrap_err();
    assert_eq!(error.code, "provider_in_use");
    let moved = UpdateIdentityProviderRequest {
        well_known_url: Some(other.well_known_url()),
        ..change(&created.id)
    };
    let error = app.update(moved).await.unwrap_err();
    assert_eq!(error.code, "provider_in_use");
    assert_eq!(app.events().await, 2);
}

#[tokio::test]
async fn rebuilt_views_equal_the_live_ones() {
    let (app, sandbox) = (App::start().await, provider().await);
    let gone = app.create(with_secrets(of(&sandbox))).await.unwrap();
    app.delete(&gone.id).await.unwrap();
    let created = app.create(with_secrets(of(&sandbox))).await.unwrap();
    let rename = UpdateIdentityProviderRequest {
        name: Some("Renamed".into()),
        initial_access_token: Some(String::new()),
        ..change(&created.id)
    };
    app.update(rename).await.unwrap();
    let kind = app.create_client_type(client_type(&created.id)).await;
    app.create_client_type(client_type(&created.id))
        .await
        .unwrap();
    app.delete_client_type(&kind.unwrap().id).await.unwrap();
    let views = async || {
        let providers = "id, name, name_key, type, well_known_url, scope_claim, skip_tls_verify, \
                         has_initial_access_token, management_client_id, endpoints, status, status_reason, \
                         version, created_at, updated_at";
        let types = "id, identity_provider_id, name, name_key, description, response_types, grant_types, \
                     token_endpoint_auth_method, okta_application_type, status, version, created_at, updated_at";
        [
            app.rows("identity_providers", providers).await,
            app.rows("client_types", types).await,
        ]
    };
    let live = views().await;
    app.store.replay(|_| ()).await.unwrap();
    assert_eq!(views().await, live);
    assert!(
        live[0].contains("Renamed") && live[1].contains("deleted"),
        "{live:?}"
    );
}

#[tokio::test]
async fn lists_have_pages_and_a_search() {
    let (app, sandbox) = (App::start().await, provider().await);
    for name in ["beta", "Alpha", "gamma_1", "gammaX1"] {
        let message = CreateIdentityProviderRequest {
            name: name.into(),
            ..of(&sandbox)
        };
        app.create(message).await.unwrap();
    }
    let (names, next) = app.list("", 3, "").await;
    assert_eq!(names, ["Alpha", "beta", "gamma_1"]);
    assert_eq!(
        app.list("", 3, &next).await,
        (vec!["gammaX1".into()], String::new())
    );
    assert_eq!(app.list("GAMMA_", 0, "").await.0, ["gamma_1"]);
}

#[tokio::test]
async fn admins_configure_services_read_developers_do_neither() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(of(&sandbox)).await.unwrap();
    for (caller, expected) in [
        (Caller::Anonymous, Kind::Unauthenticated),
        (developer(), Kind::Forbidden),
        (service(), Kind::Forbidden),
    ] {
        let mut client = app.client();
        let request = app.request(&caller, of(&sandbox));
        let create = answer(client.create_identity_provider(request).await).map(|_| ());
        let request = app.request(&caller, change(&created.id));
        let update = answer(client.update_identity_provider(request).await).map(|_| ());
        let delete = DeleteIdentityProviderRequest {
            id: created.id.clone(),
            if_version: 0,
        };
        let request = app.request(&caller, delete);
        let delete = answer(client.delete_identity_provider(request).await).map(|_| ());
        let request = app.request(&caller, CheckIdentityProviderRequest::default());
        let check = answer(client.check_identity_provider(request).await).map(|_| ());
        for result in [create, update, delete, check] {
            assert_eq!(result.unwrap_err().kind, expected, "{caller:?}");
        }
        let request = app.request(&caller, ListIdentityProvidersRequest::default());
        let list = answer(client.list_identity_providers(request).await).map(|_| ());
        let get = app.get(&caller, &created.id).await.map(|_| ());
        for result in [get, list] {
            assert_eq!(
                result.map_err(|error| error.kind),
                if caller == service() {
                    Ok(())
                } else {
                    Err(expected)
                },
                "{caller:?}"
            );
        }
    }
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
        assert_eq!(result.steps.len(), 6);
    }
    sandbox.behave(|behaviour| behaviour.issuer = Some("https://elsewhere.example".into()));
    let result = check(Subject::Id(created.id)).await.unwrap();
    assert!(!result.ok);
    let steps: Vec<_> = result
        .steps
        .iter()
        .map(|step| step.outcome.as_str())
        .collect();
    assert_eq!(steps[..3], ["passed", "failed", "skipped"]);
    let nobody = app.deps.clock.new_id().to_string();
    let error = check(Subject::Id(nobody)).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    let wrong = CreateIdentityProviderRequest {
        r#type: "sandbox".into(),
        ..of(&sandbox)
    };
    let error = check(Subject::Settings(wrong)).await.unwrap_err();
    assert_eq!(error.code, "type_unknown");
    assert_eq!(app.events().await, 1);
}

#[tokio::test]
async fn no_secret_is_in_the_files_of_the_service() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(with_secrets(of(&sandbox))).await.unwrap();
    let replace = UpdateIdentityProviderRequest {
        initial_access_token: Some(format!("{TOKEN}-2")),
        ..change(&created.id)
    };
    app.update(replace).await.unwrap();
    let mut bytes = 0;
    for entry in std::fs::read_dir(app.folder()).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        bytes += content.len();
        for secret in [TOKEN, SECRET] {
            let found = content
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
        if content.windows(9).any(|window| window == b"Sandbox\",") {
            bytes += 1 << 30;
        }
    }
    // The search would find what is there: the provider's name stands in its event.
    assert!(bytes > 1 << 30);
}
