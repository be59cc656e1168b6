//! A product without OAuth credentials: its key is ordered, made, shown once, used, replaced and revoked, by both of
//! the gateway's APIs; and a process that dies on the way leaves one key that works.

use http::StatusCode;
use portico::client::Portal;
use portico_sandbox::gateway::seed;
use portico_trials::{NATS, POSTGRESQL, Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    actions::{Configured, id, made},
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut all = trials!(single, []; from_the_order_to_the_revocation, dies_and_leaves_one_key);
    all.extend(trials!(single, [POSTGRESQL, NATS]; on_servers));
    all
}

pub(crate) struct Order {
    pub(crate) request: String,
    pub(crate) application: String,
}

/// The product, with its API at the gateway.
pub(crate) async fn product(world: &World) -> String {
    let target = world.gateway.api("payments").unwrap()["proxy"]["target_url"].clone();
    let mut api = seed::key_api("weather", "Weather", "/weather/", target.as_str().unwrap());
    api["auth_configs"] = json!({"authToken": {"auth_header_name": "X-Api-Key"}});
    world.gateway.load(vec![api], vec![]).unwrap();
    let product = made(&world.admin, "/api/v1/products", json!({
        "name": "Weather API", "description": "", "dcr_enabled": false, "visibility": "public",
        "apis": [{"api_id": "weather", "name": "Weather", "url": format!("{}/weather/", world.gateway.url())}],
    }))
    .await;
    let path = format!("/api/v1/products/{}/publish", id(&product));
    let published = world.admin.post(&path, json!({})).await.unwrap();
    published.expect(StatusCode::OK).unwrap();
    id(&product)
}

/// Without a client type and without redirect URLs.
pub(crate) async fn order(portal: &Configured, product: &str) -> Order {
    let body = json!({
        "items": [{"product_id": product, "plan_id": portal.free}],
        "application": {"name": "Shop", "description": "", "redirect_urls": [], "visibility": "personal"},
    });
    let request = made(&portal.developer, "/api/v1/access-requests", body).await;
    assert_eq!(request["credential"], "api_key");
    assert_eq!(request["identity_provider_id"], Value::Null);
    Order {
        request: id(&request),
        application: request["application_id"].as_str().unwrap().to_owned(),
    }
}

async fn keys(who: &Portal, application: &str) -> Value {
    let path = format!("/api/v1/applications/{application}/api-keys");
    let answer = who.get(&path).await.unwrap();
    answer.expect(StatusCode::OK).unwrap()["items"].clone()
}

/// As soon as it can be shown.
pub(crate) async fn ready(who: &Portal, application: &str) -> Value {
    until("a key that is ready", || async {
        let keys = keys(who, application).await;
        (keys[0]["status"] == "ready" && keys[0]["revealed"] == false).then(|| keys[0].clone())
    })
    .await
}

pub(crate) async fn reveal(who: &Portal, key: &Value, status: StatusCode) -> Value {
    let path = format!("/api/v1/api-keys/{}/reveal", id(key));
    let answer = who.post(&path, json!({})).await.unwrap();
    answer.expect(status).unwrap()
}

pub(crate) async fn call(world: &World, key: &str) -> u16 {
    portico_sandbox::outgoing::http_client()
        .unwrap()
        .get(format!("{}/weather/status", world.gateway.url()))
        .header("x-api-key", key)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

async fn from_the_order_to_the_revocation() {
    for dashboard in [false, true] {
        let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
        let portal = match dashboard {
            true => world.configure_at_dashboard().await,
            false => world.configure().await,
        };
        walk(&world, &portal).await;
    }
}

async fn on_servers() {
    let world = World::start(Provider::sandbox().await, Backends::servers().await).await;
    let portal = world.configure().await;
    walk(&world, &portal).await;
}

async fn walk(world: &World, portal: &Configured) {
    let product = product(world).await;
    let mixed = json!({
        "items": [{"product_id": product, "plan_id": portal.free}, {"product_id": portal.payments, "plan_id": portal.free}],
        "client_type_id": portal.client_type_id,
        "application": {"name": "Shop", "description": "", "redirect_urls": [], "visibility": "personal"},
    });
    let refused = portal
        .developer
        .post("/api/v1/access-requests", mixed)
        .await;
    let refused = refused.unwrap().expect(StatusCode::BAD_REQUEST).unwrap();
    assert_eq!(
        refused["errors"][0]["code"], "credentials_mixed",
        "{refused}"
    );

    let Order {
        request,
        application,
    } = order(portal, &product).await;
    let preview = world.act(&world.admin, &request, "preview").await;
    let preview = preview.expect(StatusCode::OK).unwrap();
    assert_eq!(preview["action"], "create_keys");
    assert_eq!(preview["payload"]["keys"][0]["product"], "Weather API");
    world.approve(&request).await;
    world.wait_for_status(&request, "active").await;
    let listed = ready(&portal.developer, &application).await;
    let command = listed["apis"][0]["command"].as_str().unwrap().to_owned();
    assert!(command.contains("X-Api-Key: $API_KEY"), "{command}");

    reveal(&world.admin, &listed, StatusCode::FORBIDDEN).await;
    let shown = reveal(&portal.developer, &listed, StatusCode::OK).await;
    let first = shown["key"].as_str().unwrap().to_owned();
    assert_eq!(call(world, &first).await, 200);
    let again = reveal(&portal.developer, &listed, StatusCode::CONFLICT).await;
    assert_eq!(again["code"], "api_key_already_revealed");

    let path = format!("/api/v1/api-keys/{}/replace", id(&listed));
    let replaced = portal.developer.post(&path, json!({})).await.unwrap();
    replaced.expect(StatusCode::ACCEPTED).unwrap();
    let other = ready(&portal.developer, &application).await;
    let shown = reveal(&portal.developer, &other, StatusCode::OK).await;
    let second = shown["key"].as_str().unwrap().to_owned();
    until("the old key is refused", || async {
        (call(world, &first).await == 403).then_some(())
    })
    .await;
    assert_eq!(call(world, &second).await, 200);
    assert_eq!(world.gateway.key_hashes().len(), 1);

    let revoked = world.act(&world.admin, &request, "revoke").await;
    revoked.expect(StatusCode::ACCEPTED).unwrap();
    until("the revoked key is refused", || async {
        (call(world, &second).await == 403).then_some(())
    })
    .await;
    until("no key is left", || async {
        let none = world.gateway.key_hashes().is_empty();
        (none && keys(&portal.developer, &application).await == json!([])).then_some(())
    })
    .await;
    until("three mails", || async {
        (world.mail.messages().len() >= 3).then_some(())
    })
    .await;
    let mails = world.mail.messages();
    assert!(
        mails
            .iter()
            .any(|mail| mail.subject == "Your API key for Shop is ready")
    );
    let said = format!("{mails:?}");
    assert!(!said.contains(&first) && !said.contains(&second));
}

async fn dies_and_leaves_one_key() {
    for point in [
        "key_intending",
        "key_intent",
        "key_answer_unspooled",
        "key_answer_received",
        "key_registered",
    ] {
        let mut world =
            World::start_to_die(Provider::sandbox().await, Backends::embedded(), point).await;
        let portal = world.configure().await;
        let product = product(&world).await;
        let order = order(&portal, &product).await;
        let path = format!("/api/v1/access-requests/{}/approve", order.request);
        let _ = world.admin.post(&path, json!({})).await;
        world.portico.dead().await;

        let world = world.restart().await;
        world.wait_for_status(&order.request, "active").await;
        let listed = ready(&portal.developer, &order.application).await;
        let shown = reveal(&portal.developer, &listed, StatusCode::OK).await;
        let key = shown["key"].as_str().unwrap();
        assert_eq!(call(&world, key).await, 200, "after {point}");
        assert_eq!(world.gateway.key_hashes().len(), 1, "keys after {point}");
    }
}
