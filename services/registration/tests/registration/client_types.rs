//! Client types: created, changed, deleted, listed.

use portico_proto::{Error, Kind, registration::v1::*};
use portico_runtime::Caller;
use serde_json::{Value, json};

use crate::support::{App, answer, client_type, developer, of, provider, service};

async fn list(
    app: &App,
    caller: &Caller,
    message: ListClientTypesRequest,
) -> Result<Vec<String>, Error> {
    let request = app.request(caller, message);
    let page = answer(app.client().list_client_types(request).await)?;
    Ok(page
        .client_types
        .into_iter()
        .map(|kind| kind.name)
        .collect())
}

/// A merge patch, as REST takes it.
fn change(id: &str, patch: Value) -> UpdateClientTypeRequest {
    let change: ClientTypeChange = serde_json::from_value(patch).unwrap();
    UpdateClientTypeRequest {
        id: id.into(),
        if_version: 0,
        client_type: Some(change.message),
        update_mask: Some(change.mask),
    }
}

async fn update(app: &App, message: UpdateClientTypeRequest) -> Result<ClientType, Error> {
    let request = app.by_admin(message);
    answer(app.client().update_client_type(request).await)
}

async fn app_with_provider() -> (App, String) {
    let (app, sandbox) = (App::start().await, provider().await);
    let created = app.create(of(&sandbox)).await.unwrap();
    (app, created.id)
}

#[tokio::test]
async fn it_is_created_changed_and_deleted() {
    let (app, provider) = app_with_provider().await;
    let created = app
        .create_client_type(client_type(&provider))
        .await
        .unwrap();
    assert_eq!(created.identity_provider_name, "Sandbox");
    assert_eq!(
        created.token_endpoint_auth_method(),
        TokenEndpointAuthMethod::ClientSecretBasic
    );
    assert_eq!(
        (created.status(), created.version),
        (ClientTypeStatus::Active, 1)
    );
    let web = json!({
        "description": "For web pages", "grant_types": ["authorization_code"], "response_types": ["code"],
    });
    let changed = update(&app, change(&created.id, web)).await.unwrap();
    let expected = ClientType {
        description: "For web pages".into(),
        grant_types: vec!["authorization_code".into()],
        response_types: vec!["code".into()],
        version: 2,
        updated_at: changed.updated_at,
        ..created.clone()
    };
    assert_eq!(changed, expected);
    let late = UpdateClientTypeRequest {
        if_version: 1,
        ..change(&created.id, json!({"description": "Late"}))
    };
    assert_eq!(
        update(&app, late).await.unwrap_err().code,
        "version_mismatch"
    );
    let half = change(&created.id, json!({"response_types": []}));
    assert_eq!(
        update(&app, half).await.unwrap_err().code,
        "response_types_mismatch"
    );
    app.delete_client_type(&created.id).await.unwrap();
    let request = app.request(&developer(), GetClientTypeRequest { id: created.id });
    let error = answer(app.client().get_client_type(request).await).unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
}

#[tokio::test]
async fn it_needs_a_provider_that_is_there() {
    let (app, provider) = app_with_provider().await;
    let unknown = app.deps.clock.new_id().to_string();
    app.delete(&provider).await.unwrap();
    for id in [unknown, provider] {
        let error = app.create_client_type(client_type(&id)).await.unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
    }
    let error = app.create_client_type(client_type("x")).await.unwrap_err();
    assert_eq!(error.fields[0].field, "identity_provider_id");
}

#[tokio::test]
async fn everybody_who_is_known_may_list_them() {
    let (app, first) = app_with_provider().await;
    let sandbox = provider().await;
    let second = IdentityProvider {
        name: "Second".into(),
        ..of(&sandbox)
    };
    let second = app.create(second).await.unwrap().id;
    let mut ids = Vec::new();
    for (provider, name) in [(&first, "b"), (&first, "A"), (&second, "c"), (&first, "d")] {
        let mut message = client_type(provider);
        message.client_type.as_mut().unwrap().name = name.into();
        ids.push(app.create_client_type(message).await.unwrap().id);
    }
    app.delete_client_type(&ids[3]).await.unwrap();
    let all = ListClientTypesRequest::default;
    for caller in [developer(), service()] {
        assert_eq!(list(&app, &caller, all()).await.unwrap(), ["A", "b", "c"]);
    }
    let error = list(&app, &Caller::Anonymous, all()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthenticated);
    let of_first = ListClientTypesRequest {
        identity_provider_id: first,
        ..all()
    };
    assert_eq!(
        list(&app, &developer(), of_first).await.unwrap(),
        ["A", "b"]
    );
    let these = ListClientTypesRequest {
        ids: vec![ids[0].clone(), ids[2].clone(), ids[3].clone()],
        ..all()
    };
    assert_eq!(list(&app, &service(), these).await.unwrap(), ["b", "c"]);
    for (sort, names) in [
        ("name", ["A", "b", "c"]),
        ("-name", ["c", "b", "A"]),
        ("created_at", ["b", "A", "c"]),
        ("-created_at", ["c", "A", "b"]),
    ] {
        let sorted = ListClientTypesRequest {
            sort: sort.into(),
            ..all()
        };
        assert_eq!(list(&app, &service(), sorted).await.unwrap(), names);
    }
    let wrong = ListClientTypesRequest {
        sort: "id".into(),
        ..all()
    };
    let error = list(&app, &service(), wrong).await.unwrap_err();
    assert_eq!(error.fields[0].field, "sort");
    let wrong = ListClientTypesRequest {
        ids: vec!["x".into()],
        ..all()
    };
    let error = list(&app, &service(), wrong).await.unwrap_err();
    assert_eq!(error.fields[0].field, "ids[0]");
}

#[tokio::test]
async fn only_admins_write() {
    let (app, provider) = app_with_provider().await;
    let kind = app
        .create_client_type(client_type(&provider))
        .await
        .unwrap();
    for (caller, expected) in [
        (Caller::Anonymous, Kind::Unauthenticated),
        (developer(), Kind::Forbidden),
        (service(), Kind::Forbidden),
    ] {
        let mut client = app.client();
        let request = app.request(&caller, client_type(&provider));
        let create = answer(client.create_client_type(request).await).map(|_| ());
        let request = app.request(&caller, change(&kind.id, json!({})));
        let update = answer(client.update_client_type(request).await).map(|_| ());
        let delete = DeleteClientTypeRequest {
            id: kind.id.clone(),
            if_version: 0,
        };
        let request = app.request(&caller, delete);
        let delete = answer(client.delete_client_type(request).await).map(|_| ());
        for result in [create, update, delete] {
            assert_eq!(result.unwrap_err().kind, expected, "{caller:?}");
        }
    }
}
