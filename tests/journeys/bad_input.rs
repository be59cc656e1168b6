//! What is refused, by name, with the same code over REST and gRPC, leaving the store as it was.

use http::StatusCode;
use portico::client::{Answer, Portal};
use portico_proto::{
    Error,
    access::v1::{
        Application, ApproveAccessRequestRequest, CartItem, SubmitAccessRequestRequest,
        access_service_client::AccessServiceClient, submit_access_request_request::Target,
    },
    registration::v1::{
        CreateIdentityProviderRequest, IdentityProvider, IdentityProviderType,
        registration_service_client::RegistrationServiceClient,
    },
};
use portico_sandbox::identity_provider::{Answer as ProviderAnswer, Fault, Operation};
use portico_trials::{Trial, trials};
use serde_json::{Value, json};
use tonic::{Request, transport::Channel};

use crate::support::{
    actions::{Configured, id, made},
    until,
    world::{Backends, INITIAL_ACCESS_TOKEN, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, []; well_known_urls, products_and_plans, redirect_urls, checkout_that_does_not_fit, approving_what_cannot_be_approved, scope_unknown_at_the_provider_can_be_retried, initial_access_token_wrong_then_used_up_then_replaced)
}

/// A refusal: the status, the code, and the field where there is one.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str, field: &str) {
    let body = &answer.body;
    assert_eq!(answer.status.as_u16(), status, "{body}");
    assert_eq!(body["code"], code, "{body}");
    if !field.is_empty() {
        assert_eq!(body["errors"][0]["field"], field, "{body}");
    }
    assert!(
        body["detail"]
            .as_str()
            .is_some_and(|words| words.len() > 10),
        "{body}"
    );
}

async fn grpc(world: &World) -> Channel {
    Channel::from_shared(format!("http://{}", world.portico.grpc))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

fn bearer<T>(portal: &Portal, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {}", portal.token().unwrap())
        .parse()
        .unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

async fn count(portal: &Portal, path: &str) -> usize {
    let list = portal
        .get(path)
        .await
        .unwrap()
        .expect(StatusCode::OK)
        .unwrap();
    list["items"].as_array().unwrap().len()
}

async fn sandbox_world() -> (World, Configured) {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure().await;
    (world, portal)
}

fn sandbox(world: &World) -> &portico_sandbox::identity_provider::Handle {
    match &world.provider {
        Provider::Sandbox(provider) => provider,
        Provider::Keycloak(_)
        | Provider::KeycloakThrough(..)
        | Provider::Double(_)
        | Provider::Stranger(_) => {
            panic!("this world has the sandbox's provider")
        }
    }
}

async fn well_known_urls() {
    let (world, _portal) = sandbox_world().await;
    let closed = portico_tests::ports::free_port();
    let issuer = sandbox(&world).url();
    let cases = [
        ("not a url".to_owned(), None, "well_known_url_invalid"),
        (
            "ftp://example.org/.well-known/openid-configuration".to_owned(),
            None,
            "well_known_url_invalid",
        ),
        (
            format!("http://{closed}/.well-known/openid-configuration"),
            None,
            "well_known_unreachable",
        ),
        (
            format!("{issuer}/.well-known/openid-configuration"),
            Some(ProviderAnswer::html(200)),
            "well_known_not_json",
        ),
        (
            // The same server under another name is another issuer.
            format!(
                "{}/.well-known/openid-configuration",
                issuer.replace("127.0.0.1", "localhost")
            ),
            None,
            "issuer_mismatch",
        ),
    ];
    let mut registration = RegistrationServiceClient::new(grpc(&world).await);
    for (url, html, code) in cases {
        let body = json!({"name": format!("P {code}"), "type": "other", "well_known_url": url});
        if let Some(answer) = &html {
            sandbox(&world).fail_next(Operation::Discovery, 1, Fault::Refuse(answer.clone()));
        }
        refused(
            &world
                .admin
                .post("/api/v1/identity-providers", body)
                .await
                .unwrap(),
            400,
            code,
            "well_known_url",
        );
        if let Some(answer) = html {
            sandbox(&world).fail_next(Operation::Discovery, 1, Fault::Refuse(answer));
        }
        let message = CreateIdentityProviderRequest {
            identity_provider: Some(IdentityProvider {
                name: format!("P {code}"),
                r#type: IdentityProviderType::Other.into(),
                well_known_url: url,
                ..IdentityProvider::default()
            }),
        };
        let status = registration
            .create_identity_provider(bearer(&world.admin, message))
            .await
            .unwrap_err();
        assert_eq!(Error::from(status).code, code);
    }
    assert_eq!(count(&world.admin, "/api/v1/identity-providers").await, 1);
}

async fn products_and_plans() {
    let (world, portal) = sandbox_world().await;
    let product = |scopes: &str| {
        json!({
            "name": "Another", "dcr_enabled": true, "scopes": scopes, "client_type_ids": [portal.client_type_id],
        })
    };
    let create = |body: Value| world.admin.post("/api/v1/products", body);
    refused(
        &create(product("")).await.unwrap(),
        400,
        "scopes_missing",
        "scopes",
    );
    refused(
        &create(product("bad\"scope")).await.unwrap(),
        400,
        "scopes_invalid",
        "scopes",
    );
    let taken = create(product("product_payments")).await.unwrap();
    refused(&taken, 409, "scope_taken", "");
    assert!(
        taken.body["detail"]
            .as_str()
            .unwrap()
            .contains("product_payments")
    );
    let plan = json!({"name": "Empty", "scopes": "", "auto_approve": false});
    refused(
        &world.admin.post("/api/v1/plans", plan).await.unwrap(),
        400,
        "scopes_missing",
        "scopes",
    );
    refused(
        &portal
            .developer
            .post("/api/v1/plans", json!({"name": "Mine", "scopes": "x"}))
            .await
            .unwrap(),
        403,
        "forbidden",
        "",
    );
    assert_eq!(count(&world.admin, "/api/v1/products").await, 2);
    assert_eq!(count(&world.admin, "/api/v1/plans").await, 1);
}

async fn redirect_urls() {
    let (world, portal) = sandbox_world().await;
    for (url, code) in [
        ("https://app.example/cb#part", "redirect_url_fragment"),
        ("https://*.example/cb", "redirect_url_wildcard"),
        ("https://app.example/*", "redirect_url_wildcard"),
        ("javascript:alert(1)", "redirect_url_scheme"),
        ("http://app.example/cb", "redirect_url_not_https"),
        ("not a url", "redirect_url_invalid"),
    ] {
        let application = json!({"name": "Mine", "description": "", "redirect_urls": [url], "visibility": "personal"});
        let answer = portal
            .developer
            .post("/api/v1/applications", application)
            .await
            .unwrap();
        refused(&answer, 400, code, "redirect_urls[0]");
    }
    assert_eq!(count(&portal.developer, "/api/v1/applications").await, 0);
    drop(world);
}

async fn checkout_that_does_not_fit() {
    let (world, portal) = sandbox_world().await;
    let other = made(
        &world.admin,
        &format!("/api/v1/identity-providers/{}/client-types", portal.provider_id),
        json!({"name": "Web", "description": "", "response_types": ["code"], "grant_types": ["authorization_code"],
            "token_endpoint_auth_method": "client_secret_basic"}),
    )
    .await;
    let item = json!({"product_id": portal.payments, "plan_id": portal.free});
    let application =
        json!({"name": "A", "description": "", "redirect_urls": [], "visibility": "personal"});
    let wrong_type =
        json!({"items": [item], "application": application, "client_type_id": id(&other)});
    let answer = portal
        .developer
        .post("/api/v1/access-requests", wrong_type)
        .await
        .unwrap();
    refused(&answer, 400, "client_type_not_of_product", "client_type_id");
    let no_plan = json!({"items": [{"product_id": portal.payments, "plan_id": ""}], "application": application,
        "client_type_id": portal.client_type_id});
    refused(
        &portal
            .developer
            .post("/api/v1/access-requests", no_plan)
            .await
            .unwrap(),
        400,
        "plan_missing",
        "",
    );
    assert_eq!(
        count(&portal.developer, "/api/v1/applications").await,
        0,
        "an application was left behind"
    );

    // Somebody else's application is not there.
    let theirs = made(&world.admin, "/api/v1/applications", application.clone()).await;
    let foreign = json!({"items": [item], "application_id": id(&theirs), "client_type_id": portal.client_type_id});
    refused(
        &portal
            .developer
            .post("/api/v1/access-requests", foreign)
            .await
            .unwrap(),
        404,
        "not_found",
        "",
    );
    let path = format!("/api/v1/applications/{}", id(&theirs));
    refused(
        &portal.developer.get(&path).await.unwrap(),
        404,
        "not_found",
        "",
    );

    let mut access = AccessServiceClient::new(grpc(&world).await);
    let message = SubmitAccessRequestRequest {
        items: vec![CartItem {
            product_id: portal.payments.clone(),
            plan_id: Some(portal.free.clone()),
        }],
        client_type_id: Some(id(&other)),
        note: String::new(),
        target: Some(Target::Application(Application {
            name: "A".into(),
            ..Application::default()
        })),
    };
    let status = access
        .submit_access_request(bearer(&portal.developer, message))
        .await
        .unwrap_err();
    assert_eq!(Error::from(status).code, "client_type_not_of_product");
    assert_eq!(count(&portal.developer, "/api/v1/access-requests").await, 0);
}

async fn approving_what_cannot_be_approved() {
    let (world, portal) = sandbox_world().await;
    let (first, application) = portal.submit(&portal.payments, None).await;
    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    refused(
        &world.act(&portal.developer, &first, "approve").await,
        403,
        "forbidden",
        "",
    );
    world.approve(&first).await;
    refused(
        &world.act(&world.admin, &first, "approve").await,
        409,
        "already_approved",
        "",
    );
    world
        .act(&portal.developer, &second, "withdraw")
        .await
        .expect(StatusCode::ACCEPTED)
        .unwrap();
    refused(
        &world.act(&world.admin, &second, "approve").await,
        409,
        "already_withdrawn",
        "",
    );
    let mut access = AccessServiceClient::new(grpc(&world).await);
    let message = ApproveAccessRequestRequest {
        id: second.clone(),
        ..ApproveAccessRequestRequest::default()
    };
    let status = access
        .approve_access_request(bearer(&world.admin, message))
        .await
        .unwrap_err();
    assert_eq!(Error::from(status).code, "already_withdrawn");
    world.wait_for_status(&second, "withdrawn").await;
}

async fn scope_unknown_at_the_provider_can_be_retried() {
    let (world, portal) = sandbox_world().await;
    let unknown = world
        .product(
            "Later API",
            "product_later",
            "payments",
            &portal.client_type_id,
        )
        .await;
    let (request, application) = portal.submit(&unknown, None).await;
    world
        .act(&world.admin, &request, "approve")
        .await
        .expect(StatusCode::ACCEPTED)
        .unwrap();
    let failed = world.wait_for_status(&request, "failed").await;
    assert!(
        failed["reason"]
            .as_str()
            .is_some_and(|words| !words.is_empty()),
        "{failed}"
    );
    // The admin mends it at the provider and tries again.
    sandbox(&world).add_scope("product_later");
    world
        .act(&world.admin, &request, "retry")
        .await
        .expect(StatusCode::ACCEPTED)
        .unwrap();
    let path = format!("/api/v1/access-requests/{request}");
    until("it is active after the retry", || async {
        let now = world
            .admin
            .get(&path)
            .await
            .unwrap()
            .expect(StatusCode::OK)
            .unwrap();
        (now["status"] == "active").then_some(())
    })
    .await;
    assert_eq!(
        portal.credentials(&application).await.scopes,
        "free_plan product_later"
    );
    assert_eq!(sandbox(&world).client_count(), 1);
}

async fn initial_access_token_wrong_then_used_up_then_replaced() {
    let (world, portal) = sandbox_world().await;
    let provider = format!("/api/v1/identity-providers/{}", portal.provider_id);
    world
        .admin
        .patch(&provider, json!({"initial_access_token": "wrong"}))
        .await
        .unwrap()
        .expect(StatusCode::OK)
        .unwrap();
    let (request, application) = portal.submit(&portal.payments, None).await;
    world
        .act(&world.admin, &request, "approve")
        .await
        .expect(StatusCode::ACCEPTED)
        .unwrap();
    let paused = || async {
        let now = world
            .admin
            .get(&provider)
            .await
            .unwrap()
            .expect(StatusCode::OK)
            .unwrap();
        (now["status"] == "paused").then_some(())
    };
    until("the provider is paused", paused).await;
    sandbox(&world).use_up_initial_access_token();
    world
        .admin
        .patch(
            &provider,
            json!({"initial_access_token": INITIAL_ACCESS_TOKEN}),
        )
        .await
        .unwrap()
        .expect(StatusCode::OK)
        .unwrap();
    until("the provider is paused again", paused).await;
    sandbox(&world).set_initial_access_token(Some("fresh-token"), None);
    world
        .admin
        .patch(&provider, json!({"initial_access_token": "fresh-token"}))
        .await
        .unwrap()
        .expect(StatusCode::OK)
        .unwrap();
    world.wait_for_status(&request, "active").await;
    assert_eq!(
        portal.credentials(&application).await.scopes,
        "free_plan product_payments"
    );
    assert_eq!(sandbox(&world).client_count(), 1);
}
