//! Servers to call, each on a free port of 127.0.0.1.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Redirect;
use axum::routing::{any, get};
use futures::StreamExt as _;
use portico_runtime::outgoing::{AllowList, Outgoing, OutgoingRequest, OutgoingSettings};
use tokio::net::TcpListener;
use url::Url;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::serve(routes()).await
    }

    async fn serve(routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(AtomicUsize::new(0));
        let (counted, count) = (connections.clone(), requests.clone());
        let listener = axum::serve::ListenerExt::tap_io(listener, move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let routes = routes.layer(axum::middleware::map_request(move |request: Request| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(request)
        }));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            address,
            connections,
            requests,
        }
    }

    /// A proxy: answers whatever it is asked for with the address asked for.
    pub(crate) async fn start_proxy() -> Self {
        let echo = any(|request: Request| async move { format!("proxied {}", request.uri()) });
        Self::serve(Router::new().fallback(echo)).await
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn routes() -> Router {
    Router::new()
        .route("/hello", any(hello))
        .route("/headers", get(names))
        .route("/redirect", get(|| async { Redirect::temporary("/hello") }))
        .route("/large", get(|| async { vec![b'x'; 2000] }))
        .route("/endless", get(|| async { Body::from_stream(endless()) }))
        .route("/never", get(std::future::pending::<()>))
        .route("/drip", get(|| async { Body::from_stream(drip()) }))
}

async fn hello(headers: HeaderMap, body: String) -> String {
    let header = headers
        .get("x-test")
        .map_or("", |value| value.to_str().unwrap());
    format!("hello {header}{body}")
}

async fn names(headers: HeaderMap) -> String {
    let names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
    names.join(" ")
}

fn endless() -> impl futures::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    futures::stream::repeat_with(|| Ok(vec![b'x'; 100]))
}

/// A byte now and then, for ever: no single read takes long.
fn drip() -> impl futures::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    endless().then(|bytes| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        bytes.map(|_| vec![b'x'])
    })
}

pub(crate) fn allow(entries: &[&str]) -> Arc<AllowList> {
    Arc::new(entries.iter().map(|entry| entry.parse().unwrap()).collect())
}

/// Allowed to call what is listed.
pub(crate) fn outgoing(entries: &[&str]) -> Outgoing {
    Outgoing::new(OutgoingSettings {
        allow: allow(entries),
        ..OutgoingSettings::default()
    })
}

pub(crate) fn get_from(url: Url) -> OutgoingRequest {
    OutgoingRequest::new(http::Method::GET, url)
}
