//! The pages and their forms, as a browser without JavaScript uses them. Their routes are read from the sources, since a
//! router does not tell them.

use std::{fs, path::Path};

use http::{Method, header};
use portico::demo::seed;

use super::{
    Answer, Operation, Outcome, Surface,
    people::{Person, Portal, Victim},
    rest::addressed,
};

pub(super) struct Pages;

impl Surface for Pages {
    const TITLE: &'static str = "Pages";

    async fn operations(_: &Portal) -> Vec<Operation> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/edge/pages");
        let mut all = Vec::new();
        visit(&folder, &mut |file, source| {
            let inside = file.strip_prefix(&folder).unwrap();
            let prefix = match inside.starts_with("admin") || inside.starts_with("admin.rs") {
                true => "/admin",
                false => "",
            };
            all.extend(routes(source).into_iter().map(|(method, path)| {
                let path = match (prefix, path.as_str()) {
                    ("/admin", "/") => prefix.to_owned(),
                    (prefix, path) => format!("{prefix}{path}"),
                };
                Operation {
                    name: format!("{method} {path}"),
                    path,
                    method,
                }
            }));
        });
        assert!(all.len() > 100, "{}", all.len());
        all
    }

    async fn call(portal: &Portal, who: &Person, operation: &Operation, about: &Victim) -> Answer {
        let path = addressed(portal, &operation.path, about);
        let (cookie, csrf_token) = match path.as_str() {
            // By now the session may have ended.
            "/login" => form(portal, who).await,
            _ => {
                let form = who.browser.get_or_init(|| form(portal, who));
                form.await.clone()
            }
        };
        let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
        let mut request = portal
            .http
            .request(method, format!("{}{path}", portal.url()))
            .header(header::ACCEPT, "text/html")
            .header(header::COOKIE, cookie);
        if operation.method == "POST" {
            let fields = [
                ("csrf_token", csrf_token.as_str()),
                ("name", "Taken over"),
                ("reason", "Taken over."),
                // Of somebody who is none of those.
                ("email", seed::DEVELOPER_EMAIL),
                ("password", seed::DEVELOPER_PASSWORD),
            ];
            request = request.header(header::ORIGIN, portal.url()).form(&fields);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let to = response.headers().get(header::LOCATION);
        let to = to.map_or("", |to| to.to_str().unwrap()).to_owned();
        let text = response.text().await.unwrap();
        assert!(status < 500, "{} as {}: {text}", operation.name, who.name);
        let outcome = match to.starts_with("/login") {
            // After logging out one is led there as well.
            true if !operation.path.contains("logout") => Outcome::SignIn,
            _ => Outcome::of_http(status),
        };
        Answer {
            outcome,
            text: format!("{to} {text}"),
        }
    }
}

/// The cookies of somebody's browser, and the token that their forms have.
async fn form(portal: &Portal, who: &Person) -> (String, String) {
    let session = who
        .token
        .as_ref()
        .map(|token| format!("portico_session={token}"));
    let session = session.unwrap_or_default();
    let request = portal.http.get(format!("{}/login", portal.url()));
    let response = request
        .header(header::COOKIE, &session)
        .send()
        .await
        .unwrap();
    let mut cookies = vec![session];
    for line in response.headers().get_all(header::SET_COOKIE) {
        cookies.push(line.to_str().unwrap().split(';').next().unwrap().to_owned());
    }
    let mut html = response.text().await.unwrap();
    if !html.contains("csrf_token") {
        // Who is signed in has no form there.
        let request = portal.http.get(format!("{}/", portal.url()));
        let request = request.header(header::COOKIE, cookies.join("; "));
        html = request.send().await.unwrap().text().await.unwrap();
    }
    let (_, rest) = html.split_once("name=\"csrf_token\"").unwrap();
    let (_, rest) = rest.split_once("value=\"").unwrap();
    let token = rest.split('"').next().unwrap().to_owned();
    (cookies.join("; "), token)
}

fn visit(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            visit(&path, look);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            look(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

/// Method and path of each `.route(...)` of a source.
fn routes(source: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for call in source.split(".route(").skip(1) {
        let call = enclosed(call);
        let path = call.split('"').nth(1).unwrap();
        let handlers = call.split('"').nth(2).unwrap();
        for (name, method) in [("get(", "GET"), ("post(", "POST")] {
            let called = |(at, _): (usize, &str)| {
                let before = handlers[..at].chars().next_back();
                before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
            };
            if handlers.match_indices(name).any(called) {
                found.push((method, path.to_owned()));
            }
        }
        for other in ["put(", "patch(", "delete(", "any("] {
            let routed = handlers
                .split([' ', '.', ','])
                .any(|part| part.starts_with(other));
            assert!(!routed, "{other} at {path}: pages have forms only");
        }
    }
    found
}

/// Until the parenthesis that was open before it closes.
fn enclosed(text: &str) -> &str {
    let mut open = 1;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => open += 1,
            ')' => open -= 1,
            _ => continue,
        }
        if open == 0 {
            return &text[..at];
        }
    }
    panic!("not closed: {text:.80}");
}

#[test]
fn routes_are_read_as_they_are_written() {
    let source = r#"Router::new()
        .route("/a", get(list))
        .route(
            "/a/{id}/delete",
            get(confirm_delete).post(delete),
        )
        .route("/b", axum::routing::post(async || forget("x")))"#;
    let expected = [
        ("GET", "/a"),
        ("GET", "/a/{id}/delete"),
        ("POST", "/a/{id}/delete"),
        ("POST", "/b"),
    ];
    let found = routes(source);
    let found: Vec<_> = found
        .iter()
        .map(|(method, path)| (*method, path.as_str()))
        .collect();
    assert_eq!(found, expected);
}
