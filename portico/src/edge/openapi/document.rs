//! The document, completed with what is the same for all operations: who may call, which headers there are, how errors look.

use portico_proto::Problem;
use portico_runtime::{DEFAULT_LIMIT, MAX_LIMIT};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _, openapi::OpenApi};

use super::METHODS;
use crate::edge::{problem, rest::PREFIX};

/// Subjects in the order of the page, and what each is about.
const TAGS: [(&str, &str); 14] = [
    (
        "Accounts",
        "Signing up, in and out; users and their API tokens.",
    ),
    ("Products", "What developers may ask access to."),
    ("Plans", "How much of a product somebody may use."),
    ("Cart", "Products that somebody has put aside for checkout."),
    (
        "Applications",
        "What asks for access; each gets credentials of its own.",
    ),
    (
        "Access requests",
        "Asking for access, and what becomes of it.",
    ),
    (
        "Credentials",
        "OAuth clients and API keys of an application.",
    ),
    ("Events", "What happens, as it happens."),
    ("Identity providers", "Where OAuth clients are registered."),
    (
        "Client types",
        "What sorts of clients developers may choose.",
    ),
    ("Gateways", "Where access is enforced."),
    (
        "Drift",
        "What was changed at providers and gateways outside Portico.",
    ),
    ("E-mail", "Messages to people, and what became of them."),
    (
        "Operations",
        "Stuck messages, and how far events were published.",
    ),
];

/// Who needs no credential for an operation: nobody does, or visitors get what is public.
const OPEN: [(&str, &str, Access); 5] = [
    ("post", "/session", Access::Anybody),
    ("post", "/users", Access::Anybody),
    ("get", "/products", Access::Visitors),
    ("get", "/products/{id}", Access::Visitors),
    ("delete", "/session", Access::Visitors),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// A credential has no meaning.
    Anybody,
    /// A credential shows more.
    Visitors,
}

/// The description of all routes.
pub(super) fn document(routes: OpenApi) -> Value {
    // A description is made of texts, lists and maps; it can always be written.
    let mut document = serde_json::to_value(routes).unwrap_or_default();
    document["openapi"] = json!("3.1.0");
    document["info"] = info();
    // Wherever the document was fetched from (RFC 3986 section 5.2).
    document["servers"] = json!([{ "url": "/", "description": "This portal." }]);
    document["tags"] = TAGS
        .iter()
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .collect();
    document["security"] = json!([{ "bearer": [] }, { "cookie": [] }]);
    document["components"]["securitySchemes"] = security_schemes();
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    for (name, schema) in schemas {
        document["components"]["schemas"][name] = serde_json::to_value(schema).unwrap_or_default();
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        refer_to_items(schemas);
    }
    let content =
        json!({ problem::MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } });
    document["components"]["responses"] = json!({
        "Refused": { "description": "What was wrong with the request (RFC 9457).", "content": content },
        "Failed": { "description": "What failed, and whether to try again (RFC 9457).", "content": content },
    });
    let operations = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in operations {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                complete(path, method, operation);
            }
        }
    }
    document
}

/// In each `List_<item>`, where the library repeats the schema of the item in full.
fn refer_to_items(schemas: &mut Map<String, Value>) {
    let names: Vec<String> = schemas.keys().cloned().collect();
    for item in names {
        if let Some(list) = schemas.get_mut(&format!("List_{item}")) {
            let reference = format!("#/components/schemas/{item}");
            list["properties"]["items"]["items"] = json!({ "$ref": reference });
        }
    }
}

fn info() -> Value {
    json!({
        "title": "Portico",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Find an API product, ask for access, get OAuth 2.0 credentials. Lists are cut into pages: \
            `limit`, and `after` with the `next` of the page before, with the same filters and the same `sort`. Times \
            are RFC 3339, ids UUIDs, numbers at most 2^53 - 1. Bodies are UTF-8 without a content encoding.",
        "contact": { "name": "The operator of this portal" },
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    })
}

fn security_schemes() -> Value {
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "An API token, or a session's." },
        "cookie": {
            "type": "apiKey", "in": "cookie", "name": "__Host-portico_session",
            "description": "The session cookie (`portico_session` where the portal has no https). What changes \
                something must come from a page of the portal.",
        },
    })
}

fn complete(path: &str, method: &str, operation: &mut Map<String, Value>) {
    let below = path.strip_prefix(PREFIX).unwrap_or(path);
    let open = OPEN
        .iter()
        .find(|(of, path, _)| *of == method && *path == below);
    match open {
        Some((_, _, Access::Anybody)) => operation.insert("security".into(), json!([])),
        Some((_, _, Access::Visitors)) => operation.insert(
            "security".into(),
            json!([{}, { "bearer": [] }, { "cookie": [] }]),
        ),
        None => None,
    };
    if !operation.contains_key("description") {
        let summary = operation.get("summary").cloned().unwrap_or_default();
        operation.insert("description".into(), summary);
    }
    parameters(path, method, operation);
    responses(method, operation);
}

/// Those of the path and of headers, each once.
fn parameters(path: &str, method: &str, operation: &mut Map<String, Value>) {
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let Some(parameters) = parameters.as_array_mut() else {
        return;
    };
    for limit in parameters.iter_mut().filter(|one| one["name"] == "limit") {
        limit["schema"] = json!({
            "type": "integer", "format": "int32", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT,
        });
    }
    for name in path.split(['{', '}']).skip(1).step_by(2) {
        // Of an extractor that the library knows, it is there already, without words.
        parameters.retain(|one| one["in"] != "path" || one["name"] != name);
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "description": format!("The `{name}` of the resource."),
            "schema": { "type": "string" },
        }));
    }
    let (name, words) = match method {
        "get" => (
            "If-None-Match",
            "ETags: 304 where it still has one of them.",
        ),
        "post" => (
            "Idempotency-Key",
            "A repetition with the same key has no second effect.",
        ),
        _ => ("If-Match", "ETags: 412 where it has none of them any more."),
    };
    parameters.push(json!({
        "name": name, "in": "header", "description": words, "schema": { "type": "string" },
    }));
}

fn responses(method: &str, operation: &mut Map<String, Value>) {
    let Some(responses) = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    for (status, response) in responses.iter_mut() {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = json!(described(method, status));
        }
    }
    responses.insert(
        "4XX".into(),
        json!({ "$ref": "#/components/responses/Refused" }),
    );
    responses.insert(
        "5XX".into(),
        json!({ "$ref": "#/components/responses/Failed" }),
    );
}

/// What a status says, where the operation does not say it itself.
fn described(method: &str, status: &str) -> &'static str {
    match (status, method) {
        ("200", "get") => "What was asked for.",
        ("200", _) => "Done; the resource as it is now, or the result.",
        ("201", _) => "Created; `Location` says where.",
        ("202", _) => "Accepted; what follows from it goes on after the answer.",
        ("204", _) => "Done; there is nothing to show.",
        _ => "See the status.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_says_depends_on_the_method() {
        assert_ne!(described("get", "200"), described("patch", "200"));
        assert!(described("delete", "204").ends_with('.'));
    }
}
