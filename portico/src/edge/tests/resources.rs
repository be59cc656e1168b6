//! Shapes: what goes in and what comes out, where it is more than a translation.

use http::Method;
use portico_proto::{
    access::v1::{
        AccessRequest, AccessRequestStatus, ApproveAccessRequestRequest,
        SubmitAccessRequestRequest, TimelineEntry, TimelineStep,
        submit_access_request_request::Target,
    },
    accounts::v1::{
        GetCurrentUserRequest, ListUsersRequest, ListUsersResponse, Role, User, UserStatus,
    },
    catalog::v1::{CreateProductRequest, Plan, Product, ProductStatus, UpdatePlanRequest},
    gateway::v1::{ListApiKeysRequest, ListApiKeysResponse},
    registration::v1::{
        Credentials, GetCredentialsRequest, GetCredentialsResponse, OauthClientStatus,
    },
    time::{self, Timestamp},
};
use portico_runtime::ServiceName;
use serde_json::{Value, json};

use super::support::{ADMIN, Double, Heard, ID, Portal, admin, request};

fn services(name: ServiceName, double: Double) -> Double {
    match name {
        ServiceName::Catalog => double
            .on(
                "/portico.catalog.v1.CatalogService/CreateProduct",
                |heard: Heard<CreateProductRequest>| {
                    assert_eq!(heard.caller, admin());
                    Ok(Product {
                        id: ID.to_owned(),
                        status: ProductStatus::Draft.into(),
                        version: 1,
                        created_at: Some(time()),
                        ..heard.message.product.unwrap()
                    })
                },
            )
            .on(
                "/portico.catalog.v1.CatalogService/UpdatePlan",
                |heard: Heard<UpdatePlanRequest>| {
                    Ok(Plan {
                        name: heard.message.update_mask.unwrap().paths.join(" "),
                        version: 2,
                        ..heard.message.plan.unwrap()
                    })
                },
            ),
        ServiceName::AccessRequest => double
            .on(
                "/portico.access.v1.AccessService/SubmitAccessRequest",
                |heard: Heard<SubmitAccessRequestRequest>| {
                    let Some(Target::Application(application)) = heard.message.target else {
                        panic!()
                    };
                    Ok(AccessRequest {
                        id: ID.to_owned(),
                        status: AccessRequestStatus::Pending.into(),
                        application_name: application.redirect_urls.join("|"),
                        note: heard.message.items[0].plan_id().to_owned(),
                        timeline: vec![TimelineEntry {
                            step: TimelineStep::Submitted.into(),
                            ..TimelineEntry::default()
                        }],
                        version: 1,
                        ..AccessRequest::default()
                    })
                },
            )
            .on(
                "/portico.access.v1.AccessService/ApproveAccessRequest",
                |heard: Heard<ApproveAccessRequestRequest>| {
                    Ok(AccessRequest {
                        id: heard.message.id,
                        note: heard.message.note + &heard.message.reason,
                        version: 2,
                        ..AccessRequest::default()
                    })
                },
            ),
        ServiceName::Registration => double.on(
            "/portico.registration.v1.RegistrationService/GetCredentials",
            |heard: Heard<GetCredentialsRequest>| {
                let clients: usize = heard.message.application_id.parse().unwrap();
                let mut credentials: Vec<Credentials> = (0..clients).map(credentials).collect();
                credentials.push(Credentials {
                    status: OauthClientStatus::Waiting.into(),
                    ..Credentials::default()
                });
                Ok(all(credentials))
            },
        ),
        ServiceName::Gateway => double.on(
            "/portico.gateway.v1.GatewayService/ListApiKeys",
            |_: Heard<ListApiKeysRequest>| Ok(ListApiKeysResponse::default()),
        ),
        ServiceName::Accounts => accounts(double),
        ServiceName::Notification => double,
    }
}

fn accounts(double: Double) -> Double {
    double
        .on(
            "/portico.accounts.v1.AccountsService/GetCurrentUser",
            |_: Heard<GetCurrentUserRequest>| Ok(user()),
        )
        .on(
            "/portico.accounts.v1.AccountsService/ListUsers",
            |_: Heard<ListUsersRequest>| {
                let erased = User {
                    id: ID.to_owned(),
                    status: UserStatus::Erased.into(),
                    created_at: Some(time()),
                    ..User::default()
                };
                Ok(ListUsersResponse {
                    users: vec![user(), erased],
                    next: "here".to_owned(),
                })
            },
        )
}

fn user() -> User {
    User {
        id: ID.to_owned(),
        name: Some("Ada".to_owned()),
        email: Some("ada@example.org".to_owned()),
        role: Role::Admin.into(),
        status: UserStatus::Active.into(),
        version: 3,
        created_at: Some(time()),
        let_in: true,
    }
}

/// An erased user has neither name nor address, not even an empty one.
#[tokio::test]
async fn users_alone_and_in_a_list() {
    let portal = Portal::new(services).await;
    for (path, name) in [("session", "current_session"), ("users", "users")] {
        let answer = portal.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        insta::assert_json_snapshot!(name, answer.json());
    }
}

fn all(credentials: Vec<Credentials>) -> GetCredentialsResponse {
    GetCredentialsResponse { credentials }
}

fn credentials(index: usize) -> Credentials {
    Credentials {
        client_id: format!("client-{index}"),
        client_secret: Some("canary".to_owned()),
        token_endpoint: "https://idp.example/token".to_owned(),
        scopes: vec!["free_plan".to_owned(), "product_payments".to_owned()],
        granted: "{\"grant_types\":[\"client_credentials\"]}".to_owned(),
        ..Credentials::default()
    }
}

fn time() -> Timestamp {
    time::to_proto("2026-01-02T12:00:00Z".parse().unwrap())
}

#[tokio::test]
async fn a_product_comes_back_as_it_was_written() {
    let portal = Portal::new(services).await;
    let apis = json!(["api-1", { "api_id": "api-2", "url": "https://gateway.example/two/" }]);
    let body = json!({ "name": "Payments", "scopes": " a  b ", "apis": apis, "dcr_enabled": true });
    let answer = portal.json(Method::POST, "/api/v1/products", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("location"), format!("/api/v1/products/{ID}"));
    assert!(answer.header("etag").starts_with("\"1-"));
    let product = answer.json();
    assert_eq!(product["scopes"], "a b");
    assert_eq!(
        product["apis"][0],
        json!({ "api_id": "api-1", "name": "", "url": "", "gateway_id": null })
    );
    assert_eq!(product["apis"][1]["url"], "https://gateway.example/two/");
    assert_eq!(product["created_at"], "2026-01-02T12:00:00Z");
    assert_eq!(
        (&product["updated_at"], &product["policy_id"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a_limit_that_is_null_is_taken_away() {
    let portal = Portal::new(services).await;
    let path = format!("/api/v1/plans/{ID}");
    for (body, mask, rate) in [
        (json!({}), "", Value::Null),
        (json!({ "rate": null }), "rate", Value::Null),
        (
            json!({ "rate": { "requests": 1, "per_seconds": 2 }, "quota": null }),
            "quota rate",
            json!({ "requests": 1, "per_seconds": 2 }),
        ),
    ] {
        let answer = portal.json(Method::PATCH, &path, body).await;
        assert_eq!(answer.json()["name"], mask);
        assert_eq!(answer.json()["rate"], rate);
    }
    let answer = portal
        .json(Method::PATCH, &path, json!({ "rate": { "requests": 1 } }))
        .await;
    assert_eq!(answer.problem(), (400, "field_missing".to_owned()));
    assert_eq!(answer.json()["errors"][0]["field"], "rate.per_seconds");
}

#[tokio::test]
async fn checkout_and_approval() {
    let portal = Portal::new(services).await;
    let application =
        json!({ "name": "Shop", "redirect_urls": "https://a.example/x, https://b.example/y" });
    let body = json!({ "items": [{ "product_id": "p" }], "application": application, "client_type_id": "c" });
    let answer = portal
        .json(Method::POST, "/api/v1/access-requests", body.clone())
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(
        answer.header("location"),
        format!("/api/v1/access-requests/{ID}")
    );
    assert_eq!(
        answer.json()["application_name"],
        "https://a.example/x|https://b.example/y"
    );
    assert_eq!(answer.json()["note"], "");
    assert_eq!(
        answer.json()["timeline"][0],
        json!({ "step": "submitted", "at": null, "by": "", "detail": "" })
    );

    let mut both = body;
    both["application_id"] = json!(ID);
    let answer = portal
        .json(Method::POST, "/api/v1/access-requests", both)
        .await;
    assert_eq!(answer.problem(), (400, "field_ambiguous".to_owned()));

    let path = format!("/api/v1/access-requests/{ID}/approve");
    for (body, note) in [
        ("", ""),
        ("{\"reason\":\"fine\"}", "fine"),
        ("{\"note\":\"good\"}", "good"),
    ] {
        let request = request(Method::POST, &path)
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("content-type", "application/json");
        let answer = portal.send(request, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["note"].as_str()),
            (202, Some(note))
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_an_application_or_a_filter_is_named() {
    let portal = Portal::new(services).await;
    let path = format!("/api/v1/applications/{ID}");
    for name in ["name", "description", "redirect_urls"] {
        let answer = portal
            .json(Method::PATCH, &path, json!({ name: null }))
            .await;
        assert_eq!(answer.problem(), (400, "field_type_wrong".to_owned()));
        assert_eq!(answer.json()["errors"][0]["field"], name);
    }
    let answer = portal.get("/api/v1/access-requests?status=lost").await;
    assert_eq!(answer.problem(), (400, "status_invalid".to_owned()));
    assert!(
        answer.text().contains("withdrawn or revoked"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn credentials_of_none_one_and_several_clients() {
    let portal = Portal::new(services).await;
    let answer = portal.get("/api/v1/applications/0/credentials").await;
    assert_eq!(answer.problem(), (409, "not_ready".to_owned()));

    let answer = portal.get("/api/v1/applications/1/credentials").await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let one = answer.json();
    assert_eq!(one["client_id"], "client-0");
    assert_eq!(one["client_secret"], "canary");
    assert_eq!(one["token_endpoint"], "https://idp.example/token");
    assert_eq!(one["scopes"], "free_plan product_payments");
    assert_eq!(
        one["granted"],
        json!({ "grant_types": ["client_credentials"] })
    );
    assert_eq!(one["client_secret_expires_at"], Value::Null);
    assert_eq!(one["clients"].as_array().unwrap().len(), 1);

    let several = portal
        .get("/api/v1/applications/2/credentials")
        .await
        .json();
    assert_eq!(several["client_id"], Value::Null);
    assert_eq!(several["clients"][1]["client_id"], "client-1");
}
