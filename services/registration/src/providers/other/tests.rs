//! Against servers that behave as providers were seen to.

use std::time::Duration;

use serde_json::json;
use url::Url;

use super::*;
use crate::providers::Method;
use crate::providers::double::{Fixture, MemorySpool, Reply, Seen, ids, reply, set, wanted};
use crate::providers::metadata::differences;
use crate::providers::session::Step;

async fn register(fixture: &Fixture) -> Result<RegisteredClient, Failure> {
    let prepared = Other.prepare(fixture.site(), &wanted(&["a", "b"]), &ids())?;
    Other.register(&fixture.session(), &prepared).await
}

async fn refused(answer: Reply) -> Failure {
    let fixture = Fixture::start(move |_| answer.clone()).await;
    register(&fixture).await.unwrap_err()
}

#[tokio::test]
async fn registers_and_spools_before_it_reads() {
    let fixture = Fixture::start(|seen| {
        let host = seen.headers["host"].to_str().unwrap();
        reply(
            201,
            json!({
                "client_id": "c1", "client_secret": "s1", "registration_access_token": "r1",
                "registration_client_uri": format!("http://{host}/manage?client=c1"),
                "client_secret_expires_at": 7, "scope": "b a", "echoed_by_provider": true,
            }),
        )
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    assert_eq!(registered.client_id, "c1");
    assert_eq!(registered.client_secret, Some(Secret::new("s1")));
    assert_eq!(
        registered.registration_access_token,
        Some(Secret::new("r1"))
    );
    assert_eq!(registered.client_secret_expires_at, 7);
    let uri = registered.registration_client_uri.unwrap();
    assert_eq!(uri.query(), Some("client=c1"));

    let seen = &fixture.server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/register")
    );
    assert_eq!(seen.authorization(), "Bearer initial-token");
    let members: Vec<String> = seen.json().as_object().unwrap().keys().cloned().collect();
    let mut expected = vec![
        "client_name",
        "grant_types",
        "scope",
        "software_id",
        "software_version",
        "token_endpoint_auth_method",
    ];
    expected.sort_unstable();
    assert_eq!(set(&expected), members.into_iter().collect());

    // What a restarted process would find.
    let kept = fixture.spool.kept.lock().unwrap().clone();
    let text = kept[0].to_secret().unwrap();
    let again = RawAnswer::from_secret(&text).unwrap();
    assert_eq!(again.step, Step::Register);
    let parsed = Other.parse(&fixture.endpoints, &again).unwrap();
    assert_eq!(parsed.client_secret, Some(Secret::new("s1")));
    assert!(!format!("{again:?}{parsed:?}").contains("s1\""));
}

#[tokio::test]
async fn takes_200_for_201_and_does_without_management() {
    let fixture = Fixture::start(|_| reply(200, json!({"client_id": "c1"}))).await;
    let registered = register(&fixture).await.unwrap();
    assert!(registered.client_secret.is_none() && registered.warnings.is_empty());
    let known = registered.into_known(set(&["a", "b"]));
    assert!(!Other.can_manage(&fixture.session(), &known));
    let failure = Other
        .update(&fixture.session(), &known, &wanted(&["a"]))
        .await
        .unwrap_err();
    assert_eq!(failure.disposition, Disposition::Unmanageable);
    let failure = Other.delete(&fixture.session(), &known).await.unwrap_err();
    assert_eq!(failure.code, "client_unmanageable");
    assert_eq!(fixture.server.seen().len(), 1);
}

#[tokio::test]
async fn a_provider_that_refuses_the_marker_gets_it_in_the_name() {
    let fixture = Fixture::start(|seen| {
        if seen.json().get("software_id").is_some() {
            let why = json!({"error": "invalid_client_metadata", "error_description": "unknown member software_id"});
            return reply(400, why);
        }
        reply(201, json!({"client_id": "c1", "client_secret": "s1"}))
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    assert_eq!(registered.client_id, "c1");
    let seen = fixture.server.seen();
    assert_eq!(seen.len(), 2);
    let marker = wanted(&[]).marker.to_string();
    let name = format!("Weather app [{marker}]");
    assert_eq!(seen[1].json()["client_name"], json!(name));
    assert!(seen[1].json().get("software_version").is_none());
}

#[tokio::test]
async fn a_token_that_the_first_refusal_used_up_does_not_hide_why() {
    let uses = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let fixture = Fixture::start(move |_| {
        if uses.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
            return reply(401, json!({"error": "invalid_token"}));
        }
        reply(
            400,
            json!({"error": "invalid_client_metadata", "error_description": "unknown member"}),
        )
    })
    .await;
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "invalid_client_metadata: unknown member"
    );
    assert_eq!(fixture.server.seen().len(), 2);
}

#[tokio::test]
async fn shows_what_was_granted_otherwise() {
    let fixture = Fixture::start(|_| {
        reply(
            201,
            json!({"client_id": "c1", "scope": ["a"], "grant_types": ["client_credentials"]}),
        )
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    let found = differences(&wanted(&["a", "b"]), &registered.granted);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].member.as_str(), found[0].granted.as_str()),
        ("scope", "a")
    );
}

#[tokio::test]
async fn a_management_url_elsewhere_gets_no_token() {
    let fixture = Fixture::start(|_| {
        reply(
            201,
            json!({
                "client_id": "c1", "client_secret": "s", "registration_access_token": "r",
                "registration_client_uri": "http://127.0.0.2:9/c1",
            }),
        )
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    assert_eq!(registered.registration_client_uri, None);
    assert!(registered.warnings[0].contains("http://127.0.0.2:9"));
    // And if it had been stored before the check existed:
    let mut known = fixture.known();
    known.registration_client_uri = Some(Url::parse("http://127.0.0.2:9/c1").unwrap());
    let failure = Other.read(&fixture.session(), &known).await.unwrap_err();
    assert_eq!(failure.code, "endpoint_foreign_origin");
}

#[tokio::test]
async fn refusals_keep_the_providers_words() {
    let failure = refused(reply(
        400,
        json!({"error": "invalid_redirect_uri", "error_description": "one is missing"}),
    ))
    .await;
    assert_eq!(failure.disposition, Disposition::Fail);
    assert_eq!(failure.to_string(), "invalid_redirect_uri: one is missing");

    let page = Reply(
        400,
        vec![("content-type", "text/html".into())],
        "<html>no</html>".into(),
    );
    let failure = refused(page).await;
    assert_eq!(
        failure.to_string(),
        "http_400: the provider answered status 400 with a page"
    );

    let failure = refused(Reply(403, vec![], String::new())).await;
    assert_eq!(failure.code, "http_403");

    let failure = refused(reply(400, json!({"error": "invalid_scope"}))).await;
    assert_eq!(
        (failure.code.as_str(), failure.disposition),
        ("scope_unknown_at_provider", Disposition::Fail)
    );
}

#[tokio::test]
async fn a_refused_initial_access_token_pauses_the_provider() {
    let failure = refused(reply(401, json!({"error": "invalid_token"}))).await;
    assert_eq!(failure.disposition, Disposition::PauseProvider);
    assert_eq!(failure.code, "initial_access_token_refused");
    assert!(!failure.outcome_unknown);
}

#[tokio::test]
async fn busy_and_broken_servers_are_tried_again() {
    let failure = refused(Reply(
        429,
        vec![("retry-after", "17".into())],
        String::new(),
    ))
    .await;
    assert_eq!(failure.disposition, Disposition::Retry);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(17)));
    assert!(!failure.outcome_unknown);

    let date = vec![
        (
            "date",
            "Sun, 06 Nov 2026 08:49:37 GMT".replace("Sun", "Fri"),
        ),
        ("retry-after", "Fri, 06 Nov 2026 08:50:07 GMT".into()),
    ];
    let failure = refused(Reply(503, date, String::new())).await;
    assert_eq!(failure.retry_after, Some(Duration::from_secs(30)));

    let failure = refused(reply(500, json!({"error": "server_error"}))).await;
    assert_eq!(
        (failure.disposition, failure.outcome_unknown),
        (Disposition::Retry, true)
    );
}

#[tokio::test]
async fn a_success_that_says_nothing_leaves_the_outcome_open() {
    for body in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"client_id": 7}"#,
        r#"{"client_id": ""}"#,
    ] {
        let failure = refused(Reply(201, vec![], body.into())).await;
        assert_eq!(failure.code, "provider_answer_invalid", "{body}");
        assert_eq!(
            (failure.disposition, failure.outcome_unknown),
            (Disposition::Fail, true)
        );
    }
}

/// Registers where `listener` listens, or did.
async fn register_at(address: std::net::SocketAddr) -> Failure {
    let fixture = Fixture::start(|_| reply(500, json!({}))).await;
    let mut endpoints = fixture.endpoints.clone();
    endpoints.registration_endpoint = format!("http://{address}/register").parse().unwrap();
    endpoints.allowed_origins = vec![format!("http://{address}")];
    let mut session = fixture.session();
    session.endpoints = &endpoints;
    let prepared = Other.prepare(session.site(), &wanted(&[]), &ids()).unwrap();
    session.deadline = Duration::from_millis(200);
    Other.register(&session, &prepared).await.unwrap_err()
}

#[tokio::test]
async fn no_answer_in_time_leaves_the_outcome_open_and_no_connection_does_not() {
    // Connects, because of the backlog, but nobody ever answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let failure = register_at(address).await;
    assert_eq!(
        (failure.code.as_str(), failure.outcome_unknown),
        ("provider_timeout", true)
    );
    assert_eq!(failure.disposition, Disposition::Retry);

    drop(listener);
    let failure = register_at(address).await;
    assert_eq!(
        (failure.code.as_str(), failure.outcome_unknown),
        ("provider_unreachable", false)
    );
    assert_eq!(failure.disposition, Disposition::Retry);
}

#[tokio::test]
async fn a_spool_that_fails_stops_before_anything_is_read() {
    let mut fixture = Fixture::start(|_| reply(201, json!({"client_id": "c1"}))).await;
    fixture.spool = MemorySpool {
        broken: true,
        ..MemorySpool::default()
    };
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(
        (failure.code.as_str(), failure.outcome_unknown),
        ("spool_unavailable", true)
    );
}

#[tokio::test]
async fn management_credentials_fetch_a_token_for_each_registration() {
    let mut fixture = Fixture::start(|seen: &Seen| match seen.target.as_str() {
        "/token" => reply(200, json!({"access_token": "fresh"})),
        _ => reply(201, json!({"client_id": "c1"})),
    })
    .await;
    fixture = fixture.with_management("portal:1", "p w");
    register(&fixture).await.unwrap();
    let seen = fixture.server.seen();
    // RFC 6749 section 2.3.1: form-encoded before base64.
    assert_eq!(seen[0].authorization(), "Basic cG9ydGFsJTNBMTpwK3c=");
    assert_eq!(&seen[0].body[..], b"grant_type=client_credentials");
    assert_eq!(seen[1].authorization(), "Bearer fresh");

    let mut fixture = Fixture::start(|_| reply(401, json!({"error": "invalid_client"}))).await;
    fixture = fixture.with_management("portal", "wrong");
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::PauseProvider);
    assert_eq!(failure.code, "management_credentials_refused");
    assert_eq!(fixture.server.seen().len(), 1);
}

#[tokio::test]
async fn without_any_token_it_asks_openly() {
    let mut fixture = Fixture::start(|_| reply(403, json!({"error": "access_denied"}))).await;
    fixture.method = Method::None;
    fixture.token = None;
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(fixture.server.seen()[0].authorization(), "");
    assert_eq!(failure.code, "initial_access_token_missing");
    assert_eq!(failure.disposition, Disposition::PauseProvider);
}

#[tokio::test]
async fn an_update_sends_everything_back_with_what_is_wanted() {
    let fixture = Fixture::start(|_| {
        reply(
            200,
            json!({"client_id": "c1", "scope": "a b", "registration_access_token": "rat2"}),
        )
    })
    .await;
    let known = fixture.known();
    let updated = Other
        .update(&fixture.session(), &known, &wanted(&["a", "b"]))
        .await
        .unwrap();
    assert_eq!(updated.registration_access_token, Some(Secret::new("rat2")));
    assert_eq!(fixture.spool.kept.lock().unwrap()[0].step, Step::Update);

    let seen = &fixture.server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("PUT", "/manage?client=c1")
    );
    assert_eq!(seen.authorization(), "Bearer rat1");
    assert_eq!(
        seen.json(),
        json!({
            "client_id": "c1", "client_secret": "s1", "subject_type": "public",
            "client_name": "Weather app", "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic", "scope": "a b",
        })
    );
    let preview = Other
        .preview_update(fixture.site(), &known, &wanted(&["a", "b"]))
        .unwrap();
    let mut sent = seen.json();
    sent["client_secret"] = "[redacted]".into();
    assert_eq!((preview.method, preview.body), ("PUT", sent));

    let merged = updated.merge_into(known, set(&["a", "b"]));
    assert_eq!(merged.client_secret, Some(Secret::new("s1")));
    assert_eq!(
        merged.registration_client_uri.unwrap().query(),
        Some("client=c1")
    );
}

#[tokio::test]
async fn a_read_never_brings_a_secret_but_may_rotate_the_token() {
    let fixture = Fixture::start(|_| {
        reply(
            200,
            json!({"client_id": "c1", "client_secret": "$2y$hash", "registration_access_token": "rat2"}),
        )
    })
    .await;
    let read = Other
        .read(&fixture.session(), &fixture.known())
        .await
        .unwrap();
    assert_eq!(read.client_secret, None);
    assert_eq!(read.registration_access_token, Some(Secret::new("rat2")));
    assert_eq!(fixture.spool.kept.lock().unwrap()[0].step, Step::Read);
}

#[tokio::test]
async fn an_answer_about_another_client_is_not_taken() {
    let fixture = Fixture::start(|_| reply(200, json!({"client_id": "c2"}))).await;
    let failure = Other
        .read(&fixture.session(), &fixture.known())
        .await
        .unwrap_err();
    assert_eq!(failure.code, "provider_answer_invalid");
}

#[tokio::test]
async fn a_refused_deletion_is_looked_into() {
    for (token_status, token_body, expected) in [
        (
            401,
            json!({"error": "invalid_client"}),
            Ok(Deleted::AlreadyGone),
        ),
        (
            200,
            json!({"access_token": "t"}),
            Err(Disposition::Unmanageable),
        ),
        (
            400,
            json!({"error": "invalid_scope"}),
            Err(Disposition::Unmanageable),
        ),
        (500, json!({}), Err(Disposition::Unmanageable)),
    ] {
        let answer = reply(token_status, token_body);
        let fixture = Fixture::start(move |seen: &Seen| match seen.target.as_str() {
            "/token" => answer.clone(),
            _ => reply(401, json!({"error": "invalid_token"})),
        })
        .await;
        let deleted = Other.delete(&fixture.session(), &fixture.known()).await;
        assert_eq!(deleted.map_err(|failure| failure.disposition), expected);
    }
}

#[tokio::test]
async fn deletes_and_finds_deleted() {
    for (status, expected) in [
        (204, Deleted::Deleted),
        (200, Deleted::Deleted),
        (404, Deleted::AlreadyGone),
    ] {
        let fixture = Fixture::start(move |_| Reply(status, vec![], String::new())).await;
        let deleted = Other
            .delete(&fixture.session(), &fixture.known())
            .await
            .unwrap();
        assert_eq!(deleted, expected);
        assert_eq!(fixture.server.seen()[0].method, "DELETE");
    }
}

#[tokio::test]
async fn a_page_instead_of_a_deletion_is_no_deletion() {
    for (there, expected) in [
        (true, Err(Disposition::Retry)),
        (false, Ok(Deleted::Deleted)),
    ] {
        let fixture = Fixture::start(move |seen: &Seen| match (seen.target.as_str(), there) {
            ("/token", true) => reply(400, json!({"error": "invalid_scope"})),
            ("/token", false) => reply(401, json!({"error": "invalid_client"})),
            _ => Reply(200, vec![], "<h1>Welcome</h1>".to_owned()),
        })
        .await;
        let deleted = Other.delete(&fixture.session(), &fixture.known()).await;
        assert_eq!(deleted.map_err(|failure| failure.disposition), expected);
    }
}

#[tokio::test]
async fn what_it_cannot_do_it_says() {
    let fixture = Fixture::start(|_| reply(500, json!({}))).await;
    let prepared = Other.prepare(fixture.site(), &wanted(&[]), &ids()).unwrap();
    assert!(matches!(
        Other.reconcile(&fixture.session(), &prepared).await,
        Ok(Reconciled::Unknown)
    ));
    let known = fixture.known();
    let failure = Other
        .rotate_secret(&fixture.session(), &known, &Secret::new("n"))
        .await;
    assert_eq!(failure.unwrap_err().code, "secret_rotation_unsupported");
    assert_eq!(fixture.server.seen().len(), 0);
}

/// The whole life of a client at the small provider of the demo.
#[tokio::test]
async fn a_client_lives_and_dies() {
    use portico_sandbox::identity_provider::{Settings, start};
    let provider = start(Settings {
        scopes: vec!["a".into(), "b".into()],
        initial_access_token: Some("initial-token".into()),
        initial_access_token_uses: Some(1),
        ..Settings::default()
    })
    .await
    .unwrap();
    provider.behave(|behaviour| behaviour.rotate_on_read = true);
    let mut fixture = Fixture::start(|_| reply(500, json!({}))).await;
    let outgoing = crate::providers::double::outgoing();
    let fetch = crate::providers::session::Fetch {
        outgoing: &outgoing,
        skip_tls_verify: false,
        trusted_certificates: "",
    };
    let url = provider.well_known_url();
    use crate::providers::discovery::{Overrides, discover};
    fixture.endpoints = discover(fetch, &url, Overrides::default()).await.unwrap();

    let registered = register(&fixture).await.unwrap();
    assert_eq!(differences(&wanted(&["a", "b"]), &registered.granted), []);
    let mut known = registered.into_known(set(&["a", "b"]));
    for scopes in [&["a"][..], &["a", "b"], &[]] {
        let read = Other.read(&fixture.session(), &known).await.unwrap();
        assert!(
            read.registration_access_token.is_some(),
            "it rotates on every read"
        );
        let scopes_before = known.scopes.clone();
        known = read.merge_into(known, scopes_before);
        let updated = Other
            .update(&fixture.session(), &known, &wanted(scopes))
            .await
            .unwrap();
        known = updated.merge_into(known, set(scopes));
        assert_eq!(known.granted.scopes(), Some(set(scopes)));
    }
    let failure = Other
        .update(&fixture.session(), &known, &wanted(&["nowhere"]))
        .await
        .unwrap_err();
    assert_eq!(failure.disposition, Disposition::Fail, "{failure}");
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(
        failure.disposition,
        Disposition::PauseProvider,
        "used up: {failure}"
    );

    assert_eq!(
        Other.delete(&fixture.session(), &known).await,
        Ok(Deleted::Deleted)
    );
    assert_eq!(provider.client_count(), 0);
    assert_eq!(
        Other.delete(&fixture.session(), &known).await,
        Ok(Deleted::AlreadyGone)
    );
    let failure = Other
        .update(&fixture.session(), &known, &wanted(&[]))
        .await
        .unwrap_err();
    assert_eq!(failure.disposition, Disposition::Gone);
}
