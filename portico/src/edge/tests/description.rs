//! The description fits the routes.

use http::Method;
use serde_json::{Value, json};

use super::support::Portal;

#[tokio::test]
async fn every_operation_described_is_there() {
    let portal = Portal::new(|_, double| double).await;
    let document = portal.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with("/api/v1/"), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
            assert!(
                operation["summary"].is_string(),
                "{path} {method} says nothing"
            );
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let mut parameters: Vec<String> = parameters
                .map(|one| format!("{} {}", one["in"], one["name"]))
                .collect();
            let all = parameters.len();
            parameters.sort();
            parameters.dedup();
            assert_eq!(parameters.len(), all, "{path} {method}: one stands twice");
            let path = path
                .replace("{id}", super::support::ID)
                .replace("{name}", "access_submitted");
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = portal
                .json(method.clone(), &path, serde_json::json!({}))
                .await;
            if answer.status.is_success() {
                continue;
            }
            let (_, code) = answer.problem();
            assert!(
                !["path_unknown", "method_not_allowed"].contains(&code.as_str()),
                "{method} {path}"
            );
        }
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "two operations have one id");
    // Whoever adds a call by hand, past the description, is missed here.
    assert!(all >= 60, "{all}");
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let portal = Portal::new(|_, double| double).await;
    let document = portal.get("/api/v1/openapi.json").await.json();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 100);
    for reference in &references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let reference = format!("#/components/schemas/{name}");
        assert!(references.contains(&reference), "{name} is never used");
    }
}

/// The bounds in the schema of a `limit` are those that are enforced.
#[tokio::test]
async fn limits_are_as_they_are_described() {
    let portal = Portal::new(|_, double| double).await;
    let document = portal.get("/api/v1/openapi.json").await.json();
    let mut lists = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().into_iter().flatten();
        for limit in parameters.filter(|one| one["name"] == "limit") {
            lists += 1;
            let most = limit["schema"]["maximum"].as_u64().unwrap();
            let least = limit["schema"]["minimum"].as_u64().unwrap();
            let path = path.replace("{id}", super::support::ID);
            let refused = portal.get(&format!("{path}?limit={}", least - 1)).await;
            assert_eq!(refused.problem().1, "limit_invalid", "{path}");
            assert_eq!(most, u64::from(portico_runtime::MAX_LIMIT), "{path}");
        }
    }
    assert!(lists >= 10, "{lists}");
}

/// What validators and generators of OpenAPI 3.1 ask of a document.
#[tokio::test]
async fn the_document_is_complete() {
    let portal = Portal::new(|_, double| double).await;
    let document = portal.get("/api/v1/openapi.json").await.json();
    let said = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().collect();
    assert!(tags.iter().all(|tag| said(&tag["description"])));
    let mut used = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            assert!(said(&operation["description"]), "{place}");
            used.extend(operation["tags"].as_array().unwrap().iter().cloned());
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(
                parameters.iter().all(|one| said(&one["description"])),
                "{place}"
            );
            for name in path.split(['{', '}']).skip(1).step_by(2) {
                let mut of_path = parameters.iter().filter(|one| one["in"] == "path");
                assert!(
                    of_path.any(|one| one["name"] == name && one["required"] == true),
                    "{place}"
                );
            }
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.contains_key("4XX") && responses.contains_key("5XX"),
                "{place}"
            );
            for (status, response) in responses {
                let reference = response["$ref"]
                    .as_str()
                    .map(|it| it.trim_start_matches('#'));
                let response = reference.map_or(response, |it| document.pointer(it).unwrap());
                assert!(said(&response["description"]), "{place} {status}");
            }
        }
    }
    for tag in &tags {
        assert!(used.contains(&tag["name"]), "{tag} has no operation");
    }
    for tag in used {
        assert!(
            tags.iter().any(|known| known["name"] == tag),
            "{tag} is not described"
        );
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        valid(schema, name);
    }
}

/// Whether a schema is one of JSON Schema 2020-12, as far as this description uses it.
fn valid(schema: &Value, place: &str) {
    let known = [
        "string", "integer", "number", "boolean", "object", "array", "null",
    ];
    let types: Vec<&Value> = match &schema["type"] {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    for one in &types {
        assert!(known.iter().any(|known| *one == known), "{place}: {one}");
    }
    if types.iter().any(|one| *one == "array") {
        valid(&schema["items"], place);
        assert!(schema["items"].is_object(), "{place}");
    }
    let properties = schema["properties"].as_object();
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        assert!(
            properties.is_some_and(|all| all.contains_key(name)),
            "{place}.{name}"
        );
    }
    for (name, member) in properties.into_iter().flatten() {
        valid(member, &format!("{place}.{name}"));
    }
    // One flat object each, which every generator understands.
    assert!(schema.get("allOf").is_none(), "{place}");
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        valid(one, place);
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(
                members
                    .get("$ref")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            members.values().for_each(|member| collect(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_contract_changes_only_on_purpose() {
    let portal = Portal::new(|_, double| double).await;
    let answer = portal.get("/api/v1/openapi.json").await;
    assert!(answer.header("etag").len() == 18);
    insta::assert_snapshot!("openapi", contract(&answer.json()));
}

/// A line for each operation, parameter and member: what a program can rely on.
fn contract(document: &Value) -> String {
    let mut lines = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let body = shape(&operation["requestBody"]);
            lines.push(format!("{} {path} {body}", method.to_uppercase()));
            for parameter in operation["parameters"].as_array().unwrap() {
                lines.push(format!("    {} {}", parameter["in"], parameter["name"]));
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                let response = match response["$ref"].as_str() {
                    Some(reference) => document.pointer(&reference[1..]).unwrap(),
                    None => response,
                };
                lines.push(format!("    {status} {}", shape(response)));
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        lines.push(name.clone());
        let parts = schema["allOf"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![schema.clone()]);
        for part in parts {
            let required = part["required"].as_array().cloned().unwrap_or_default();
            for (member, schema) in part["properties"].as_object().into_iter().flatten() {
                let mark = if required.contains(&json!(member)) {
                    ""
                } else {
                    "?"
                };
                lines.push(format!("    {member}{mark}: {}", kind(schema)));
            }
            for word in part["enum"].as_array().into_iter().flatten() {
                lines.push(format!("    = {word}"));
            }
        }
    }
    lines.join("\n").replace('"', "")
}

fn shape(body: &Value) -> String {
    let contents = body["content"].as_object().into_iter().flatten();
    contents
        .map(|(_, content)| kind(&content["schema"]))
        .collect()
}

fn kind(schema: &Value) -> String {
    if let Some(all) = schema["oneOf"].as_array() {
        return all.iter().map(kind).collect::<Vec<_>>().join(" | ");
    }
    match (&schema["$ref"], &schema["items"]) {
        (Value::String(name), _) => name.rsplit('/').next().unwrap().to_owned(),
        (_, Value::Null) => match schema["format"].as_str() {
            Some(format) => format!("{} {format}", schema["type"]),
            None => schema["type"].to_string(),
        },
        (_, items) => format!("[{}]", kind(items)),
    }
}

#[tokio::test]
async fn people_can_read_it() {
    let portal = Portal::new(|_, double| double).await;
    let answer = portal.get("/api/docs").await;
    assert!(answer.header("content-type").starts_with("text/html"));
    let page = answer.text();
    for words in [
        "approve_access_request",
        "redirect_urls",
        "POST",
        "Problem",
        "a href=\"#NewProduct\"",
    ] {
        assert!(page.contains(words), "{words}");
    }
    // Nothing from elsewhere, and nothing that runs.
    for attribute in ["href=\"", "src=\""] {
        for target in page.split(attribute).skip(1) {
            assert!(
                target.starts_with(['#', '/']) && !target.starts_with("//"),
                "{target:.60}"
            );
        }
    }
    assert!(!page.contains("<script"));
    assert_eq!(portal.get("/api/docs/page.css").await.status, 200);
}
