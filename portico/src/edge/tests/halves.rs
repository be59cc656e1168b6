//! What registration and the gateway service answer together, and what is left when one of them is away.

use http::Method;
use portico_proto::{
    Error, Kind,
    access::v1::{
        AccessRequest, Application, GetAccessRequestRequest, GetApplicationRequest, RequestedItem,
    },
    catalog::v1::{GetPlanRequest, GetProductRequest, Plan, Product},
    gateway::v1::{
        ApiKey, HeldScope, ListApiKeysRequest, ListApiKeysResponse, ListHeldScopesRequest,
        ListHeldScopesResponse, PreviewMappingRequest, PreviewMappingResponse, PreviewedKey,
        ReleaseHeldScopeRequest, ReleaseHeldScopeResponse, preview_mapping_request::Credential,
    },
    operations::v1::{
        DriftItem, DriftPlace, DriftRepair, DriftReport, PlanDriftRequest, RepairDriftRequest,
    },
    registration::v1::{
        Credentials, GetCredentialsRequest, GetCredentialsResponse, PreviewRegistrationRequest,
        PreviewRegistrationResponse, RegistrationAction,
    },
};
use portico_runtime::ServiceName;
use serde_json::{Value, json};

use super::support::{Double, Heard, ID, Portal};

/// An application whose credentials are at the gateway only.
const KEYS_ONLY: &str = "1";
/// An application with a client that was never active, and without keys.
const NOT_READY: &str = "2";

fn away() -> Error {
    Error::unavailable("database_unavailable", "Away.")
}

fn report(place: DriftPlace, plan: &str, next: Option<&str>) -> DriftReport {
    DriftReport {
        items: vec![DriftItem {
            place: place.into(),
            repair: DriftRepair::Possible.into(),
            ..DriftItem::default()
        }],
        next: next.map(str::to_owned),
        looked_at: 3,
        plan: Some(plan.to_owned()),
        incomplete: Vec::new(),
    }
}

fn registration(double: Double) -> Double {
    double
        .on(
            "/portico.registration.v1.RegistrationService/PlanDrift",
            |heard: Heard<PlanDriftRequest>| {
                assert_eq!(heard.message.gateway_id, "");
                Ok(report(
                    DriftPlace::IdentityProvider,
                    "clients",
                    Some("more"),
                ))
            },
        )
        .on(
            "/portico.registration.v1.RegistrationService/RepairDrift",
            |heard: Heard<RepairDriftRequest>| {
                Ok(report(
                    DriftPlace::IdentityProvider,
                    heard.message.plan(),
                    None,
                ))
            },
        )
        .on(
            "/portico.registration.v1.RegistrationService/PreviewRegistration",
            |heard: Heard<PreviewRegistrationRequest>| {
                Ok(PreviewRegistrationResponse {
                    action: RegistrationAction::Register.into(),
                    payload: json!({ "scope": heard.message.scopes.join(" ") }).to_string(),
                    obstacles: vec!["suspended".to_owned()],
                    ..PreviewRegistrationResponse::default()
                })
            },
        )
        .on(
            "/portico.registration.v1.RegistrationService/GetCredentials",
            |heard: Heard<GetCredentialsRequest>| match heard.message.application_id.as_str() {
                KEYS_ONLY | NOT_READY => Err(Error::new(Kind::Conflict, "not_ready", "Not yet.")),
                _ => Ok(GetCredentialsResponse {
                    credentials: vec![Credentials {
                        client_id: "client".to_owned(),
                        ..Credentials::default()
                    }],
                }),
            },
        )
}

fn gateway(double: Double) -> Double {
    double
        .on(
            "/portico.gateway.v1.GatewayService/PlanDrift",
            |_: Heard<PlanDriftRequest>| Ok(report(DriftPlace::Gateway, "mappings", None)),
        )
        .on(
            "/portico.gateway.v1.GatewayService/RepairDrift",
            |heard: Heard<RepairDriftRequest>| {
                Ok(report(DriftPlace::Gateway, heard.message.plan(), None))
            },
        )
        .on(
            "/portico.gateway.v1.GatewayService/PreviewMapping",
            |heard: Heard<PreviewMappingRequest>| {
                let key = PreviewedKey {
                    gateway_url: "https://gateway.example".to_owned(),
                    ..PreviewedKey::default()
                };
                Ok(PreviewMappingResponse {
                    changes: vec![heard.message.items[0].product_name.clone()],
                    obstacles: vec!["suspended".to_owned(), "held".to_owned()],
                    keys: match heard.message.credential {
                        Some(Credential::ApiKey(_)) => vec![key],
                        _ => Vec::new(),
                    },
                })
            },
        )
        .on(
            "/portico.gateway.v1.GatewayService/ListApiKeys",
            |heard: Heard<ListApiKeysRequest>| {
                let key = (heard.message.application_id == KEYS_ONLY).then(ApiKey::default);
                Ok(ListApiKeysResponse {
                    api_keys: key.into_iter().collect(),
                })
            },
        )
        .on(
            "/portico.gateway.v1.GatewayService/ListHeldScopes",
            |_: Heard<ListHeldScopesRequest>| {
                Ok(ListHeldScopesResponse {
                    held_scopes: vec![HeldScope {
                        scope: "orders".to_owned(),
                        application_ids: vec![ID.to_owned()],
                        ..HeldScope::default()
                    }],
                    next: String::new(),
                })
            },
        )
        .on(
            "/portico.gateway.v1.GatewayService/ReleaseHeldScope",
            |heard: Heard<ReleaseHeldScopeRequest>| match heard.message.scope.as_str() {
                "orders" => Ok(ReleaseHeldScopeResponse {}),
                _ => Err(Error::not_found("held scope")),
            },
        )
}

/// A request of client type "c", or for API keys.
fn access(double: Double) -> Double {
    double
        .on(
            "/portico.access.v1.AccessService/GetAccessRequest",
            |heard: Heard<GetAccessRequestRequest>| {
                Ok(AccessRequest {
                    client_type_id: (heard.message.id == ID).then(|| "c".to_owned()),
                    items: vec![RequestedItem {
                        product_id: "p".to_owned(),
                        product_name: "Orders".to_owned(),
                        product_scopes: vec!["orders".to_owned()],
                        plan_id: "free".to_owned(),
                        plan_scopes: vec!["free".to_owned(), "orders".to_owned()],
                        ..RequestedItem::default()
                    }],
                    ..AccessRequest::default()
                })
            },
        )
        .on(
            "/portico.access.v1.AccessService/GetApplication",
            |_: Heard<GetApplicationRequest>| Ok(Application::default()),
        )
}

fn catalog(double: Double) -> Double {
    double
        .on(
            "/portico.catalog.v1.CatalogService/GetProduct",
            |_: Heard<GetProductRequest>| Ok(Product::default()),
        )
        .on(
            "/portico.catalog.v1.CatalogService/GetPlan",
            |_: Heard<GetPlanRequest>| Ok(Plan::default()),
        )
}

/// Without the services that are away.
async fn portal(missing: &[ServiceName]) -> Portal {
    Portal::new(|name, double| match name {
        name if missing.contains(&name) => double.route(
            "/{*path}",
            axum::routing::any(async || {
                tonic::Status::from(away()).into_http::<axum::body::Body>()
            }),
        ),
        ServiceName::Registration => registration(double),
        ServiceName::Gateway => gateway(double),
        ServiceName::AccessRequest => access(double),
        ServiceName::Catalog => catalog(double),
        ServiceName::Notification | ServiceName::Accounts => double,
    })
    .await
}

fn places(report: &Value) -> Vec<&str> {
    let items = report["items"].as_array().unwrap().iter();
    items.map(|item| item["place"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn drift_is_one_report_of_both() {
    let portal = portal(&[]).await;
    let report = portal.get("/api/v1/drift").await.json();
    assert_eq!(places(&report), ["gateway", "identity_provider"]);
    assert_eq!(report["plan"], "mappings.clients");
    assert_eq!(
        (&report["next"], &report["looked_at"]),
        (&json!("more"), &json!(3))
    );
    assert_eq!(report["incomplete"], json!([]));

    let plan = json!({ "plan": "mappings.clients" });
    let repaired = portal
        .json(Method::POST, "/api/v1/drift/repair", plan)
        .await;
    assert_eq!(repaired.status, 202);
    // Each is given the whole plan, and finds its part in it.
    assert_eq!(repaired.json()["plan"], "mappings.clients.mappings.clients");
}

#[tokio::test]
async fn only_who_has_what_is_named_is_asked_about_drift() {
    let portal = portal(&[]).await;
    for (query, asked) in [
        ("?after=x", vec!["identity_provider"]),
        ("?identity_provider_id=1", vec!["identity_provider"]),
        ("?gateway_id=1", vec!["gateway"]),
        (
            "?gateway_id=1&identity_provider_id=1",
            vec!["gateway", "identity_provider"],
        ),
    ] {
        let report = portal.get(&format!("/api/v1/drift{query}")).await.json();
        assert_eq!(places(&report), asked, "{query}");
    }
}

#[tokio::test]
async fn a_half_that_is_away_is_named() {
    for (missing, name, rest) in [
        (ServiceName::Gateway, "gateway", "identity_provider"),
        (ServiceName::Registration, "registration", "gateway"),
    ] {
        let portal = portal(&[missing]).await;
        let report = portal.get("/api/v1/drift").await.json();
        assert_eq!(places(&report), [rest]);
        assert_eq!(report["incomplete"], json!([name]));
        let path = format!("/api/v1/access-requests/{ID}/preview");
        let preview = portal.json(Method::POST, &path, json!({})).await.json();
        assert_eq!(preview["incomplete"], json!([name]), "{preview}");
        assert_eq!(preview["action"].is_null(), name == "registration");
        assert_eq!(preview["payload"].is_null(), name == "registration");
    }
    let portal = portal(&[ServiceName::Gateway, ServiceName::Registration]).await;
    let nobody = portal.get("/api/v1/drift").await;
    assert_eq!(nobody.problem(), (503, "service_unavailable".to_owned()));
}

#[tokio::test]
async fn a_preview_has_what_both_would_do() {
    let portal = portal(&[]).await;
    let path = format!("/api/v1/access-requests/{ID}/preview");
    let preview = portal.json(Method::POST, &path, json!({})).await.json();
    assert_eq!(preview["action"], "register");
    assert_eq!(preview["payload"]["scope"], "free orders");
    assert_eq!(preview["mapping_changes"], json!(["Orders"]));
    assert_eq!(preview["obstacles"], json!(["suspended", "held"]));

    let path = "/api/v1/access-requests/for-keys/preview";
    let preview = portal.json(Method::POST, path, json!({})).await.json();
    assert_eq!(preview["action"], "create_keys");
    assert_eq!(preview["endpoint"], "https://gateway.example");
    assert_eq!(preview["payload"]["keys"].as_array().unwrap().len(), 1);
}

/// Whether credentials are as the description says: one flat object.
async fn fits(portal: &Portal, credentials: &Value) {
    let document = portal.get("/api/v1/openapi.json").await.json();
    let schema = &document["components"]["schemas"]["AllCredentials"];
    assert_eq!(schema["type"], "object");
    let described = schema["properties"].as_object().unwrap();
    let given = credentials.as_object().unwrap();
    for name in given.keys() {
        assert!(described.contains_key(name), "{name}");
    }
    for name in schema["required"].as_array().unwrap() {
        assert!(given.contains_key(name.as_str().unwrap()), "{name}");
    }
    assert!(described.contains_key("client_id") && described.contains_key("api_keys"));
}

#[tokio::test]
async fn credentials_are_shown_beside_what_is_missing() {
    let everybody = portal(&[]).await;
    let path = |id: &str| format!("/api/v1/applications/{id}/credentials");
    let keys = everybody.get(&path(KEYS_ONLY)).await.json();
    assert_eq!(keys["api_keys"].as_array().unwrap().len(), 1);
    fits(&everybody, &keys).await;
    fits(&everybody, &everybody.get(&path(ID)).await.json()).await;
    assert_eq!(
        (&keys["clients"], &keys["incomplete"]),
        (&json!([]), &json!([]))
    );
    let waiting = everybody.get(&path(NOT_READY)).await;
    assert_eq!(waiting.problem(), (409, "not_ready".to_owned()));

    let without_gateway = portal(&[ServiceName::Gateway]).await;
    let clients = without_gateway.get(&path(ID)).await.json();
    assert_eq!(clients["client_id"], "client");
    assert_eq!(clients["incomplete"], json!(["gateway"]));
    let waiting = without_gateway.get(&path(NOT_READY)).await;
    assert_eq!(waiting.problem(), (409, "not_ready".to_owned()));
}

#[tokio::test]
async fn a_held_scope_can_be_released() {
    let portal = portal(&[]).await;
    let held = portal.get("/api/v1/gateways/held-scopes").await.json();
    assert_eq!(held["items"][0]["scope"], "orders");
    assert_eq!(held["items"][0]["application_ids"], json!([ID]));
    let path = "/api/v1/gateways/held-scopes/release";
    let release = |scope: &str| json!({ "scope": scope, "identity_provider_id": ID });
    let released = portal.json(Method::POST, path, release("orders")).await;
    assert_eq!(released.status, 204);
    let unknown = portal.json(Method::POST, path, release("others")).await;
    assert_eq!(unknown.problem(), (404, "not_found".to_owned()));
}
