//! The peers of the `edge` benchmarks: an axum handler and a tonic method that answer given bytes and do nothing else, and
//! the same handler behind the middleware that the edge has too.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
    serve::ListenerExt as _,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::StatusCode;
use http::header::{self, CONTENT_TYPE, HeaderName, HeaderValue};
use portico_proto::catalog::v1::{ListProductsRequest, ListProductsResponse};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
};
use tonic::{
    body::Body,
    server::{Grpc, NamedService, UnaryService},
    transport::server::TcpIncoming,
};
use tonic_prost::ProstCodec;
use tower_http::{
    catch_panic::CatchPanicLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};

use crate::log::message;

/// The peer in a separate process; killed when dropped.
pub(crate) struct Bare {
    _child: Child,
    pub(crate) rest: SocketAddr,
    pub(crate) layered: SocketAddr,
    pub(crate) grpc: SocketAddr,
}

/// Starts the peer with the given answers.
pub(crate) async fn start(
    folder: &Path,
    json: &str,
    protobuf: &ListProductsResponse,
) -> Result<Bare, String> {
    std::fs::write(folder.join("products.json"), json).map_err(message)?;
    std::fs::write(folder.join("products.bin"), protobuf.encode_to_vec()).map_err(message)?;
    let mut child = Command::new(std::env::current_exe().map_err(message)?)
        .arg("--bare")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(message)?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines();
    let mut address = async || -> Result<SocketAddr, String> {
        let line = lines.next_line().await.map_err(message)?;
        line.ok_or("the peer ended")?.parse().map_err(message)
    };
    Ok(Bare {
        rest: address().await?,
        layered: address().await?,
        grpc: address().await?,
        _child: child,
    })
}

/// Prints its three addresses and serves until it is killed.
pub(crate) async fn serve(folder: &Path) -> Result<(), String> {
    let json = Bytes::from(std::fs::read(folder.join("products.json")).map_err(message)?);
    let protobuf = std::fs::read(folder.join("products.bin")).map_err(message)?;
    let answer = ListProductsResponse::decode(protobuf.as_slice()).map_err(message)?;
    let listen = async || {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(message)
    };
    let (rest, layered) = (listen().await?, listen().await?);
    let grpc = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())
        .map_err(message)?
        .with_nodelay(Some(true));
    println!("{}", rest.local_addr().map_err(message)?);
    println!("{}", layered.local_addr().map_err(message)?);
    println!("{}", grpc.local_addr().map_err(message)?);
    // As Portico does: no delay for small packets.
    let rest = rest.tap_io(|stream| drop(stream.set_nodelay(true)));
    let layered = layered.tap_io(|stream| drop(stream.set_nodelay(true)));
    let handler = get(async move || ([(CONTENT_TYPE, "application/json")], json.clone()));
    let router = Router::new().route("/api/v1/products", handler);
    let grpc = tonic::transport::Server::builder()
        .add_service(Catalog(answer))
        .serve_with_incoming(grpc);
    tokio::select! {
        served = axum::serve(rest, router.clone()) => served.map_err(message),
        served = axum::serve(layered, around(router)) => served.map_err(message),
        served = grpc => served.map_err(message),
    }
}

/// What the edge does around a handler, made of tower-http: the caller's token, limits of size and time, panics, a
/// request id, headers for browsers and a span.
fn around(router: Router) -> Router {
    const ID: HeaderName = HeaderName::from_static("x-request-id");
    let sessions = Arc::new(Mutex::new(HashMap::<[u8; 32], Instant>::new()));
    let mut router = router
        .layer(from_fn_with_state(sessions, known))
        .layer(RequestBodyLimitLayer::new(1024 * 1024))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            Duration::from_secs(30),
        ))
        .layer(CatchPanicLayer::new());
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        let value = HeaderValue::from_static(value);
        router = router.layer(SetResponseHeaderLayer::if_not_present(name, value));
    }
    router
        .layer(PropagateRequestIdLayer::new(ID))
        .layer(SetRequestIdLayer::new(ID, MakeRequestUuid))
        .layer(TraceLayer::new_for_http())
}

/// Looks a token up by its digest, as the edge does between two questions to accounts.
async fn known(State(sessions): State<Sessions>, request: Request, next: Next) -> Response {
    let token = request.headers().get(header::AUTHORIZATION);
    let digest = Sha256::digest(token.map_or(&b""[..], HeaderValue::as_bytes)).into();
    let now = Instant::now();
    if let Ok(mut sessions) = sessions.lock() {
        let until = sessions
            .entry(digest)
            .or_insert(now + Duration::from_secs(2));
        if *until < now {
            *until = now + Duration::from_secs(2);
        }
    }
    next.run(request).await
}

type Sessions = Arc<Mutex<HashMap<[u8; 32], Instant>>>;

/// `ListProducts` with a constant answer.
#[derive(Clone)]
struct Catalog(ListProductsResponse);

impl NamedService for Catalog {
    const NAME: &'static str = "portico.catalog.v1.CatalogService";
}

impl UnaryService<ListProductsRequest> for Catalog {
    type Response = ListProductsResponse;
    type Future = std::future::Ready<Result<tonic::Response<ListProductsResponse>, tonic::Status>>;

    fn call(&mut self, _: tonic::Request<ListProductsRequest>) -> Self::Future {
        std::future::ready(Ok(tonic::Response::new(self.0.clone())))
    }
}

impl tower::Service<http::Request<Body>> for Catalog {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<ListProductsResponse, ListProductsRequest>::default();
            Ok(Grpc::new(codec).unary(method, request).await)
        })
    }
}
