//! The peer of the `edge` benchmarks: an axum handler and a tonic method that answer given bytes and do nothing else.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    path::Path,
    process::Stdio,
    task::{Context, Poll},
};

use axum::{Router, routing::get, serve::ListenerExt as _};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use portico_proto::catalog::v1::{ListProductsRequest, ListProductsResponse};
use prost::Message as _;
use std::net::SocketAddr;
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

use crate::log::message;

/// The peer in a separate process; killed when dropped.
pub(crate) struct Bare {
    _child: Child,
    pub(crate) rest: SocketAddr,
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
    let (rest, grpc) = (address().await?, address().await?);
    Ok(Bare {
        _child: child,
        rest,
        grpc,
    })
}

/// Prints its two addresses and serves until it is killed.
pub(crate) async fn serve(folder: &Path) -> Result<(), String> {
    let json = Bytes::from(std::fs::read(folder.join("products.json")).map_err(message)?);
    let protobuf = std::fs::read(folder.join("products.bin")).map_err(message)?;
    let answer = ListProductsResponse::decode(protobuf.as_slice()).map_err(message)?;
    let rest = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(message)?;
    let grpc = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())
        .map_err(message)?
        .with_nodelay(Some(true));
    println!("{}", rest.local_addr().map_err(message)?);
    println!("{}", grpc.local_addr().map_err(message)?);
    // As Portico does: no delay for small packets.
    let rest = rest.tap_io(|stream| drop(stream.set_nodelay(true)));
    let handler = get(async move || ([(CONTENT_TYPE, "application/json")], json.clone()));
    let router = Router::new().route("/api/v1/products", handler);
    let grpc = tonic::transport::Server::builder()
        .add_service(Catalog(answer))
        .serve_with_incoming(grpc);
    tokio::select! {
        served = axum::serve(rest, router) => served.map_err(message),
        served = grpc => served.map_err(message),
    }
}

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
