//! Who is let in, and as whom.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Method;
use portico_proto::{
    Error, Kind,
    accounts::v1::{
        CreateSessionRequest, CreateSessionResponse, DeleteSessionRequest, DeleteSessionResponse,
        GetCurrentUserRequest, Role, User,
    },
    rest::Enumeration as _,
    time,
};
use portico_runtime::{Caller, ServiceName};
use serde_json::json;

use super::support::{ADMIN, DEVELOPER, Double, Heard, Portal, request};

fn accounts(name: ServiceName, double: Double) -> Double {
    if name != ServiceName::Accounts {
        return double;
    }
    double
        .on(
            "/portico.accounts.v1.AccountsService/GetCurrentUser",
            |heard: Heard<GetCurrentUserRequest>| match heard.caller {
                Caller::User { id, role, .. } => Ok(User {
                    id: id.to_string(),
                    role: Role::from_word(role.as_str()).unwrap().into(),
                    version: 3,
                    ..User::default()
                }),
                _ => Err(Error::new(
                    Kind::Unauthenticated,
                    "unauthenticated",
                    "Sign in.",
                )),
            },
        )
        .on(
            "/portico.accounts.v1.AccountsService/CreateSession",
            |heard: Heard<CreateSessionRequest>| {
                assert_eq!(heard.caller, Caller::Anonymous);
                if heard.message.password != "right" {
                    return Err(Error::new(
                        Kind::Unauthenticated,
                        "login_wrong",
                        "E-mail or password is wrong.",
                    ));
                }
                Ok(CreateSessionResponse {
                    token: DEVELOPER.to_owned(),
                    user: Some(User {
                        email: Some(heard.message.email),
                        ..User::default()
                    }),
                    expires_at: time::parse("2026-01-02T13:00:00Z"),
                })
            },
        )
        .on(
            "/portico.accounts.v1.AccountsService/DeleteSession",
            |heard: Heard<DeleteSessionRequest>| {
                assert!(!heard.message.token.is_empty());
                Ok(DeleteSessionResponse {})
            },
        )
}

fn who(portal: &Portal, headers: &[(&str, &str)]) -> impl Future<Output = super::support::Answer> {
    let mut request = request(Method::GET, "/api/v1/session");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    portal.send(request, "")
}

#[tokio::test]
async fn bearer_and_cookie() {
    let portal = Portal::new(accounts).await;
    let cookie = format!("other=1; portico_session={DEVELOPER}");
    let bearer = format!("Bearer {ADMIN}");
    let lower = format!("bearer {ADMIN}");
    let table: [(&[(&str, &str)], &str); 14] = [
        (&[("authorization", &bearer)], "admin"),
        (&[("authorization", &lower)], "admin"),
        (&[("cookie", &cookie)], "developer"),
        (&[("authorization", &bearer), ("cookie", &cookie)], "admin"),
        (&[], "unauthenticated"),
        (&[("cookie", "portico_session=outdated")], "unauthenticated"),
        (&[("cookie", "portico_session=")], "unauthenticated"),
        (
            &[("cookie", &format!("__Host-portico_session={DEVELOPER}"))],
            "unauthenticated",
        ),
        (
            &[("authorization", "Bearer"), ("cookie", &cookie)],
            "bearer_invalid",
        ),
        (
            &[("authorization", "Bearer "), ("cookie", &cookie)],
            "bearer_invalid",
        ),
        (
            &[("authorization", ""), ("cookie", &cookie)],
            "bearer_invalid",
        ),
        (
            &[("authorization", "Bearer outdated"), ("cookie", &cookie)],
            "bearer_invalid",
        ),
        (
            &[("authorization", "Basic YTpi"), ("cookie", &cookie)],
            "bearer_invalid",
        ),
        (
            &[("authorization", &bearer), ("authorization", &bearer)],
            "bearer_invalid",
        ),
    ];
    for (headers, expected) in table {
        let answer = who(&portal, headers).await;
        if answer.status == 200 {
            assert_eq!(answer.json()["user"]["role"], expected, "{headers:?}");
            assert!(answer.header("etag").starts_with("\"3-"));
        } else {
            assert_eq!(answer.problem(), (401, expected.to_owned()), "{headers:?}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
    }
}

#[tokio::test]
async fn accounts_is_believed_for_two_seconds() {
    let portal = Portal::new(accounts).await;
    let headers = [("authorization", "Bearer admin-token")];
    for _ in 0..3 {
        who(&portal, &headers).await;
    }
    assert_eq!(portal.asked(), 1);
    portal.time.advance(Duration::from_millis(1999));
    who(&portal, &headers).await;
    assert_eq!(portal.asked(), 1);
    portal.time.advance(Duration::from_millis(1));
    who(&portal, &headers).await;
    assert_eq!(portal.asked(), 2);
}

#[tokio::test]
async fn signing_out_is_not_remembered_wrongly() {
    let portal = Portal::new(accounts).await;
    let cookie = format!("portico_session={DEVELOPER}");
    who(&portal, &[("cookie", &cookie)]).await;
    let out = request(Method::DELETE, "/api/v1/session").header("cookie", &cookie);
    let answer = portal
        .send(out.header("sec-fetch-site", "same-origin"), "")
        .await;
    assert_eq!(answer.status, 204);
    let set = answer.header("set-cookie");
    assert!(
        set.starts_with("portico_session=;") && set.contains("Max-Age=0"),
        "{set}"
    );
    who(&portal, &[("cookie", &cookie)]).await;
    assert_eq!(
        portal.asked(),
        2,
        "what was signed out must be asked for again"
    );
}

#[tokio::test]
async fn signing_in_sets_a_careful_cookie() {
    let body = json!({ "email": "a@example.com", "password": "right" });
    for (url, start, secure) in [
        (
            "https://portal.example",
            "__Host-portico_session=developer-token; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=3600",
            true,
        ),
        (
            "http://127.0.0.1:3000",
            "portico_session=developer-token; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600",
            false,
        ),
    ] {
        let portal = Portal::with(url, accounts).await;
        let request =
            request(Method::POST, "/api/v1/session").header("content-type", "application/json");
        let answer = portal.send(request, body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("set-cookie"), start, "{secure}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.json()["token"], DEVELOPER);
        assert_eq!(answer.json()["user"]["email"], "a@example.com");
        assert_eq!(answer.json()["user"]["created_at"], json!(null));
    }
}

/// The mark that a browser has from the forms of visitors stays where somebody has signed in, and accounts hears it.
#[tokio::test]
async fn a_browser_in_which_somebody_signed_in_is_known_again() {
    let devices = Arc::new(Mutex::new(Vec::new()));
    let heard = devices.clone();
    let portal = Portal::new(move |name, double: Double| {
        let heard = heard.clone();
        match name {
            ServiceName::Accounts => double.on(
                "/portico.accounts.v1.AccountsService/CreateSession",
                move |asked: Heard<CreateSessionRequest>| {
                    heard.lock().unwrap().push(asked.message.device);
                    Ok(CreateSessionResponse {
                        token: DEVELOPER.to_owned(),
                        user: Some(User::default()),
                        expires_at: time::parse("2026-01-02T13:00:00Z"),
                    })
                },
            ),
            _ => double,
        }
    })
    .await;
    for (cookie, kept) in [
        (
            "portico_visit=mark",
            Some("portico_visit=mark; Path=/; HttpOnly; SameSite=Lax; Max-Age=7776000"),
        ),
        ("other=1", None),
    ] {
        let request = request(Method::POST, "/api/v1/session")
            .header("content-type", "application/json")
            .header("cookie", cookie);
        let body = json!({ "email": "a@example.com", "password": "right" });
        let answer = portal.send(request, body.to_string()).await;
        let set = answer.headers.get_all("set-cookie").iter();
        let set: Vec<&str> = set.map(|value| value.to_str().unwrap()).collect();
        assert!(set[0].starts_with("portico_session="), "{set:?}");
        assert_eq!(set.get(1).copied(), kept);
    }
    assert_eq!(*devices.lock().unwrap(), ["mark", ""]);
}

#[tokio::test]
async fn what_a_cookie_signs_must_come_from_our_pages() {
    let portal = Portal::new(accounts).await;
    let cookie = format!("portico_session={DEVELOPER}");
    let bearer = format!("Bearer {DEVELOPER}");
    let table: [(&[(&str, &str)], u16); 7] = [
        (&[("cookie", &cookie)], 403),
        (
            &[("cookie", &cookie), ("sec-fetch-site", "cross-site")],
            403,
        ),
        (&[("cookie", &cookie), ("sec-fetch-site", "same-site")], 403),
        (
            &[("cookie", &cookie), ("origin", "http://evil.example")],
            403,
        ),
        (
            &[("cookie", &cookie), ("origin", "http://127.0.0.1:3000")],
            204,
        ),
        (
            &[("cookie", &cookie), ("sec-fetch-site", "same-origin")],
            204,
        ),
        (&[("authorization", &bearer), ("cookie", &cookie)], 204),
    ];
    for (headers, status) in table {
        let mut request = request(Method::DELETE, "/api/v1/session");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = portal.send(request, "").await;
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 403 {
            assert_eq!(answer.problem().1, "csrf_failed");
        }
    }
}

#[tokio::test]
async fn signing_in_from_another_site_is_refused() {
    let portal = Portal::new(accounts).await;
    let body = json!({ "email": "a@example.com", "password": "right" }).to_string();
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("origin", "https://evil.example", 403),
        ("origin", "http://127.0.0.1:3000", 200),
        // A program with a cookie jar.
        ("cookie", "portico_session=admin-token", 200),
    ] {
        let request = request(Method::POST, "/api/v1/session")
            .header("content-type", "application/json")
            .header(name, value);
        assert_eq!(
            portal.send(request, body.clone()).await.status,
            status,
            "{name}: {value}"
        );
    }
}
