//! Every way to go wrong ends in problem details.

use std::{collections::BTreeMap, time::Duration};

use http::{Method, StatusCode};
use portico_proto::{
    Error, FieldError, Kind,
    catalog::v1::{
        CreateProductRequest, GetProductRequest, ListProductsRequest, ListProductsResponse, Product,
    },
};
use portico_runtime::ServiceName;
use serde_json::{Value, json};

use super::support::{ADMIN, Double, Heard, Portal, request};

fn catalog(name: ServiceName, double: Double) -> Double {
    if name != ServiceName::Catalog {
        return double;
    }
    double
        .on(
            "/portico.catalog.v1.CatalogService/CreateProduct",
            |_: Heard<CreateProductRequest>| Ok(Product::default()),
        )
        .on(
            "/portico.catalog.v1.CatalogService/ListProducts",
            |_: Heard<ListProductsRequest>| Ok(ListProductsResponse::default()),
        )
        .on(
            "/portico.catalog.v1.CatalogService/GetProduct",
            |heard: Heard<GetProductRequest>| {
                if heard.message.id == "seen" {
                    return Ok(Product {
                        version: 7,
                        ..Product::default()
                    });
                }
                let kind = Kind::ALL[heard.message.id.parse::<usize>().unwrap()];
                let mut error = Error::new(kind, "some_code", "Some words.");
                error.fields = vec![FieldError {
                    field: "a".into(),
                    code: "a_wrong".into(),
                    message: "A.".into(),
                }];
                error.retry_after = Some(Duration::from_millis(1500));
                Err::<Product, _>(error)
            },
        )
}

const JSON: &str = "application/json";

/// Method, path, content type and body; status, code and field.
type Wrong = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u16,
    &'static str,
    &'static str,
);

const WRONG: [Wrong; 20] = [
    ("GET", "/nothing", "", "", 404, "path_unknown", ""),
    ("GET", "/products/a/b/c", "", "", 404, "path_unknown", ""),
    (
        "PUT",
        "/products",
        JSON,
        "{}",
        405,
        "method_not_allowed",
        "",
    ),
    ("POST", "/products", JSON, "{", 400, "json_malformed", ""),
    ("POST", "/products", JSON, "", 400, "json_malformed", ""),
    (
        "POST",
        "/products",
        JSON,
        r#"{"colour":1}"#,
        400,
        "field_unknown",
        "colour",
    ),
    (
        "POST",
        "/products",
        JSON,
        r#"{"apis":["orders",{"api":1}]}"#,
        400,
        "field_unknown",
        "apis[1].api",
    ),
    (
        "POST",
        "/products",
        JSON,
        r#"{"visibility":"secret"}"#,
        400,
        "visibility_invalid",
        "visibility",
    ),
    (
        "POST",
        "/products",
        JSON,
        r#"{"visibility":""}"#,
        400,
        "visibility_missing",
        "visibility",
    ),
    (
        "PATCH",
        "/products/1",
        JSON,
        r#"{"visibility":null}"#,
        400,
        "visibility_missing",
        "visibility",
    ),
    (
        "POST",
        "/access-requests",
        JSON,
        "[[],{}]",
        400,
        "field_type_wrong",
        "body",
    ),
    (
        "POST",
        "/products",
        JSON,
        r#"{"status":"published"}"#,
        400,
        "field_unknown",
        "status",
    ),
    (
        "GET",
        "/products?status=gone",
        "",
        "",
        400,
        "status_invalid",
        "status",
    ),
    (
        "POST",
        "/products",
        JSON,
        r#"{"dcr_enabled":"yes"}"#,
        400,
        "field_type_wrong",
        "dcr_enabled",
    ),
    (
        "POST",
        "/products",
        JSON,
        r#"{"scopes":7}"#,
        400,
        "field_type_wrong",
        "scopes",
    ),
    (
        "POST",
        "/products",
        "text/plain",
        "{}",
        415,
        "content_type_unsupported",
        "",
    ),
    (
        "POST",
        "/products",
        "",
        "{}",
        415,
        "content_type_unsupported",
        "",
    ),
    (
        "GET",
        "/products?limit=many",
        "",
        "",
        400,
        "limit_invalid",
        "limit",
    ),
    (
        "GET",
        "/products?limit=0",
        "",
        "",
        400,
        "limit_invalid",
        "limit",
    ),
    (
        "GET",
        "/products?colour=red",
        "",
        "",
        400,
        "field_unknown",
        "colour",
    ),
];

#[tokio::test]
async fn requests_that_are_wrong() {
    let portal = Portal::new(catalog).await;
    for (method, path, content_type, body, status, code, field) in WRONG {
        let mut request = request(method.parse().unwrap(), &format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {ADMIN}"));
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let answer = portal.send(request, body).await;
        assert_eq!(
            answer.problem(),
            (status, code.to_owned()),
            "{method} {path} {body}"
        );
        let errors = answer.json()["errors"].clone();
        if field.is_empty() {
            assert_eq!(errors, json!([]));
        } else {
            assert_eq!(errors[0]["field"], field, "{errors}");
        }
    }
    let answer = portal
        .json(Method::PUT, "/api/v1/products", json!({}))
        .await;
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    let large = json!({ "name": "x".repeat(1024 * 1024) });
    let answer = portal.json(Method::POST, "/api/v1/products", large).await;
    assert_eq!(answer.problem(), (413, "body_too_large".to_owned()));
}

#[tokio::test]
async fn a_services_words_reach_the_caller() {
    let portal = Portal::new(catalog).await;
    for (index, kind) in Kind::ALL.iter().enumerate() {
        let answer = portal.get(&format!("/api/v1/products/{index}")).await;
        assert_eq!(
            answer.problem(),
            (kind.http_status().as_u16(), "some_code".to_owned())
        );
        let problem = answer.json();
        assert_eq!(problem["type"], "urn:portico:error:some_code");
        assert_eq!(problem["detail"], "Some words.");
        assert_eq!(
            problem["errors"],
            json!([{ "field": "a", "code": "a_wrong", "message": "A." }])
        );
        assert_eq!(answer.header("retry-after"), "2");
        let challenge = answer.header("www-authenticate");
        assert_eq!(
            challenge.starts_with("Bearer"),
            *kind == Kind::Unauthenticated
        );
    }
}

/// As they are sent, but for the id of the request.
#[tokio::test]
async fn a_problem_of_each_status() {
    let portal = Portal::new(catalog).await;
    let post = |content_type: &'static str| {
        request(Method::POST, "/api/v1/products")
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("content-type", content_type)
    };
    let stranger = request(Method::GET, "/api/v1/products").header("authorization", "Bearer x");
    let outdated = request(Method::POST, "/api/v1/products/seen/publish")
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("if-match", "\"6\"");
    let mut answers = vec![
        portal.send(post(JSON), r#"{"visibility":null}"#).await,
        portal.send(stranger, "").await,
        portal.get("/api/v1/nothing").await,
        portal
            .send(request(Method::PUT, "/api/v1/products"), "")
            .await,
        portal.send(outdated, "").await,
        portal.send(post(JSON), vec![b' '; 1024 * 1024 + 1]).await,
        portal.send(post("text/plain"), "{}").await,
    ];
    for kind in [
        Kind::Forbidden,
        Kind::Conflict,
        Kind::Limited,
        Kind::Unavailable,
        Kind::Internal,
    ] {
        let index = Kind::ALL.iter().position(|known| *known == kind).unwrap();
        answers.push(portal.get(&format!("/api/v1/products/{index}")).await);
    }
    let problems: BTreeMap<String, Value> = answers
        .iter()
        .map(|answer| (answer.problem().0.to_string(), answer.json()))
        .collect();
    assert_eq!(problems.len(), answers.len(), "each once");
    insta::assert_json_snapshot!("problems", problems, { ".*.instance" => "[request id]" });
}

#[tokio::test]
async fn a_service_that_is_away_is_503_without_its_words() {
    // Channels without services in them.
    let mut portal = Portal::new(|_, double| double).await;
    portal.deps.channels = portico_runtime::Channels::local();
    portal.router = crate::edge::router(&portal.deps).await;
    let answer = portal
        .send(request(Method::GET, "/api/v1/products"), "")
        .await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["code"], "catalog_unavailable");
    assert_eq!(answer.header("retry-after"), "2");
    let answer = portal.send(request(Method::GET, "/readyz"), "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let parts = answer.json()["parts"].clone();
    assert_eq!(parts.as_array().unwrap().len(), 9);
    let away = json!({ "part": "catalog", "ready": false, "reason": "service_unavailable" });
    assert_eq!(parts[0], away);
    for (place, part) in [(2, "registration"), (3, "gateway"), (4, "notification")] {
        assert_eq!(parts[place]["part"], part);
        assert_eq!(parts[place]["optional"], true, "{part}");
    }
    assert_eq!(
        parts[6],
        json!({ "part": "bus", "ready": true, "optional": true })
    );
}

#[tokio::test]
async fn a_panic_is_a_problem_without_its_words() {
    let mut portal = Portal::new(|_, double| double).await;
    let edge = crate::edge::Edge::new(&portal.deps);
    let routes = axum::Router::new().route(
        "/panic",
        axum::routing::get(async || -> () { panic!("canary") }),
    );
    portal.router = crate::edge::around(routes, &edge);
    let answer = portal.send(request(Method::GET, "/panic"), "").await;
    assert_eq!(answer.problem(), (500, "internal".to_owned()));
    assert!(!answer.text().contains("canary"));
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_refused_before_anybody_is_asked() {
    let portal = Portal::with("https://portal.example", catalog).await;
    for (path, code, field) in [
        ("/api/v1/products/%00", "null_character", "path"),
        ("/api/v1/products?limit=1&q=a%00b", "null_character", "q"),
        ("/api/v1/products?tag=%00", "null_character", "tag"),
        ("/api/v1/products?%00=tag", "null_character", "query"),
        ("/api/v1/users/%00", "null_character", "path"),
        ("/api/v1/products?q=%ff", "not_utf8", "q"),
        ("/api/v1/products?%E9=1", "not_utf8", "query"),
        ("/api/v1/products/%ff", "not_utf8", "path"),
        ("/api/v1/events?after=xx&zz=1", "field_unknown", "after"),
    ] {
        let answer = portal.get(path).await;
        assert_eq!(answer.problem(), (400, code.to_owned()), "{path}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{path}");
    }
}

#[tokio::test]
async fn a_request_says_which_host_it_is_for() {
    let portal = Portal::with("https://portal.example", catalog).await;
    for (hosts, status) in [
        (&["portal.example"][..], 200),
        (&[], 400),
        (&["portal.example", "portal.example"], 400),
        (&["evil.example/x@y"], 400),
    ] {
        let mut request = request(Method::GET, "/api/v1/openapi.json");
        for host in hosts {
            request = request.header("host", *host);
        }
        let answer = portal.raw(request.body("".into()).unwrap()).await;
        assert_eq!(answer.status, status, "{hosts:?}");
        if status == 400 {
            assert_eq!(answer.problem(), (400, "host_invalid".to_owned()));
        }
    }
}

#[tokio::test]
async fn every_answer_is_careful() {
    let portal = Portal::with("https://portal.example", catalog).await;
    for path in [
        "/api/v1/products",
        "/nothing",
        "/api/docs",
        "/healthz",
        "/metrics",
        "/api/v1/openapi.json",
    ] {
        let answer = portal.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(
            answer.header("strict-transport-security"),
            "max-age=31536000; includeSubDomains",
            "{path}"
        );
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
    }
    let metrics = portal.get("/metrics").await.text();
    // Tests of one process share what is counted.
    for labels in [
        "method=\"GET\",route=\"/api/v1/products\",status=\"200\"",
        "method=\"GET\",route=\"none\",status=\"404\"",
    ] {
        let counted = format!("portico_http_request_duration_seconds_count{{{labels}}} ");
        assert!(metrics.contains(&counted), "{metrics}");
    }
}
