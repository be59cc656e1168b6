//! Bodies as nobody should send them, to every operation that is described.

use http::Method;
use serde_json::{Value, json};

use super::support::{ADMIN, Answer, ID, Portal, request};

/// An operation with a body, and the schema of that.
struct Operation {
    method: Method,
    path: String,
    schema: Value,
}

async fn document(portal: &Portal) -> Value {
    portal.get("/api/v1/openapi.json").await.json()
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() {
                continue;
            }
            found.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path
                    .replace("{id}", ID)
                    .replace("{name}", "access_submitted"),
                schema: resolved(document, schema),
            });
        }
    }
    assert!(found.len() > 20, "{}", found.len());
    found
}

/// The object that a schema means, whatever alternatives it stands in.
fn resolved(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.strip_prefix('#').unwrap());
        return resolved(document, target.unwrap());
    }
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    let objects = alternatives.map(|one| resolved(document, one));
    let mut objects = objects.filter(|one| one["type"] == "object");
    objects.next().unwrap_or_else(|| schema.clone())
}

fn takes_null(document: &Value, schema: &Value) -> bool {
    let types = schema["type"].as_array().into_iter().flatten();
    let target = schema["$ref"]
        .as_str()
        .and_then(|path| document.pointer(&path[1..]));
    types.chain([&schema["type"]]).any(|one| one == "null")
        // Whatever JSON there is.
        || schema.as_object().is_some_and(|it| !it.contains_key("type") && !it.contains_key("$ref") && !it.contains_key("oneOf"))
        || target.is_some_and(|target| takes_null(document, target))
        || schema["oneOf"].as_array().into_iter().flatten().any(|one| takes_null(document, one))
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// The only field that is named.
fn field(answer: &Answer) -> String {
    let fields = answer.json()["errors"].clone();
    assert_eq!(fields.as_array().map(Vec::len), Some(1), "{fields}");
    fields[0]["field"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_array_is_no_object() {
    let portal = Portal::new(|_, double| double).await;
    let document = document(&portal).await;
    let mut nested = 0;
    for Operation {
        method,
        path,
        schema,
    } in operations(&document)
    {
        for body in [json!([]), json!(["n", "d", "scope"])] {
            let answer = portal.json(method.clone(), &path, body).await;
            assert_eq!(
                answer.problem(),
                (400, "field_type_wrong".to_owned()),
                "{method} {path}"
            );
            assert_eq!(field(&answer), "body", "{method} {path}");
        }
        for (name, member) in properties(&schema) {
            if resolved(&document, member)["type"] != "object" {
                continue;
            }
            nested += 1;
            let answer = portal
                .json(method.clone(), &path, json!({ name: [1, 2] }))
                .await;
            assert_eq!(
                answer.problem(),
                (400, "field_type_wrong".to_owned()),
                "{method} {path} {name}"
            );
            assert_eq!(field(&answer), *name, "{method} {path}");
        }
    }
    // The limits of a plan, new and changed, and the application of a request.
    assert!(nested >= 5, "{nested}");
}

/// What a merge patch sets to null is taken away (RFC 7396), or that is refused; it is never left as it was in silence.
#[tokio::test]
async fn null_is_taken_where_the_schema_says_so_and_refused_elsewhere() {
    let portal = Portal::new(|_, double| double).await;
    let document = document(&portal).await;
    let (mut taken, mut refused) = (0, 0);
    for Operation {
        method,
        path,
        schema,
    } in operations(&document)
    {
        if method != Method::PATCH {
            continue;
        }
        for (name, member) in properties(&schema) {
            let answer = portal
                .json(method.clone(), &path, json!({ name: null }))
                .await;
            if takes_null(&document, member) {
                // It came to the service, which is not there.
                assert_eq!(answer.status, 500, "{path} {name}: {}", answer.text());
                taken += 1;
            } else {
                assert_eq!(answer.status, 400, "{path} {name}: {}", answer.text());
                assert_eq!(field(&answer), *name);
                refused += 1;
            }
        }
    }
    assert!(taken > 10 && refused > 20, "{taken} {refused}");
}

#[tokio::test]
async fn numbers_are_refused_with_their_bounds() {
    let portal = Portal::new(|_, double| double).await;
    let large = 1_u64 << 63;
    let limit = "must be a whole number from 1 to 9007199254740991";
    let exact = "must be a whole number from 0 to 9007199254740991";
    for (path, body, name, words) in [
        (
            "/api/v1/plans",
            json!({ "name": "n", "scopes": "s", "rate": { "requests": large, "per_seconds": 1 } }),
            "rate.requests",
            limit,
        ),
        (
            "/api/v1/plans",
            json!({ "name": "n", "scopes": "s", "rate": { "requests": 1, "per_seconds": (1_u64 << 53) } }),
            "rate.per_seconds",
            limit,
        ),
        (
            "/api/v1/plans",
            json!({ "name": "n", "scopes": "s", "quota": { "requests": -1, "renews_every_seconds": 1 } }),
            "quota.requests",
            limit,
        ),
        (
            "/api/v1/plans",
            json!({ "name": "n", "scopes": "s", "quota": { "requests": 1.5, "renews_every_seconds": 1 } }),
            "quota.requests",
            limit,
        ),
        (
            "/api/v1/api-tokens",
            json!({ "name": "n", "expires_in_days": 4_294_967_296_u64 }),
            "expires_in_days",
            "must be a whole number from 1 to 366",
        ),
        (
            "/api/v1/api-tokens",
            json!({ "name": "n", "expires_in_days": -1 }),
            "expires_in_days",
            "must be a whole number from 1 to 366",
        ),
        (
            "/api/v1/relays/republish",
            json!({ "from": u64::MAX }),
            "from",
            exact,
        ),
    ] {
        let answer = portal.json(Method::POST, path, body.clone()).await;
        assert_eq!(
            answer.problem(),
            (400, "field_type_wrong".to_owned()),
            "{body}"
        );
        assert_eq!(field(&answer), name);
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(words),
            "{}",
            answer.text()
        );
    }
    for limit in ["0", "-1", "x", "101", "4294967296", "99999999999999999999"] {
        let answer = portal
            .get(&format!("/api/v1/api-tokens?limit={limit}"))
            .await;
        // A service refuses 101, and there is none here.
        if limit != "101" {
            assert_eq!(
                answer.problem(),
                (400, "limit_invalid".to_owned()),
                "{limit}"
            );
            assert_eq!(answer.json()["detail"], "`limit` must be 1 to 100.");
        }
    }
}

#[tokio::test]
async fn what_is_not_understood_is_no_json() {
    let portal = Portal::new(|_, double| double).await;
    let body = r#"{"name":"n","scopes":"s"}"#;
    for (name, value, code) in [
        ("content-encoding", "gzip", "content_encoding_unsupported"),
        (
            "content-encoding",
            "identity, br",
            "content_encoding_unsupported",
        ),
        (
            "content-type",
            "application/json; charset=utf-16",
            "charset_unsupported",
        ),
        (
            "content-type",
            "application/json; charset=\"ISO-8859-1\"",
            "charset_unsupported",
        ),
        ("content-type", "text/plain", "content_type_unsupported"),
    ] {
        for path in [
            "/api/v1/plans",
            &format!("/api/v1/access-requests/{ID}/approve"),
        ] {
            let mut post =
                request(Method::POST, path).header("authorization", format!("Bearer {ADMIN}"));
            if name != "content-type" {
                post = post.header("content-type", "application/json");
            }
            let answer = portal.send(post.header(name, value), body).await;
            assert_eq!(answer.problem(), (415, code.to_owned()), "{value}");
        }
    }
    for (method, value, right) in [
        (Method::POST, "application/json; charset=UTF-8", true),
        (Method::POST, "application/merge-patch+json", false),
        (Method::PATCH, "application/json", true),
        (Method::PATCH, "application/merge-patch+json", true),
        // Another patch would be taken for a merge patch (RFC 5789 section 2.2).
        (Method::PATCH, "application/json-patch+json", false),
        (Method::PATCH, "application/problem+json", false),
    ] {
        let path = match method {
            Method::PATCH => format!("/api/v1/plans/{ID}"),
            _ => "/api/v1/plans".to_owned(),
        };
        let sent = request(method, &path)
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("content-encoding", "identity")
            .header("content-type", value);
        let answer = portal.send(sent, body).await;
        match right {
            // It came to the service, which is not there.
            true => assert_eq!(answer.status, 500, "{value}"),
            false => {
                let refused = (415, "content_type_unsupported".to_owned());
                assert_eq!(answer.problem(), refused, "{value}");
            }
        }
    }
}
