//! Limits of size and time, and what an error tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use portico_runtime::outgoing::{Outgoing, OutgoingError, OutgoingRequest, OutgoingSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use crate::server::{Server, allow, get_from, outgoing};

#[tokio::test]
async fn headers_and_body_arrive_and_connections_are_kept() {
    let server = Server::start().await;
    let outgoing = outgoing(&["127.0.0.1"]);
    for _ in 0..3 {
        let mut request = OutgoingRequest::new(Method::POST, server.url("/hello"));
        request.headers.insert("x-test", "a".parse().unwrap());
        request.body = Bytes::from_static(b"b");
        let answer = outgoing.send(request).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (200, &b"hello ab"[..])
        );
    }
    assert_eq!((server.requests(), server.connections()), (3, 1));
}

#[tokio::test]
async fn any_status_is_an_answer() {
    let server = Server::start().await;
    let answer = outgoing(&["127.0.0.1"])
        .send(get_from(server.url("/missing")))
        .await;
    assert_eq!(answer.unwrap().status, 404);
}

#[tokio::test]
async fn a_large_body_is_cut_off_whether_announced_or_not() {
    let server = Server::start().await;
    let limited = |max_body| {
        Outgoing::new(OutgoingSettings {
            allow: allow(&["127.0.0.1"]),
            max_body,
            ..OutgoingSettings::default()
        })
    };
    for path in ["/large", "/endless"] {
        let error = limited(1999)
            .send(get_from(server.url(path)))
            .await
            .unwrap_err();
        let cause = OutgoingError::TooLarge { limit: 1999 };
        assert_eq!(error, unread(200, cause), "{path}");
        assert!(!error.never_sent() && error.is_success());
    }
    let exact = limited(2000).send(get_from(server.url("/large"))).await;
    assert_eq!(exact.unwrap().body.len(), 2000);
}

#[tokio::test]
async fn time_is_limited_for_all_of_a_call() {
    let server = Server::start().await;
    let outgoing = outgoing(&["127.0.0.1"]);
    for path in ["/never", "/drip"] {
        let timeout = Duration::from_millis(200);
        let mut request = get_from(server.url(path));
        request.timeout = Some(timeout);
        let error = outgoing.send(request).await.unwrap_err();
        let late = OutgoingError::Timeout(timeout);
        let expected = match path {
            "/drip" => unread(200, late),
            _ => late,
        };
        assert_eq!(error, expected, "{path}");
        assert!(!error.never_sent());
    }
}

#[tokio::test]
async fn a_closed_port_is_a_failed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!(
        "http://{}/secret?token=secret",
        listener.local_addr().unwrap()
    )
    .parse()
    .unwrap();
    drop(listener);
    let error = outgoing(&["127.0.0.1"])
        .send(get_from(url))
        .await
        .unwrap_err();
    assert!(matches!(error, OutgoingError::Connect { .. }), "{error}");
    assert!(error.never_sent());
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn an_unknown_name_is_a_failed_connection() {
    let url = "http://name.invalid/".parse().unwrap();
    let error = outgoing(&[]).send(get_from(url)).await.unwrap_err();
    assert!(matches!(error, OutgoingError::Connect { .. }), "{error}");
}

/// Answers each connection with these bytes and closes it.
async fn answer(bytes: &'static [u8]) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(bytes).await;
        }
    });
    url.parse().unwrap()
}

/// The head of an answer came, and its body did not.
fn unread(status: u16, cause: OutgoingError) -> OutgoingError {
    let cause = Box::new(cause);
    OutgoingError::Unread { status, cause }
}

#[tokio::test]
async fn garbage_and_broken_answers_are_protocol_errors() {
    for (bytes, status) in [
        (&b""[..], None),
        (b"what\r\n\r\n", None),
        (
            b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nshort",
            Some(201),
        ),
        (
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
            Some(201),
        ),
        (
            b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            Some(500),
        ),
    ] {
        let url = answer(bytes).await;
        let error = outgoing(&["127.0.0.1"])
            .send(get_from(url))
            .await
            .unwrap_err();
        let cause = error.cause().clone();
        assert!(matches!(cause, OutgoingError::Protocol { .. }), "{error:?}");
        let expected = status.map_or(cause.clone(), |status| unread(status, cause));
        assert_eq!(error, expected);
        assert_eq!(error.is_success(), status == Some(201));
        assert!(!error.never_sent());
    }
}

#[test]
fn debug_shows_no_path_header_or_body() {
    let mut request = get_from("https://example.org/secret?secret".parse().unwrap());
    request
        .headers
        .insert("authorization", "secret".parse().unwrap());
    request.body = Bytes::from_static(b"secret");
    assert_eq!(
        format!("{request:?}"),
        "OutgoingRequest(GET https://example.org)"
    );
}

/// A connection that was kept may break under the next request. Whether that
/// one was acted on is then unknown, so it must not be sent again by itself.
#[tokio::test]
async fn nothing_is_ever_sent_twice() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let received = Arc::new(AtomicUsize::new(0));
    let count = received.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                if count.fetch_add(1, Ordering::SeqCst) > 0 {
                    break;
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            }
        }
    });
    let outgoing = outgoing(&["127.0.0.1"]);
    let post = OutgoingRequest::new(Method::POST, url);
    outgoing.send(post.clone()).await.unwrap();
    let error = outgoing.send(post).await.unwrap_err();
    assert!(matches!(error, OutgoingError::Protocol { .. }), "{error:?}");
    assert_eq!(received.load(Ordering::SeqCst), 2);
}
