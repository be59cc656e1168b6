//! Versions, repetitions and ids of requests.

use std::sync::{Arc, Mutex};

use http::Method;
use portico_proto::catalog::v1::{
    DeleteProductRequest, DeleteProductResponse, GetProductRequest, Product, PublishProductRequest,
    UpdateProductRequest,
};
use portico_proto::registration::v1::{ClientType, GetClientTypeRequest};
use portico_runtime::ServiceName;

use super::support::{ADMIN, Double, Heard, ID, Portal, request};

type Versions = Arc<Mutex<Vec<u64>>>;

async fn portal(versions: &Versions) -> Portal {
    let versions = versions.clone();
    let product = || Product {
        id: ID.to_owned(),
        version: 7,
        ..Product::default()
    };
    Portal::new(move |name: ServiceName, double: Double| {
        if name != ServiceName::Catalog {
            return double;
        }
        let (updates, deletes) = (versions.clone(), versions.clone());
        double
            .on(
                "/portico.catalog.v1.CatalogService/GetProduct",
                move |heard: Heard<GetProductRequest>| {
                    assert_eq!(heard.metadata.get("x-request-id").unwrap(), ID);
                    Ok(product())
                },
            )
            .on(
                "/portico.catalog.v1.CatalogService/PublishProduct",
                move |heard: Heard<PublishProductRequest>| {
                    assert_eq!(heard.metadata.get("idempotency-key").unwrap(), "once");
                    Ok(product())
                },
            )
            .on(
                "/portico.catalog.v1.CatalogService/UpdateProduct",
                move |heard: Heard<UpdateProductRequest>| {
                    updates.lock().unwrap().push(heard.message.if_version);
                    Ok(product())
                },
            )
            .on(
                "/portico.catalog.v1.CatalogService/DeleteProduct",
                move |heard: Heard<DeleteProductRequest>| {
                    deletes.lock().unwrap().push(heard.message.if_version);
                    Ok(DeleteProductResponse {})
                },
            )
    })
    .await
}

fn call(method: Method, path: &str, headers: &[(&str, &str)]) -> http::request::Builder {
    let mut request = request(method, &format!("/api/v1/products/{ID}{path}"))
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("x-request-id", ID)
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

#[tokio::test]
async fn an_unchanged_resource_is_not_sent_again() {
    let portal = portal(&Versions::default()).await;
    let answer = portal.send(call(Method::GET, "", &[]), "").await;
    let tag = answer.header("etag");
    assert_eq!(answer.status, 200);
    assert!(tag.starts_with("\"7-"), "{tag}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-request-id"), ID);
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    for (held, status) in [
        (tag, 304),
        (&format!("W/{tag}"), 304),
        (&format!("\"6\", {tag}"), 304),
        ("*", 304),
        ("\"7\"", 200),
        ("7", 200),
    ] {
        let answer = portal
            .send(call(Method::GET, "", &[("if-none-match", held)]), "")
            .await;
        assert_eq!(answer.status, status, "{held}");
        assert_eq!(answer.header("etag"), tag);
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    let two = [("if-none-match", "\"6\""), ("if-none-match", tag)];
    assert_eq!(
        portal.send(call(Method::GET, "", &two), "").await.status,
        304
    );
}

/// A client type shows the name of its provider, which is renamed without a new version of the client type.
#[tokio::test]
async fn what_comes_from_elsewhere_makes_another_tag() {
    let name: Arc<Mutex<&str>> = Arc::new(Mutex::new("Login"));
    let provider = Arc::clone(&name);
    let portal = Portal::new(move |service: ServiceName, double: Double| {
        if service != ServiceName::Registration {
            return double;
        }
        let provider = Arc::clone(&provider);
        double.on(
            "/portico.registration.v1.RegistrationService/GetClientType",
            move |_: Heard<GetClientTypeRequest>| {
                Ok(ClientType {
                    id: ID.to_owned(),
                    identity_provider_name: (*provider.lock().unwrap()).to_owned(),
                    version: 3,
                    ..ClientType::default()
                })
            },
        )
    })
    .await;
    let path = format!("/api/v1/client-types/{ID}");
    let held = portal.get(&path).await.header("etag").to_owned();
    let again = || {
        let request = request(Method::GET, &path).header("if-none-match", &held);
        portal.send(
            request.header("authorization", format!("Bearer {ADMIN}")),
            "",
        )
    };
    assert_eq!(again().await.status, 304);
    *name.lock().unwrap() = "Sign-in";
    let renamed = again().await;
    assert_eq!(renamed.status, 200);
    assert_eq!(renamed.json()["identity_provider_name"], "Sign-in");
    assert!(renamed.header("etag").starts_with("\"3-"));
}

#[tokio::test]
async fn the_expected_version_goes_to_the_service() {
    let versions = Versions::default();
    let portal = portal(&versions).await;
    let present = portal.send(call(Method::GET, "", &[]), "").await;
    // Of several the present one is expected (RFC 9110 section 13.1.1), in one header or in two.
    let two = [("if-match", "\"1\""), ("if-match", "\"7\"")];
    for headers in [
        &[("if-match", present.header("etag"))][..],
        &[("if-match", "\"7\"")],
        &[("if-match", "*")],
        &[("if-match", "\"1\", \"7\"")],
        &two,
    ] {
        let answer = portal.send(call(Method::PATCH, "", headers), "{}").await;
        assert_eq!(answer.status, 200, "{headers:?}");
        assert_eq!(answer.header("etag"), present.header("etag"));
    }
    let headers = [("if-match", "\"1\", \"2\"")];
    let answer = portal.send(call(Method::PATCH, "", &headers), "{}").await;
    assert_eq!(answer.problem(), (412, "version_mismatch".to_owned()));
    assert_eq!(
        portal
            .send(call(Method::DELETE, "", &[("if-match", "\"9\"")]), "")
            .await
            .status,
        204
    );
    assert_eq!(
        portal.send(call(Method::DELETE, "", &[]), "").await.status,
        204
    );
    let answer = portal
        .send(
            call(Method::DELETE, "", &[("if-match", "\"of another server\"")]),
            "",
        )
        .await;
    assert_eq!(answer.problem(), (412, "version_mismatch".to_owned()));
    let answer = portal
        .send(call(Method::DELETE, "", &[("if-match", "7")]), "")
        .await;
    assert_eq!(answer.problem(), (400, "if_match_invalid".to_owned()));
    assert_eq!(*versions.lock().unwrap(), [7, 7, 0, 7, 7, 9, 0]);
}

/// RFC 9110 section 13.1.2: what exists is not to be changed, or not in this version.
#[tokio::test]
async fn a_write_honours_if_none_match() {
    let versions = Versions::default();
    let portal = portal(&versions).await;
    for method in [Method::PATCH, Method::DELETE] {
        for (held, refused) in [
            ("*", Some((412, "precondition_failed"))),
            ("\"7\"", Some((412, "precondition_failed"))),
            ("\"6\", \"7-0f\"", Some((412, "precondition_failed"))),
            ("7", Some((400, "if_none_match_invalid"))),
            ("\"6\"", None),
        ] {
            let headers = [("if-none-match", held)];
            let answer = portal.send(call(method.clone(), "", &headers), "{}").await;
            match refused {
                Some((status, code)) => {
                    assert_eq!(
                        answer.problem(),
                        (status, code.to_owned()),
                        "{method} {held}"
                    );
                }
                None => assert!(answer.status.is_success(), "{method} {}", answer.text()),
            }
        }
    }
    let headers = [("if-match", "\"7\""), ("if-none-match", "\"6\"")];
    let answer = portal.send(call(Method::PATCH, "", &headers), "{}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(*versions.lock().unwrap(), [0, 0, 7]);
    let headers = [("if-none-match", "*"), ("idempotency-key", "once")];
    let answer = portal
        .send(call(Method::POST, "/publish", &headers), "")
        .await;
    assert_eq!(answer.problem(), (412, "precondition_failed".to_owned()));
}

#[tokio::test]
async fn where_the_service_takes_no_version_the_edge_looks() {
    let portal = portal(&Versions::default()).await;
    for (tag, status) in [
        ("\"7\"", 200),
        ("*", 200),
        ("\"6\", \"7\"", 200),
        ("\"6\"", 412),
    ] {
        let headers = [("if-match", tag), ("idempotency-key", "once")];
        let answer = portal
            .send(call(Method::POST, "/publish", &headers), "")
            .await;
        assert_eq!(answer.status, status, "{tag}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_key_that_no_header_should_have_is_refused() {
    let portal = portal(&Versions::default()).await;
    for key in ["", "two words", "k\u{e9}y"] {
        let answer = portal
            .send(
                call(Method::POST, "/publish", &[("idempotency-key", key)]),
                "",
            )
            .await;
        assert_eq!(
            answer.problem(),
            (400, "idempotency_key_invalid".to_owned()),
            "{key:?}"
        );
    }
}

#[tokio::test]
async fn a_header_that_counts_once_is_sent_once() {
    let portal = portal(&Versions::default()).await;
    let keys = [("idempotency-key", "once"), ("idempotency-key", "twice")];
    let types = [("content-type", "application/json")];
    for (method, path, headers, field) in [
        (Method::POST, "/publish", &keys[..], "Idempotency-Key"),
        // Beside the one that every call has.
        (Method::PATCH, "", &types, "Content-Type"),
    ] {
        let answer = portal.send(call(method, path, headers), "{}").await;
        assert_eq!(answer.problem(), (400, "header_duplicate".to_owned()));
        assert_eq!(answer.json()["errors"][0]["field"], field);
    }
}
