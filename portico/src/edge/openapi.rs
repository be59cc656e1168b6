//! The description of the REST API (OpenAPI 3.1), and a page that shows it to people. The routes describe
//! themselves; here stands what is the same for all of them.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    body::Bytes,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use minijinja::Environment;
use portico_proto::Problem;
use portico_runtime::{DEFAULT_LIMIT, MAX_LIMIT};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::{PartialSchema as _, ToSchema as _, openapi::OpenApi};

use super::{Edge, problem, rest::PREFIX};

const PAGE: &str = include_str!("openapi/page.html");
const STYLE: &str = include_str!("openapi/page.css");
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document, completed: who may call, how errors look, which headers there are.
fn document(routes: OpenApi) -> Value {
    // A description is made of texts, lists and maps; it can always be written.
    let mut document = serde_json::to_value(routes).unwrap_or_default();
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Portico",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Find an API product, ask for access, get OAuth 2.0 credentials. Lists are cut into pages: \
            `limit`, and `after` with the `next` of the page before. Times are RFC 3339, ids UUIDs.",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    });
    document["security"] = json!([{ "bearer": [] }, { "cookie": [] }]);
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "An API token, or a session's." },
        "cookie": {
            "type": "apiKey", "in": "cookie", "name": "__Host-portico_session",
            "description": "The session cookie (`portico_session` where the portal has no https). What changes \
                something must come from a page of the portal.",
        },
    });
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    for (name, schema) in schemas {
        document["components"]["schemas"][name] = serde_json::to_value(schema).unwrap_or_default();
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for method in METHODS {
                if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                    complete(path, method, operation);
                }
            }
        }
    }
    document
}

fn complete(path: &str, method: &str, operation: &mut Map<String, Value>) {
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        for limit in parameters.iter_mut().filter(|one| one["name"] == "limit") {
            limit["schema"] = json!({
                "type": "integer", "format": "int32", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT,
            });
        }
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            // Of an extractor that the library knows, it is there already.
            if parameters
                .iter()
                .any(|one| one["in"] == "path" && one["name"] == name)
            {
                continue;
            }
            parameters.push(json!({
                "name": name, "in": "path", "required": true, "schema": { "type": "string" },
            }));
        }
        let (name, words) = match method {
            "get" => ("If-None-Match", "An ETag: 304 where it is still that."),
            "post" => (
                "Idempotency-Key",
                "A repetition with the same key has no second effect.",
            ),
            _ => ("If-Match", "An ETag: 412 where it is no longer that."),
        };
        parameters.push(json!({
            "name": name, "in": "header", "description": words, "schema": { "type": "string" },
        }));
    }
    operation["responses"]["default"] = json!({
        "description": "What is wrong (RFC 9457).",
        "content": { problem::MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
}

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
