//! The example company of the demo, made through the portal's own REST API.

use http::StatusCode;
use serde_json::{Value, json};

use super::world::{INITIAL_ACCESS_TOKEN, World};
use crate::client::Portal;

/// Sign-in address of the demo's admin.
pub const ADMIN_EMAIL: &str = "admin@example.org";
/// Only for the demo.
pub const ADMIN_PASSWORD: &str = "demo-admin-2026";
/// A developer of another company.
pub const DEVELOPER_EMAIL: &str = "dana@example.com";
/// Only for the demo.
pub const DEVELOPER_PASSWORD: &str = "demo-developer-2026";

/// Scopes that the identity provider knows; some are spare, for products made by hand.
pub const SCOPES: [&str; 10] = [
    "product_payments",
    "product_orders",
    "product_shipping",
    "product_catalog",
    "free_plan",
    "gold_plan",
    "trial_plan",
    "product_extra",
    "product_more",
    "extra_plan",
];
/// APIs at the gateway: id, name, listen path.
pub const APIS: [(&str, &str, &str); 4] = [
    ("payments", "Payments", "/payments/"),
    ("orders", "Orders", "/orders/"),
    ("shipping", "Shipping", "/shipping/"),
    ("catalog", "Product catalogue", "/catalog/"),
];

/// The API that takes keys instead of tokens: id, name, listen path.
pub const KEY_API: (&str, &str, &str) = ("weather", "Weather", "/weather/");

/// Counts of the seeded catalogue.
pub struct Catalogue {
    /// Number of created products.
    pub products: usize,
    /// Number of created plans.
    pub plans: usize,
    /// The client type for programs without a user.
    pub client_type_id: String,
    /// Payments, then orders.
    pub product_ids: Vec<String>,
    /// The product that gives an API key.
    pub key_product_id: String,
    /// Free, then gold.
    pub plan_ids: Vec<String>,
}

struct ExampleProduct {
    name: &'static str,
    description: &'static str,
    documentation: &'static str,
    api: &'static str,
    scope: &'static str,
    tags: [&'static str; 2],
    visibility: &'static str,
}

const PRODUCTS: [ExampleProduct; 4] = [
    ExampleProduct {
        name: "Payments API",
        description: "Take card and bank payments, refund them, and follow each of them to its settlement.",
        documentation: "## Payments\n\nCreate a payment with `POST /payments`, follow it with `GET /payments/{id}`.\n\nAmounts are in minor units; currencies follow ISO 4217.",
        api: "payments",
        scope: "product_payments",
        tags: ["finance", "payments"],
        visibility: "public",
    },
    ExampleProduct {
        name: "Orders API",
        description: "Place orders, change them until they are packed, and be told when they leave the warehouse.",
        documentation: "## Orders\n\nAn order is placed with `POST /orders` and can be changed until its status is `packed`.",
        api: "orders",
        scope: "product_orders",
        tags: ["commerce", "orders"],
        visibility: "public",
    },
    ExampleProduct {
        name: "Shipping API",
        description: "Rates, labels and tracking for eleven carriers in one format.",
        documentation: "## Shipping\n\nAsk for rates first; a rate is valid for 30 minutes.",
        api: "shipping",
        scope: "product_shipping",
        tags: ["logistics", "tracking"],
        visibility: "public",
    },
    ExampleProduct {
        name: "Product Catalogue API",
        description: "The articles we sell, with prices and stock, updated every minute. For partners whom we know.",
        documentation: "## Catalogue\n\nArticles are paged; `updated_since` gives only what changed.",
        api: "catalog",
        scope: "product_catalog",
        tags: ["commerce", "catalogue"],
        visibility: "internal",
    },
];

/// Makes provider, client types, gateway, plans, products and the developer.
///
/// # Errors
/// The call that failed and what the portal said.
pub async fn seed(world: &World) -> Result<Catalogue, String> {
    let http = portico_sandbox::outgoing::http_client().map_err(|error| error.to_string())?;
    let anonymous = Portal::anonymous(http, world.portal_url());
    let admin = anonymous.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD).await?;
    let developer =
        json!({"name": "Dana Developer", "email": DEVELOPER_EMAIL, "password": DEVELOPER_PASSWORD});
    let developer = made(&anonymous, "/api/v1/users", developer).await?;
    done(&admin, &format!("/api/v1/users/{}/let-in", id(&developer)?)).await?;

    let provider = made(
        &admin,
        "/api/v1/identity-providers",
        json!({
            "name": "Sandbox identity provider",
            "type": "other",
            "well_known_url": world.well_known_url(),
            "initial_access_token": INITIAL_ACCESS_TOKEN,
        }),
    )
    .await?;
    let client_types = format!("/api/v1/identity-providers/{}/client-types", id(&provider)?);
    let backend = made(
        &admin,
        &client_types,
        json!({
            "name": "Backend service",
            "description": "A program without a user: client credentials with a secret.",
            "response_types": [],
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic",
        }),
    )
    .await?;
    let client_type_id = id(&backend)?;
    made(
        &admin,
        "/api/v1/gateways",
        json!({
            "name": "Sandbox gateway",
            "type": "tyk",
            "url": world.gateway_url(),
            "secret": world.gateway_secret(),
            "org_id": portico_sandbox::gateway::seed::ORG,
        }),
    )
    .await?;
    let plan_ids = plans(&admin).await?;
    let product_ids = products(&admin, &client_type_id, &world.gateway_url()).await?;
    let key_product_id = key_product(&admin, &world.gateway_url()).await?;
    Ok(Catalogue {
        products: product_ids.len() + 1,
        plans: plan_ids.len(),
        client_type_id,
        product_ids,
        key_product_id,
        plan_ids,
    })
}

/// A product without dynamic client registration: no scopes, no client types.
async fn key_product(admin: &Portal, gateway_url: &str) -> Result<String, String> {
    let (api_id, name, path) = KEY_API;
    let product = json!({
        "name": "Weather API",
        "description": "Forecasts for every warehouse. With an API key instead of OAuth credentials.",
        "documentation": "## Weather\n\nSend the key as it is in the header `Authorization`.",
        "dcr_enabled": false,
        "visibility": "public",
        "tags": ["weather", "logistics"],
        "apis": [{"api_id": api_id, "name": name, "url": format!("{gateway_url}{path}")}],
    });
    let id = id(&made(admin, "/api/v1/products", product).await?)?;
    publish(admin, &id).await?;
    Ok(id)
}

async fn publish(admin: &Portal, id: &str) -> Result<(), String> {
    done(admin, &format!("/api/v1/products/{id}/publish")).await
}

/// Asks for something that needs no words.
async fn done(admin: &Portal, path: &str) -> Result<(), String> {
    let answer = admin.post(path, json!({})).await?;
    let done = answer.expect(StatusCode::OK);
    done.map_err(|error| format!("POST {path}: {error}"))?;
    Ok(())
}

async fn plans(admin: &Portal) -> Result<Vec<String>, String> {
    let plans = [
        json!({
            "name": "Free", "description": "For trying things out and for small programs.",
            "scopes": "free_plan", "auto_approve": false,
            "rate": {"requests": 60, "per_seconds": 60},
            "quota": {"requests": 10_000, "renews_every_seconds": 86_400},
        }),
        json!({
            "name": "Gold", "description": "For production: ten times the rate, and somebody to call.",
            "scopes": "gold_plan", "auto_approve": false,
            "rate": {"requests": 600, "per_seconds": 60},
            "quota": {"requests": 1_000_000, "renews_every_seconds": 86_400},
        }),
        json!({
            "name": "Trial", "description": "Approved at once, for a first look.",
            "scopes": "trial_plan", "auto_approve": true,
            "rate": {"requests": 10, "per_seconds": 60},
            "quota": {"requests": 100, "renews_every_seconds": 86_400},
        }),
    ];
    let mut ids = Vec::new();
    for plan in plans {
        ids.push(id(&made(admin, "/api/v1/plans", plan).await?)?);
    }
    Ok(ids)
}

async fn products(
    admin: &Portal,
    client_type_id: &str,
    gateway_url: &str,
) -> Result<Vec<String>, String> {
    let mut ids = Vec::new();
    for product in &PRODUCTS {
        let path = APIS
            .iter()
            .find(|(id, ..)| *id == product.api)
            .map_or("/", |(.., path)| path);
        let created = made(admin, "/api/v1/products", json!({
            "name": product.name,
            "description": product.description,
            "documentation": product.documentation,
            "dcr_enabled": true,
            "scopes": product.scope,
            "client_type_ids": [client_type_id],
            "visibility": product.visibility,
            "tags": product.tags,
            "apis": [{"api_id": product.api, "name": product.name, "url": format!("{gateway_url}{path}")}],
        }))
        .await?;
        let id = id(&created)?;
        publish(admin, &id).await?;
        ids.push(id);
    }
    Ok(ids)
}

/// Creates something and gives the answer's body.
pub(super) async fn made(portal: &Portal, path: &str, body: Value) -> Result<Value, String> {
    let answer = portal.post(path, body).await?;
    answer
        .expect(StatusCode::CREATED)
        .map_err(|error| format!("POST {path}: {error}"))
}

pub(super) fn id(body: &Value) -> Result<String, String> {
    body["id"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("no id in {body}"))
}
