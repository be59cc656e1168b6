//! The description of the REST API (OpenAPI 3.1), and a page that shows it to people. The routes describe
//! themselves; what is the same for all of them is in [`document`].

mod document;

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    body::Bytes,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use minijinja::Environment;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::openapi::OpenApi;

use self::document::document;
use super::{Edge, rest::PREFIX};

const PAGE: &str = include_str!("openapi/page.html");
const STYLE: &str = include_str!("openapi/page.css");
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// What is answered. Nothing of it depends on who asks.
struct Description {
    json: Bytes,
    tag: String,
    page: Option<String>,
}

impl Description {
    fn of(routes: OpenApi) -> Self {
        let document = document(routes);
        let json = Bytes::from(document.to_string());
        Self {
            tag: format!("\"{}\"", &hex(&Sha256::digest(&json))[..16]),
            page: render(&document),
            json,
        }
    }

    fn json(&self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (header::ETAG, self.tag.clone()),
        ];
        (headers, self.json.clone()).into_response()
    }

    fn page(&self) -> Response {
        match &self.page {
            Some(page) => Html(page.clone()).into_response(),
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// `/api/v1/openapi.json` and `/api/docs`.
pub(super) fn routes(routes: OpenApi) -> Router<Edge> {
    // At the first question: it would be a good part of a start, and few ask.
    let json = Arc::new(LazyLock::new(move || Description::of(routes)));
    let page = Arc::clone(&json);
    let style = async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE);
    Router::new()
        .route(
            &format!("{PREFIX}/openapi.json"),
            get(move || std::future::ready(json.json())),
        )
        .route("/api/docs", get(move || std::future::ready(page.page())))
        .route("/api/docs/page.css", get(style))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn render(document: &Value) -> Option<String> {
    let mut environment = Environment::new();
    environment.add_filter("type", type_of);
    // The name ends in .html, so everything is escaped.
    let page = environment.add_template("page.html", PAGE).and_then(|()| {
        environment
            .get_template("page.html")?
            .render(minijinja::value::Serde(json!({
                "api": operations(document),
                "version": document["info"]["version"],
                "schemas": schemas(document),
            })))
    });
    page.inspect_err(|error| tracing::error!(%error, "the page of the API cannot be rendered"))
        .ok()
}

fn type_of(schema: minijinja::Value) -> String {
    serde_json::to_value(schema)
        .map(|schema| words(&schema))
        .unwrap_or_default()
}

/// A schema in a few words.
fn words(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(all) = schema[several].as_array() {
            return all.iter().map(words).collect::<Vec<_>>().join(" or ");
        }
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", words(&schema["items"])),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let array = kinds.iter().any(|kind| kind == "array");
            if array {
                return format!("list of {} or null", words(&schema["items"]));
            }
            kinds
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

/// Operations by tag, in the order of the document.
fn operations(document: &Value) -> Vec<Value> {
    let mut tags: Vec<(String, Vec<Value>)> = Vec::new();
    let Some(paths) = document["paths"].as_object() else {
        return Vec::new();
    };
    for (path, item) in paths {
        for method in METHODS {
            let operation = &item[method];
            let Some(tag) = operation["tags"][0].as_str() else {
                continue;
            };
            let shown =
                json!({ "path": path, "method": method.to_uppercase(), "operation": operation });
            match tags.iter_mut().find(|(name, _)| name == tag) {
                Some((_, all)) => all.push(shown),
                None => tags.push((tag.to_owned(), vec![shown])),
            }
        }
    }
    tags.into_iter()
        .map(|(tag, operations)| json!({ "tag": tag, "operations": operations }))
        .collect()
}

/// Shapes by name, each with its members.
fn schemas(document: &Value) -> Vec<Value> {
    let Some(all) = document["components"]["schemas"].as_object() else {
        return Vec::new();
    };
    all.iter().map(|(name, schema)| json!({ "name": name, "schema": schema, "properties": members(schema) })).collect()
}

fn members(schema: &Value) -> Vec<Value> {
    let mut found: Vec<Value> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, member)| json!({ "name": name, "schema": member, "description": member["description"] }))
        .collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(members(part));
    }
    found
}
