//! The event stream.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{body::Body, routing::post};
use futures::{Stream, StreamExt as _, stream};
use http::Method;
use http_body_util::BodyExt as _;
use portico_proto::{
    Error, Kind,
    access::v1::{AccessRequest, AccessRequestChange, TimelineStep, WatchAccessRequestsRequest},
};
use portico_runtime::{Caller, ServiceName};
use tokio::sync::Mutex;
use tonic::{Response, Status};
use tonic_prost::ProstCodec;
use tower::{ServiceExt as _, service_fn};

use super::support::{ADMIN, DEVELOPER, Double, Portal, request};

type Changes = Pin<Box<dyn Stream<Item = Result<AccessRequestChange, Status>> + Send>>;

/// Answers with two changes after the cursor, and then is silent, or fails. Knows users only; `x` is no cursor, and
/// `9.before` one of another log.
pub(super) fn watch(double: Double, fails: bool, seen: Arc<Mutex<Vec<String>>>) -> Double {
    let service = service_fn(move |request: tonic::Request<WatchAccessRequestsRequest>| {
        let seen = seen.clone();
        async move {
            Caller::of(&request).require_user().map_err(Status::from)?;
            let after = request.into_inner().after;
            seen.lock().await.push(after.clone());
            match after.as_str() {
                "x" => return Err(Error::field("after", "cursor_invalid", "Another one.").into()),
                "9.before" => {
                    let code = "cursor_of_another_log";
                    return Err(Error::new(Kind::Conflict, code, "Begin anew.").into());
                }
                _ => {}
            }
            let first: u64 = after.parse().unwrap_or(0) + 1;
            let change = |cursor: u64| AccessRequestChange {
                cursor: cursor.to_string(),
                step: TimelineStep::Submitted.into(),
                access_request: Some(AccessRequest {
                    id: format!("request-{cursor}"),
                    ..AccessRequest::default()
                }),
            };
            let changes = stream::iter([Ok(change(first)), Ok(change(first + 1))]);
            let end: Changes = if fails {
                Box::pin(stream::iter([Err(Status::unavailable("10.0.0.1 refused"))]))
            } else {
                Box::pin(stream::pending())
            };
            let all: Changes = Box::pin(changes.chain(end));
            let mut response = Response::new(all);
            let begins = (first - 1).to_string().parse().unwrap();
            response.metadata_mut().insert("x-portico-cursor", begins);
            Ok::<_, Status>(response)
        }
    });
    let handler = move |request: axum::extract::Request| {
        let service = service.clone();
        async move {
            let codec = ProstCodec::<AccessRequestChange, WatchAccessRequestsRequest>::default();
            tonic::server::Grpc::new(codec)
                .server_streaming(service, request)
                .await
                .map(Body::new)
        }
    };
    double.route(
        "/portico.access.v1.AccessService/WatchAccessRequests",
        post(handler),
    )
}

async fn portal(fails: bool, seen: &Arc<Mutex<Vec<String>>>) -> Portal {
    let seen = seen.clone();
    Portal::new(move |name, double| match name {
        ServiceName::AccessRequest => watch(double, fails, seen.clone()),
        _ => double,
    })
    .await
}

async fn open(portal: &Portal, token: &str, last: Option<&str>) -> http::Response<Body> {
    let mut request = request(Method::GET, "/api/v1/events")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    portal
        .router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap()
}

/// Reads until so many events have come, or to the end.
async fn read(body: &mut Body, events: usize) -> String {
    let mut text = String::new();
    while text.matches("\nevent: ").count() < events {
        let next = tokio::time::timeout(Duration::from_secs(10), body.frame());
        match next.await.expect("nothing came") {
            Some(frame) => {
                text.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap())
            }
            None => break,
        }
    }
    text
}

#[tokio::test]
async fn events_have_an_id_by_which_they_resume() {
    let seen = Arc::default();
    let portal = portal(false, &seen).await;
    let response = open(&portal, DEVELOPER, None).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = read(&mut response.into_body(), 2).await;
    assert!(
        text.contains("id: 1\nevent: submitted\ndata: {\"cursor\":\"1\",\"step\":\"submitted\""),
        "{text}"
    );
    assert!(text.contains("\"id\":\"request-2\""), "{text}");
    let response = open(&portal, DEVELOPER, Some("41")).await;
    let text = read(&mut response.into_body(), 2).await;
    assert!(
        text.contains("id: 42\n") && text.contains("id: 43\n"),
        "{text}"
    );
    assert_eq!(*seen.lock().await, ["", "41"]);
}

#[tokio::test]
async fn nobody_watches_without_a_session() {
    let seen = Arc::default();
    let portal = portal(false, &seen).await;
    let answer = portal
        .send(request(Method::GET, "/api/v1/events"), "")
        .await;
    assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()));
    assert_eq!(open(&portal, "outdated", None).await.status(), 401);
    assert!(seen.lock().await.is_empty());
}

#[tokio::test]
async fn the_stream_ends_with_the_session() {
    let seen = Arc::default();
    let portal = portal(false, &seen).await;
    let mut body = open(&portal, DEVELOPER, None).await.into_body();
    read(&mut body, 2).await;
    // Another token's end is another's.
    let mut other = open(&portal, ADMIN, None).await.into_body();
    read(&mut other, 2).await;
    for _ in 0..3 {
        portal.time.advance(Duration::from_secs(1));
        assert!(
            futures::poll!(body.frame()).is_pending(),
            "the session goes on"
        );
    }
    drop(other);
    portal.locked.store(true, Ordering::SeqCst);
    two_seconds(&portal).await;
    assert!(ended(&mut body).await);
    // The next stream is watched like the first.
    portal.locked.store(false, Ordering::SeqCst);
    let mut body = open(&portal, DEVELOPER, None).await.into_body();
    read(&mut body, 2).await;
    portal.locked.store(true, Ordering::SeqCst);
    two_seconds(&portal).await;
    assert!(ended(&mut body).await);
}

#[tokio::test]
async fn a_stream_begins_with_an_id_and_is_not_buffered() {
    let seen = Arc::default();
    let portal = portal(false, &seen).await;
    let response = open(&portal, DEVELOPER, Some("41")).await;
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&first[..], b"id: 41\nretry: 2000\n: connected\n\n");
}

#[tokio::test]
async fn a_cursor_of_another_log_is_told_within_the_stream() {
    let seen = Arc::default();
    let portal = portal(false, &seen).await;
    let response = open(&portal, DEVELOPER, Some("9.before")).await;
    assert_eq!(
        response.status(),
        200,
        "a browser that is refused never comes back"
    );
    let text = read(&mut response.into_body(), 3).await;
    let begin = "id: 0\nretry: 2000\n: connected\n\nevent: problem\ndata: ";
    assert!(text.starts_with(begin), "{text}");
    assert!(
        text.contains("\"code\":\"cursor_of_another_log\"") && text.contains("id: 2\n"),
        "{text}"
    );
    assert_eq!(*seen.lock().await, ["9.before", ""]);
    let refused = open(&portal, DEVELOPER, Some("x")).await;
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn a_user_has_so_many_streams() {
    let seen = Arc::default();
    let portal = portal(false, &seen).await;
    let mut streams = Vec::new();
    for _ in 0..portal.deps.config.connections.streams_per_user {
        let response = open(&portal, DEVELOPER, None).await;
        assert_eq!(response.status(), 200);
        streams.push(response);
    }
    let watch = request(Method::GET, "/api/v1/events")
        .header("authorization", format!("Bearer {DEVELOPER}"));
    let refused = portal.send(watch, "").await;
    assert_eq!(refused.problem(), (429, "too_many_streams".to_owned()));
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(
        open(&portal, ADMIN, None).await.status(),
        200,
        "is somebody else"
    );
    streams.pop();
    assert_eq!(open(&portal, DEVELOPER, None).await.status(), 200);
}

#[tokio::test]
async fn a_stopping_portal_does_not_wait_for_watchers() {
    let seen = Arc::default();
    let portal = portal(false, &seen).await;
    let mut body = open(&portal, DEVELOPER, None).await.into_body();
    read(&mut body, 2).await;
    portal.deps.shutdown.cancel();
    assert!(ended(&mut body).await);
}

/// Two seconds pass. Whoever asks about sessions meanwhile is asleep before each, so that it notices.
pub(super) async fn two_seconds(portal: &Portal) {
    for _ in 0..2 {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        portal.time.advance(Duration::from_secs(1));
    }
}

async fn ended(body: &mut Body) -> bool {
    tokio::time::timeout(Duration::from_secs(10), body.frame())
        .await
        .expect("it goes on")
        .is_none()
}

#[tokio::test]
async fn a_failing_service_is_told_without_its_words() {
    let seen = Arc::default();
    let portal = portal(true, &seen).await;
    let mut body = open(&portal, DEVELOPER, None).await.into_body();
    let text = read(&mut body, usize::MAX).await;
    assert!(
        text.contains("event: problem\ndata: ") && text.contains("\"status\":503"),
        "{text}"
    );
    assert!(!text.contains("10.0.0.1"), "{text}");
}
