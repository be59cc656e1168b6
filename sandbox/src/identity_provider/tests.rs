use reqwest::{Method, StatusCode};
use serde_json::{Map, json};

use super::*;
use crate::outgoing::http_client;

mod behaviour;
mod registration;
mod storage;
mod tokens;

const SCOPES: [&str; 3] = ["product_payments", "product_invoices", "free_plan"];

fn settings() -> Settings {
    Settings {
        scopes: SCOPES.map(str::to_owned).to_vec(),
        initial_access_token: Some("initial".to_owned()),
        ..Settings::default()
    }
}

async fn call(method: Method, url: &str, token: &str, body: Option<&Value>) -> (StatusCode, Value) {
    let mut request = http_client().unwrap().request(method, url);
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

fn wanted(scope: &str) -> Value {
    json!({"client_name": "Shop", "grant_types": ["client_credentials"], "scope": scope})
}

async fn register(provider: &Handle, body: &Value) -> (StatusCode, Value) {
    call(
        Method::POST,
        &format!("{}/register", provider.url()),
        "initial",
        Some(body),
    )
    .await
}

async fn registered(provider: &Handle, scope: &str) -> Map<String, Value> {
    let (status, body) = register(provider, &wanted(scope)).await;
    assert_eq!(status, 201, "{body}");
    body.as_object().unwrap().clone()
}

async fn token(provider: &Handle, client: &Map<String, Value>, scope: &str) -> (StatusCode, Value) {
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend((!scope.is_empty()).then_some(("scope", scope)));
    let request = http_client()
        .unwrap()
        .post(format!("{}/token", provider.url()));
    let request = request.basic_auth(text(client, "client_id"), client["client_secret"].as_str());
    let response = request.form(&form).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> &'a str {
    members
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {name} in {members:?}"))
}

async fn claims(provider: &Handle, answer: &Value) -> Map<String, Value> {
    let (_, keys) = call(Method::GET, &provider.jwks_url(), "", None).await;
    let keys: crate::jws::KeySet = serde_json::from_value(keys).unwrap();
    keys.verify(answer["access_token"].as_str().unwrap())
        .unwrap()
}
