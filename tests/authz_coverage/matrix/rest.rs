//! The REST API, as its own description has it.

use http::{Method, header};
use portico::demo::seed;
use serde_json::{Value, json};

use super::{
    Answer, Operation, Outcome, Surface,
    people::{Person, Portal, Victim},
};

pub(super) struct Rest;

impl Surface for Rest {
    const TITLE: &'static str = "REST";

    async fn operations(portal: &Portal) -> Vec<Operation> {
        let url = format!("{}/api/v1/openapi.json", portal.url());
        let document: Value = portal
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let paths = document["paths"].as_object().unwrap();
        let of = |(path, item): (&String, &Value)| {
            let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
            let there = methods
                .into_iter()
                .filter(|method| item.get(method.to_lowercase()).is_some());
            let operation = |method: &'static str| Operation {
                name: format!("{method} {path}"),
                path: path.clone(),
                method,
            };
            there.map(operation).collect::<Vec<_>>()
        };
        let all: Vec<_> = paths.iter().flat_map(of).collect();
        assert!(all.len() > 90, "{}", all.len());
        all
    }

    async fn call(portal: &Portal, who: &Person, operation: &Operation, about: &Victim) -> Answer {
        let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
        let url = format!(
            "{}{}",
            portal.url(),
            addressed(portal, &operation.path, about)
        );
        let mut request = portal.http.request(method, url);
        if let Some(token) = &who.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body(portal, operation, about) {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers().get(header::CONTENT_TYPE);
        // It goes on for as long as the session.
        let streams = kind.is_some_and(|kind| kind == "text/event-stream");
        let text = match streams {
            true => String::new(),
            false => response.text().await.unwrap(),
        };
        assert!(status < 500, "{} as {}: {text}", operation.name, who.name);
        Answer {
            outcome: Outcome::of_http(status),
            text,
        }
    }
}

/// A path with the ids of what it is about.
pub(super) fn addressed(portal: &Portal, path: &str, about: &Victim) -> String {
    let mut before = "";
    let mut parts = Vec::new();
    for part in path.split('/') {
        parts.push(match (part.starts_with('{'), before) {
            (false, _) => part.to_owned(),
            (true, "applications") => about.application_for(path).to_owned(),
            (true, word) => portal.id_of(word, about),
        });
        before = part;
    }
    parts.join("/")
}

/// The least that a body needs for the question to be who sends it.
fn body(portal: &Portal, operation: &Operation, about: &Victim) -> Option<Value> {
    let (method, path) = (operation.method, operation.path.as_str());
    let ends = |end: &str| path.ends_with(end);
    match method {
        "PATCH" => Some(json!({"name": "Taken over"})),
        "PUT" if ends("/cart") => Some(json!({"items": []})),
        "PUT" => Some(json!({"days_before": 7})),
        "POST" if ends("/access-requests") => Some(json!({
            "items": [{"product_id": portal.id_of("products", about), "plan_id": portal.id_of("plans", about)}],
            "application_id": portal.id_of("applications", about),
            "client_type_id": portal.id_of("client-types", about),
        })),
        "POST" if ends("/session") => {
            Some(json!({"email": seed::DEVELOPER_EMAIL, "password": seed::DEVELOPER_PASSWORD}))
        }
        "POST" if path.contains("parked-messages") && !path.contains('{') => {
            Some(json!({"service": "access-request", "consumer": "access-request"}))
        }
        "POST" if ends("/import") => Some(json!({"items": []})),
        "POST" if ends("/reject") || ends("/dismiss") => Some(json!({"reason": "Taken over."})),
        "POST" => Some(json!({})),
        _ => None,
    }
}
