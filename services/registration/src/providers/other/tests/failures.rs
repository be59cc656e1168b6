//! What refusals, broken answers and silence mean.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn refused(answer: Reply) -> Failure {
    let fixture = Fixture::start(move |_| answer.clone()).await;
    register(&fixture).await.unwrap_err()
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

/// The provider says that it made the client, so it is asked for no other one.
#[tokio::test]
async fn a_success_that_breaks_off_is_never_repeated() {
    for (head, unread) in [
        ("201 Created\r\nContent-Length: 100", true),
        ("201 Created\r\nTransfer-Encoding: chunked", true),
        ("503 Service Unavailable\r\nContent-Length: 100", false),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = format!("HTTP/1.1 {head}\r\n\r\n5\r\nshort");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let failure = register_at(address).await;
        assert!(failure.outcome_unknown, "{head}");
        let disposition = match unread {
            true => Disposition::Fail,
            false => Disposition::Retry,
        };
        assert_eq!(
            (failure.disposition, failure.unread.is_some()),
            (disposition, unread),
            "{head}"
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
