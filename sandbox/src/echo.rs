//! The upstream API of the demo: it answers with what it was asked, so that one sees
//! what the gateway lets through. The `Authorization` header is never repeated.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Json;
use serde_json::{Map, Value, json};

use crate::server::{Bound, Server, StartError, free_port};

/// Headers that carry a secret and are left out of the answer.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Settings of the echo server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: free_port(),
        }
    }
}

/// The running API.
#[derive(Debug)]
pub struct Handle {
    server: Server,
    calls: Arc<AtomicU64>,
}

impl Handle {
    /// `http://127.0.0.1:port`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// How many requests came through to it.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Stops, and returns when the port is free.
    pub async fn stop(&self) {
        self.server.stop().await;
    }
}

/// Starts the API. Fails when the address is taken.
pub async fn start(settings: Settings) -> Result<Handle, StartError> {
    let bound = Bound::bind(settings.listen).await?;
    let calls = Arc::new(AtomicU64::new(0));
    let router = Router::new().fallback(echo).with_state(Arc::clone(&calls));
    Ok(Handle {
        server: bound.serve(router),
        calls,
    })
}

async fn echo(
    State(calls): State<Arc<AtomicU64>>,
    method: Method,
    uri: Uri,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Json<Value> {
    calls.fetch_add(1, Ordering::SeqCst);
    let shown: Map<String, Value> = headers
        .iter()
        .filter(|(name, _)| !SECRET_HEADERS.contains(&name.as_str()))
        .map(|(name, value)| {
            (
                name.to_string(),
                Value::from(String::from_utf8_lossy(value.as_bytes())),
            )
        })
        .collect();
    let query: Map<String, Value> = query
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    Json(json!({"method": method.as_str(), "path": uri.path(), "query": query, "headers": shown}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_with_the_request_and_never_with_the_token() {
        let upstream = start(Settings::default()).await.unwrap();
        let url = format!("{}/payments/7?currency=EUR", upstream.url());
        let request = crate::outgoing::http_client()
            .unwrap()
            .put(url)
            .header("x-trace", "42")
            .bearer_auth("secret");
        let text = request.send().await.unwrap().text().await.unwrap();
        assert!(!text.contains("secret"), "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["method"], "PUT");
        assert_eq!(answer["path"], "/payments/7");
        assert_eq!(answer["query"], json!({"currency": "EUR"}));
        assert_eq!(answer["headers"]["x-trace"], "42");
        assert_eq!(upstream.calls(), 1);
        upstream.stop().await;
        assert!(
            tokio::net::TcpStream::connect(upstream.address())
                .await
                .is_err()
        );
    }
}
