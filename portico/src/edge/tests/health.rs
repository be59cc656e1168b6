//! Health and metrics at an address of their own.

use std::sync::Arc;

use axum::{body::Body, extract::Request};
use http::StatusCode;
use tower::ServiceExt as _;

use super::support::Portal;
use crate::edge;

#[tokio::test]
async fn with_an_address_of_its_own_health_is_nowhere_else() {
    let portal = Portal::with("https://portal.example", |_, double| double).await;
    let mut deps = portal.deps.clone();
    Arc::make_mut(&mut deps.config).health_listen = Some(([127, 0, 0, 1], 3003).into());
    let public = edge::router(&deps).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let asked = || {
            Request::get(path)
                .header("host", "portal.example")
                .body(Body::empty())
                .unwrap()
        };
        let answer = public.clone().oneshot(asked()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        let health = edge::health_routes::<()>(&deps);
        let answer = health.oneshot(asked()).await.unwrap();
        assert_ne!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let elsewhere = portal.get("/healthz").await;
    assert_eq!(
        elsewhere.status,
        StatusCode::OK,
        "without an address of its own"
    );
}
