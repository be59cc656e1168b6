//! Internal products: there for whom an admin has let in, and for everybody else like what does not exist, whichever way
//! they ask.

use http::{StatusCode, header};
use portico_proto::catalog::v1::{
    GetProductRequest, ListProductsRequest, catalog_service_client::CatalogServiceClient,
};
use serde_json::{Value, json};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};

use super::people::{Person, Portal, done, read, text};

const NAME: &str = "Product Catalogue API";
/// A word of its description, and a tag of its own.
const FILTERS: [&str; 2] = ["q=articles", "tag=catalogue"];
const NOTHING: &str = "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_product_is_there_for_whom_an_admin_has_let_in() {
    let portal = Portal::start().await;
    let [visitor, _, newcomer, program] = portal.outsiders().await;
    let admin = portal.admin().await;
    let session = read(&newcomer.portal, "/api/v1/session").await;
    let user = text(&session["user"], "id");
    let id = portal.catalogue.product_ids[3].as_str();
    for who in [&visitor, &newcomer, &program] {
        is_hidden(&portal, who, id).await;
    }
    is_shown(&portal, &admin, id).await;
    let refused = ordered(&portal, &newcomer, id).await.unwrap_err();
    assert_eq!(Err(refused), ordered(&portal, &newcomer, NOTHING).await);

    done(&admin.portal, &format!("/api/v1/users/{user}/let-in")).await;
    for who in [&newcomer, &program, &admin] {
        is_shown(&portal, who, id).await;
    }
    is_hidden(&portal, &visitor, id).await;
    let request = ordered(&portal, &newcomer, id).await.unwrap();
    let cart = json!({"items": [{"product_id": id}]});
    let cart = newcomer.portal.put("/api/v1/cart", cart).await.unwrap();
    cart.expect(StatusCode::OK).unwrap();
    let (_, page) = page(&portal, &newcomer, "/cart").await;
    assert!(page.contains(NAME), "{page}");

    done(&admin.portal, &format!("/api/v1/users/{user}/shut-out")).await;
    for who in [&newcomer, &program] {
        is_hidden(&portal, who, id).await;
    }
    let (_, page) = self::page(&portal, &newcomer, "/cart").await;
    assert!(!page.contains(NAME), "{page}");
    // What was asked for stays, with its name.
    let path = format!("/api/v1/access-requests/{request}");
    let kept = read(&newcomer.portal, &path).await.to_string();
    assert!(kept.contains(NAME), "{kept}");
    is_in_nobody_elses_stream(&portal, &request).await;
    portal.stop().await;
}

/// The answers about the product are those about nothing, and no list has it.
async fn is_hidden(portal: &Portal, who: &Person, id: &str) {
    assert_eq!(found(who, id).await, found(who, NOTHING).await);
    let products = read(&who.portal, "/api/v1/products?limit=100").await;
    assert_eq!(products["next"], Value::Null);
    assert!(!products.to_string().contains(id), "{}", who.name);
    for filter in FILTERS {
        let path = format!("/api/v1/products?limit=1&{filter}");
        let nothing = read(&who.portal, "/api/v1/products?limit=1&q=nothing-like-it").await;
        assert_eq!(read(&who.portal, &path).await, nothing, "{}", who.name);
        let (_, page) = page(portal, who, &format!("/catalogue?{filter}")).await;
        assert!(!page.contains(NAME), "{}: {page}", who.name);
    }
    let refused = |answer: Result<_, Status>| {
        let status = answer.unwrap_err();
        (status.code(), status.message().to_owned())
    };
    let of_it = refused(over_grpc(portal, who, id).await);
    assert_eq!(of_it, refused(over_grpc(portal, who, NOTHING).await));
    assert!(!listed_over_grpc(portal, who, id).await, "{}", who.name);
    let path = format!("/catalogue/{id}");
    assert_eq!(page(portal, who, &path).await.0, 404, "{}", who.name);
}

async fn is_shown(portal: &Portal, who: &Person, id: &str) {
    assert_eq!(found(who, id).await.0, 200, "{}", who.name);
    for filter in FILTERS {
        let path = format!("/api/v1/products?{filter}");
        assert_eq!(read(&who.portal, &path).await["items"][0]["id"], id);
    }
    assert_eq!(over_grpc(portal, who, id).await.unwrap(), NAME);
    assert!(listed_over_grpc(portal, who, id).await, "{}", who.name);
    let (status, page) = page(portal, who, &format!("/catalogue/{id}")).await;
    assert!(status == 200 && page.contains(NAME), "{}", who.name);
}

/// Status and body, without what names the call.
async fn found(who: &Person, id: &str) -> (u16, Value) {
    let path = format!("/api/v1/products/{id}");
    let mut answer = who.portal.get(&path).await.unwrap();
    answer.body["instance"].take();
    (answer.status.as_u16(), answer.body)
}

/// The id of a request for a product, or the problem.
async fn ordered(portal: &Portal, who: &Person, product: &str) -> Result<String, Value> {
    let order = json!({
        "items": [{"product_id": product, "plan_id": portal.catalogue.plan_ids[0]}],
        "application": {"name": "Ledger", "description": "", "redirect_urls": [], "visibility": "personal"},
        "client_type_id": portal.catalogue.client_type_id,
    });
    let path = "/api/v1/access-requests";
    let mut answer = who.portal.post(path, order).await.unwrap();
    if answer.status == StatusCode::CREATED {
        return Ok(text(&answer.body, "id"));
    }
    assert_eq!(answer.body["errors"][0]["code"], "product_unknown");
    answer.body["instance"].take();
    Err(answer.body)
}

fn catalogue(portal: &Portal) -> CatalogServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(portal.grpc_url()).unwrap();
    CatalogServiceClient::new(endpoint.connect_lazy())
}

fn as_who<T>(who: &Person, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = &who.token {
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
    }
    request
}

async fn over_grpc(portal: &Portal, who: &Person, id: &str) -> Result<String, Status> {
    let request = as_who(who, GetProductRequest { id: id.to_owned() });
    let answer = catalogue(portal).get_product(request).await?;
    Ok(answer.into_inner().name)
}

async fn listed_over_grpc(portal: &Portal, who: &Person, id: &str) -> bool {
    let request = as_who(who, ListProductsRequest::default());
    let answer = catalogue(portal).list_products(request).await.unwrap();
    let products = answer.into_inner().products;
    products.iter().any(|product| product.id == id)
}

/// Status and text of a page, in somebody's browser.
async fn page(portal: &Portal, who: &Person, path: &str) -> (u16, String) {
    let mut request = portal.http.get(format!("{}{path}", portal.url()));
    if let Some(token) = &who.token {
        request = request.header(header::COOKIE, format!("portico_session={token}"));
    }
    let request = request.header(header::ACCEPT, "text/html");
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Streams have what somebody asked for themselves: it is after the other request, which is not there.
async fn is_in_nobody_elses_stream(portal: &Portal, request: &str) {
    let [_, _, other, _] = portal.outsiders().await;
    let own = &portal.catalogue.product_ids[0];
    let own = ordered(portal, &other, own).await.unwrap();
    let stream = portal.http.get(format!("{}/api/v1/events", portal.url()));
    let stream = stream
        .bearer_auth(other.token.as_ref().unwrap())
        .header("last-event-id", "0");
    let mut stream = stream.send().await.unwrap();
    let mut told = String::new();
    while !told.contains(&own) {
        let chunk = stream.chunk().await.unwrap().unwrap();
        told.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(!told.contains(request) && !told.contains(NAME), "{told}");
}
