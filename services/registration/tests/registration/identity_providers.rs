//! Identity providers: created, changed, deleted, paused.

use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::{Kind, registration::v1::*};
use portico_runtime::Caller;
use portico_sandbox::identity_provider::Operation;
use portico_vault::{Owner, VaultRef};
use serde_json::json;

use crate::support::{
    App, SECRET, TOKEN, admin, answer, change, client_type, creation, developer, field, of,
    provider, service, with_secrets,
};

#[tokio::test]
async fn it_is_created_from_its_well_known_document() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(with_secrets(of(&sandbox))).await.unwrap();
    assert_eq!(created.issuer, sandbox.url());
    assert_eq!(created.jwks_uri(), sandbox.jwks_url());
    assert!(created.registration_endpoint.starts_with(&sandbox.url()));
    assert!(created.token_endpoint.starts_with(&sandbox.url()));
    assert_eq!(created.scopes_supported, ["free_plan", "product_payments"]);
    assert_eq!(
        (created.status(), created.version),
        (IdentityProviderStatus::Active, 1),
        "{created:?}"
    );
    assert!(created.has_initial_access_token);
    assert_eq!(created.scope_claim, "scope");
    assert_eq!(created.management_client_id(), "portico-admin");
    assert_eq!(app.get(&admin(), &created.id).await.unwrap(), created);
}

#[tokio::test]
async fn names_are_unique_in_more_than_case() {
    let (app, sandbox) = (App::start().await, provider().await);
    let first = app.create(of(&sandbox)).await.unwrap();
    let again = IdentityProvider {
        name: "SANDBOX".into(),
        ..with_secrets(of(&sandbox))
    };
    let error = app.create(again.clone()).await.unwrap_err();
    assert_eq!(
        (error.kind, field(&error)),
        (Kind::Conflict, ("name", "name_taken"))
    );
    let named = |name: &str| IdentityProvider {
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
    let rename = change(&a.or(b).unwrap().id, json!({"name": "sandbox"}));
    let error = app.update(rename).await.unwrap_err();
    assert_eq!(error.code, "name_taken");
    app.delete(&first.id).await.unwrap();
    app.create(again).await.unwrap();
}

#[tokio::test]
async fn a_repeated_creation_makes_one_provider() {
    let (app, sandbox) = (App::start().await, provider().await);
    let create = async |message| {
        let request = app.keyed("key-1", creation(message));
        answer(app.client().create_identity_provider(request).await)
    };
    let first = create(with_secrets(of(&sandbox))).await.unwrap();
    assert_eq!(create(with_secrets(of(&sandbox))).await.unwrap(), first);
    assert_eq!(app.events().await, 1);
    assert_eq!(app.vault_entries().await, 2);
    let other = IdentityProvider {
        name: "Another".into(),
        ..with_secrets(of(&sandbox))
    };
    let error = create(other).await.unwrap_err();
    assert_eq!(error.code, "idempotency_key_reused");
    let other = IdentityProvider {
        initial_access_token: Some("another-token".into()),
        ..with_secrets(of(&sandbox))
    };
    let error = create(other).await.unwrap_err();
    assert_eq!(error.code, "idempotency_key_reused");
    assert_eq!(app.vault_entries().await, 2);
}

#[tokio::test]
async fn what_is_not_given_stays() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(with_secrets(of(&sandbox))).await.unwrap();
    let renamed = app
        .update(UpdateIdentityProviderRequest {
            if_version: created.version,
            ..change(&created.id, json!({"name": " Renamed "}))
        })
        .await
        .unwrap();
    let expected = IdentityProvider {
        name: "Renamed".into(),
        version: 2,
        updated_at: renamed.updated_at,
        ..created.clone()
    };
    assert_eq!(renamed, expected);
    assert_eq!(sandbox.requests(Operation::Discovery), 1);
    let error = app
        .update(UpdateIdentityProviderRequest {
            if_version: created.version,
            ..change(&created.id, json!({"name": "Late"}))
        })
        .await
        .unwrap_err();
    assert_eq!(error.code, "version_mismatch");
}

#[tokio::test]
async fn a_new_token_resumes_a_paused_provider_and_the_old_one_leaves_the_vault() {
    use portico_registration::identity_provider::{self as domain, OWNER};
    use portico_registration::providers::access;
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(with_secrets(of(&sandbox))).await.unwrap();
    let id = created.id.parse().unwrap();
    let token = async || {
        let loaded = app
            .store
            .load::<domain::IdentityProvider>(id)
            .await
            .unwrap();
        loaded.state.initial_access_token.unwrap()
    };
    let pause = async |refused: VaultRef| {
        let context = portico_eventstore::testing::context(app.deps.clock.new_id());
        access::pause(&app.store, id, Some(refused), "used up", &context)
            .await
            .unwrap();
    };
    let old = token().await;
    pause(old).await;
    let paused = app.get(&admin(), &created.id).await.unwrap();
    assert_eq!(
        (paused.status(), paused.status_reason()),
        (IdentityProviderStatus::Paused, "used up")
    );
    let resumed = app
        .update(change(
            &created.id,
            json!({"initial_access_token": "second-token"}),
        ))
        .await
        .unwrap();
    assert_eq!(
        (resumed.status(), resumed.status_reason.as_deref()),
        (IdentityProviderStatus::Active, None)
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
    assert_eq!(app.vault_entries().await, 0);
    let error = app.get(&admin(), &created.id).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    let rename = change(&created.id, json!({"name": "Back"}));
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
    let moved = change(
        &created.id,
        json!({"well_known_url": other.well_known_url()}),
    );
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
    let rename = change(
        &created.id,
        json!({"name": "Renamed", "initial_access_token": ""}),
    );
    app.update(rename).await.unwrap();
    let kind = app.create_client_type(client_type(&created.id)).await;
    app.create_client_type(client_type(&created.id))
        .await
        .unwrap();
    app.delete_client_type(&kind.unwrap().id).await.unwrap();
    let rows = assert_equal_a_rebuild(&app.store).await.join("\n");
    assert!(
        rows.contains("Renamed") && rows.contains("deleted"),
        "{rows}"
    );
}

#[tokio::test]
async fn lists_have_pages_and_a_search() {
    let (app, sandbox) = (App::start().await, provider().await);
    for name in ["beta", "Alpha", "gamma_1", "gammaX1"] {
        let message = IdentityProvider {
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
async fn only_admins_read_and_configure() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(of(&sandbox)).await.unwrap();
    for (caller, expected) in [
        (Caller::Anonymous, Kind::Unauthenticated),
        (developer(), Kind::Forbidden),
        (service(), Kind::Forbidden),
    ] {
        let mut client = app.client();
        let request = app.request(&caller, creation(of(&sandbox)));
        let create = answer(client.create_identity_provider(request).await).map(|_| ());
        let request = app.request(&caller, change(&created.id, json!({})));
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
            assert_eq!(result.unwrap_err().kind, expected, "{caller:?}");
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_the_files_of_the_service() {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(with_secrets(of(&sandbox))).await.unwrap();
    let token = format!("{TOKEN}-2");
    let replace = change(&created.id, json!({"initial_access_token": token}));
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
