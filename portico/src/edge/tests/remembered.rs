//! What is remembered: for whom, for how long, and until when.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::extract::FromRequestParts as _;
use http::Method;
use portico_proto::{
    Error, Kind,
    accounts::v1::{
        GetCurrentUserRequest, SuspendUserRequest, User,
        accounts_service_client::AccountsServiceClient,
    },
    catalog::v1::{
        GetProductRequest, ListProductsRequest, ListProductsResponse, Product,
        UnpublishProductRequest, UpdateProductRequest,
        catalog_service_client::CatalogServiceClient,
    },
};
use portico_runtime::{Caller, Channels, ServiceChannel, ServiceName};
use serde_json::json;

use super::support::{ADMIN, Answer, DEVELOPER, Double, Heard, ID, LET_IN, Portal, request};
use crate::edge::{Edge, remembered, request::RequestContext};

/// A catalogue that says in each answer whom it is for and how often it was asked.
async fn portal(asked: &Arc<AtomicUsize>) -> Portal {
    let asked = asked.clone();
    Portal::new(move |name, double| match name {
        ServiceName::Catalog => catalogue(double, &asked),
        ServiceName::Accounts => double
            .on(
                "/portico.accounts.v1.AccountsService/GetCurrentUser",
                |_: Heard<GetCurrentUserRequest>| Ok(User::default()),
            )
            .on(
                "/portico.accounts.v1.AccountsService/SuspendUser",
                |_: Heard<SuspendUserRequest>| Ok(User::default()),
            ),
        _ => double,
    })
    .await
}

fn catalogue(double: Double, asked: &Arc<AtomicUsize>) -> Double {
    let (lists, ones) = (asked.clone(), asked.clone());
    let product = |caller: &Caller, asked: &AtomicUsize| Product {
        id: ID.to_owned(),
        name: audience(caller).to_owned(),
        version: asked.fetch_add(1, Ordering::SeqCst) as u64 + 1,
        ..Product::default()
    };
    let changed = |caller: &Caller| match audience(caller) {
        "admin" => Ok(Product::default()),
        _ => Err(Error::new(Kind::Forbidden, "forbidden", "Only an admin.")),
    };
    double
        .on(
            "/portico.catalog.v1.CatalogService/ListProducts",
            move |heard: Heard<ListProductsRequest>| {
                Ok(ListProductsResponse {
                    products: vec![product(&heard.caller, &lists)],
                    next: heard.message.q,
                })
            },
        )
        .on(
            "/portico.catalog.v1.CatalogService/GetProduct",
            move |heard: Heard<GetProductRequest>| match heard.message.id.as_str() {
                ID => Ok(product(&heard.caller, &ones)),
                _ => {
                    ones.fetch_add(1, Ordering::SeqCst);
                    Err(Error::not_found("product"))
                }
            },
        )
        .on(
            "/portico.catalog.v1.CatalogService/UpdateProduct",
            move |heard: Heard<UpdateProductRequest>| changed(&heard.caller),
        )
        .on(
            "/portico.catalog.v1.CatalogService/UnpublishProduct",
            move |heard: Heard<UnpublishProductRequest>| changed(&heard.caller),
        )
}

fn audience(caller: &Caller) -> &'static str {
    match caller {
        Caller::Anonymous => "visitor",
        Caller::User { let_in: true, .. } => "let in",
        Caller::User { role, .. } => role.as_str(),
        Caller::Service(_) => "service",
    }
}

async fn send(portal: &Portal, method: Method, token: &str, path: &str, body: &str) -> Answer {
    let mut request = request(method, path).header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    portal.send(request, body.to_owned()).await
}

/// Whom the answer is for, and its number.
async fn one(portal: &Portal, token: &str) -> (String, u64) {
    let path = format!("/api/v1/products/{ID}");
    let answer = send(portal, Method::GET, token, &path, "").await;
    let product = answer.json();
    let version = product["version"].as_u64().unwrap();
    assert!(answer.header("etag").starts_with(&format!("\"{version}-")));
    (product["name"].as_str().unwrap().to_owned(), version)
}

fn grpc(portal: &Portal) -> ServiceChannel {
    let channels = Channels::local();
    channels.provide(ServiceName::Catalog, crate::edge::grpc_router(&portal.deps));
    channels.to(ServiceName::Catalog)
}

fn as_admin<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let bearer = format!("Bearer {ADMIN}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

#[tokio::test]
async fn everybody_gets_the_answers_of_their_audience() {
    let asked = Arc::default();
    let portal = portal(&asked).await;
    let seen = async |token| one(&portal, token).await;
    assert_eq!(seen(DEVELOPER).await, ("developer".to_owned(), 1));
    assert_eq!(seen("").await, ("visitor".to_owned(), 2));
    assert_eq!(seen(ADMIN).await, ("admin".to_owned(), 3));
    assert_eq!(seen(DEVELOPER).await, ("developer".to_owned(), 1));
    assert_eq!(seen("").await, ("visitor".to_owned(), 2));
    // Who changes the catalogue sees it as it is.
    assert_eq!(seen(ADMIN).await, ("admin".to_owned(), 4));
    for _ in 0..2 {
        assert_eq!(seen(LET_IN).await, ("let in".to_owned(), 5));
        assert_eq!(seen(DEVELOPER).await, ("developer".to_owned(), 1));
    }
}

#[tokio::test]
async fn another_question_has_another_answer() {
    let asked = Arc::default();
    let portal = portal(&asked).await;
    for _ in 0..2 {
        for (number, query) in ["", "?q=a", "?q=b", "?q=a&limit=1"].into_iter().enumerate() {
            let path = format!("/api/v1/products{query}");
            let answer = send(&portal, Method::GET, DEVELOPER, &path, "").await;
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("cache-control"), "private, no-cache");
            assert_eq!(answer.json()["items"][0]["version"], number as u64 + 1);
        }
    }
    // A refusal is not remembered.
    let unknown = "/api/v1/products/0190b6f1-7c3e-7d2a-9b1e-000000000000";
    for number in 5..7 {
        let answer = send(&portal, Method::GET, DEVELOPER, unknown, "").await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()));
        assert_eq!(asked.load(Ordering::SeqCst), number);
    }
}

#[tokio::test]
async fn a_remembered_answer_has_its_version() {
    let asked = Arc::default();
    let portal = portal(&asked).await;
    let path = format!("/api/v1/products/{ID}");
    let first = send(&portal, Method::GET, DEVELOPER, &path, "").await;
    let tag = first.header("etag");
    assert!(tag.starts_with("\"1-"), "{tag}");
    for (held, status) in [(tag, 304), ("\"2\"", 200)] {
        let request = request(Method::GET, &path)
            .header("authorization", format!("Bearer {DEVELOPER}"))
            .header("if-none-match", held);
        let answer = portal.send(request, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("etag")),
            (status, tag)
        );
        assert_eq!(answer.body.is_empty(), status == 304);
    }
}

#[tokio::test]
async fn two_seconds_are_the_longest() {
    let asked = Arc::default();
    let portal = portal(&asked).await;
    for (milliseconds, number) in [(0, 1), (1999, 1), (1, 2), (1999, 2), (1, 3)] {
        portal.time.advance(Duration::from_millis(milliseconds));
        assert_eq!(one(&portal, DEVELOPER).await.1, number);
    }
}

#[tokio::test]
async fn a_change_is_seen_at_once_whichever_way_it_came() {
    let asked = Arc::default();
    let portal = portal(&asked).await;
    let path = format!("/api/v1/products/{ID}");
    assert_eq!(one(&portal, DEVELOPER).await.1, 1);
    let changed = portal.json(Method::PATCH, &path, json!({})).await;
    assert_eq!(changed.status, 200);
    assert_eq!(one(&portal, DEVELOPER).await.1, 2);
    let message = UnpublishProductRequest { id: ID.to_owned() };
    let mut outside = CatalogServiceClient::new(grpc(&portal));
    outside.unpublish_product(as_admin(message)).await.unwrap();
    assert_eq!(one(&portal, DEVELOPER).await.1, 3);
    // What was refused has changed nothing.
    let refused = send(&portal, Method::PATCH, DEVELOPER, &path, "{}").await;
    assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
    assert_eq!(one(&portal, DEVELOPER).await.1, 3);
}

#[tokio::test]
async fn over_grpc_too() {
    let asked = Arc::default();
    let portal = portal(&asked).await;
    let outside = CatalogServiceClient::new(grpc(&portal));
    let list = async |token: &str, q: &str| {
        let mut outside = outside.clone();
        let mut request = tonic::Request::new(ListProductsRequest {
            q: q.to_owned(),
            ..ListProductsRequest::default()
        });
        if !token.is_empty() {
            let bearer = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", bearer);
        }
        let mut answer = outside.list_products(request).await.unwrap().into_inner();
        let product = answer.products.remove(0);
        assert_eq!(answer.next, q);
        (product.name, product.version)
    };
    let is = |who: &str, number| (who.to_owned(), number);
    assert_eq!(list(DEVELOPER, "").await, is("developer", 1));
    assert_eq!(list("", "").await, is("visitor", 2));
    assert_eq!(list(DEVELOPER, "a").await, is("developer", 3));
    assert_eq!(list(DEVELOPER, "").await, is("developer", 1));
    assert_eq!(list("", "").await, is("visitor", 2));
    assert_eq!(list(ADMIN, "").await, is("admin", 4));
    assert_eq!(list(ADMIN, "").await, is("admin", 5));
    let path = format!("/api/v1/products/{ID}");
    let changed = portal.json(Method::PATCH, &path, json!({})).await;
    assert_eq!(changed.status, 200);
    assert_eq!(list(DEVELOPER, "").await, is("developer", 6));
    assert_eq!(list(LET_IN, "").await, is("let in", 7));
    assert_eq!(list(DEVELOPER, "").await, is("developer", 6));
    // A refusal is forwarded with its status, and not remembered.
    for number in 8..10 {
        let unknown = outside
            .clone()
            .get_product(GetProductRequest::default())
            .await;
        assert_eq!(unknown.unwrap_err().code(), tonic::Code::NotFound);
        assert_eq!(asked.load(Ordering::SeqCst), number);
    }
}

#[tokio::test]
async fn an_answer_that_a_change_overtook_is_not_remembered() {
    let portal = portal(&Arc::default()).await;
    let edge = Edge::new(&portal.deps);
    let asked = request(Method::GET, "/api/v1/products").body(()).unwrap();
    let mut parts = asked.into_parts().0;
    let ctx = RequestContext::from_request_parts(&mut parts, &edge).await;
    let ctx = ctx.ok().unwrap();
    let old = remembered::answer(&ctx, async {
        let path = format!("/api/v1/products/{ID}");
        portal.json(Method::PATCH, &path, json!({})).await;
        Ok("before")
    });
    assert!(old.await.is_ok());
    let new = remembered::answer(&ctx, async { Ok("after") }).await;
    let body = new.ok().unwrap().into_body();
    assert_eq!(axum::body::to_bytes(body, 9).await.unwrap(), "after");
}

#[tokio::test]
async fn a_suspension_over_grpc_counts_over_rest_at_once() {
    let portal = portal(&Arc::default()).await;
    let me = async || send(&portal, Method::GET, DEVELOPER, "/api/v1/session", "").await;
    assert_eq!(me().await.status, 200);
    let message = SuspendUserRequest { id: ID.to_owned() };
    let mut outside = AccountsServiceClient::new(grpc(&portal));
    outside.suspend_user(as_admin(message)).await.unwrap();
    portal.locked.store(true, Ordering::SeqCst);
    assert_eq!(me().await.problem(), (401, "bearer_invalid".to_owned()));
}
