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
use portico_proto::access::v1::{
    AccessRequest, AccessRequestChange, TimelineStep, WatchAccessRequestsRequest,
};
use portico_runtime::ServiceName;
use tokio::sync::Mutex;
use tonic::{Response, Status};
use tonic_prost::ProstCodec;
use tower::{ServiceExt as _, service_fn};

use super::support::{DEVELOPER, Double, Portal, request};

type Changes = Pin<Box<dyn Stream<Item = Result<AccessRequestChange, Status>> + Send>>;

/// Answers with two changes after the cursor, and then is silent, or fails.
pub(super) fn watch(double: Double, fails: bool, seen: Arc<Mutex<Vec<String>>>) -> Double {
    let service = service_fn(move |request: tonic::Request<WatchAccessRequestsRequest>| {
        let seen = seen.clone();
        async move {
            let after = request.into_inner().after;
            seen.lock().await.push(after.clone());
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
            Ok::<_, Status>(Response::new(all))
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
    let mut request =
        request(Method::GET, "/api/v1/events").header("authorization", format!("Bearer {token}"));
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
    while text.matches("\nid: ").count() + usize::from(text.starts_with("id: ")) < events {
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
    for asked in [2, 3] {
        portal.time.advance(Duration::from_secs(60));
        assert!(
            futures::poll!(body.frame()).is_pending(),
            "the session goes on"
        );
        assert_eq!(portal.asked(), asked);
    }
    portal.locked.store(true, Ordering::SeqCst);
    portal.time.advance(Duration::from_secs(60));
    assert!(ended(&mut body).await);
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
