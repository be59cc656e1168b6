//! The public gRPC listener: every service's methods at one address, called as they are. A Bearer token in the
//! metadata becomes the signed identity; whatever identity a caller claims is thrown away.

use std::collections::HashMap;

use axum::{
    Router,
    body::Body as AxumBody,
    extract::{Request, State},
    middleware,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use portico_proto::{
    Error, FILE_DESCRIPTOR_SET, Kind,
    accounts::v1::{
        CreateSessionRequest, SignUpRequest, accounts_service_client::AccountsServiceClient,
    },
};
use portico_runtime::{
    Caller, Deps, ServiceName, deadline, identity,
    telemetry::{self, Answering},
};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::{Code, Status, body::Body, server::NamedService};
use tonic_prost::ProstCodec;
use tower::{Service as _, service_fn};

use self::health::Health;
use super::{Edge, operations, request::auth::Credential, request::remote_address};

mod health;
mod remembered;

/// Methods that are not for outside, each with the reason.
const INTERNAL: [(&str, &str); 6] = [
    (
        "/portico.accounts.v1.AccountsService/Authenticate",
        "hands out signed identities, which only the edge may hold",
    ),
    (
        "/portico.accounts.v1.AccountsService/GetEndedTokens",
        "is asked for everybody's streams, by the edge only",
    ),
    (
        "/portico.accounts.v1.AccountsService/ReportRefusals",
        "writes the security log, as the edge saw it",
    ),
    (
        "/portico.accounts.v1.AccountsService/GetContacts",
        "hands out e-mail addresses, for the notification service only",
    ),
    (
        "/portico.access.v1.AccessService/GetActivation",
        "is about applications of anybody, for the registration service only",
    ),
    (
        "/portico.access.v1.AccessService/GetApplicationProfile",
        "tells what people wrote, for the registration service only",
    ),
];
/// Are counted against the address of the caller, so we write that address ourselves.
const CREATE_SESSION: &str = "/portico.accounts.v1.AccountsService/CreateSession";
const SIGN_UP: &str = "/portico.accounts.v1.AccountsService/SignUp";

/// Every service has these; here they are about all of them.
const OPERATIONS: &str = "/portico.operations.v1.";

#[derive(Clone)]
struct Public {
    edge: Edge,
    /// Whether a public method answers with a stream, by path.
    methods: std::sync::Arc<HashMap<String, bool>>,
}

/// The public methods, with health and reflection, for a listener of their own that speaks HTTP/2.
pub fn grpc_router(deps: &Deps) -> Router {
    let edge = Edge::new(deps);
    let mut routes = Router::new();
    routes = serve(routes, Health::new(edge.clone()).into_server());
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // The details of errors, which clients decode by it.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => routes = serve(serve(routes, v1), v1alpha),
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "gRPC reflection is off"),
    }
    let answering = Answering {
        service: telemetry::EDGE,
        clock: deps.clock.clone(),
    };
    let public = Public {
        edge,
        methods: std::sync::Arc::new(public_methods()),
    };
    routes
        .fallback(forward)
        .layer(middleware::from_fn_with_state(
            deps.clock.clone(),
            deadline::keep,
        ))
        .layer(middleware::from_fn_with_state(answering, telemetry::calls))
        .with_state(public)
}

fn serve<S>(routes: Router<Public>, service: S) -> Router<Public>
where
    S: tower::Service<Request, Response = http::Response<Body>, Error = std::convert::Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    routes.route_service(&format!("/{}/{{*method}}", S::NAME), service)
}

/// Every method of the protos that is not internal.
fn public_methods() -> HashMap<String, bool> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut methods = HashMap::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                if !INTERNAL.iter().any(|(internal, _)| *internal == path) {
                    methods.insert(path, method.server_streaming());
                }
            }
        }
    }
    methods
}

async fn forward(State(public): State<Public>, request: Request) -> Response {
    if !is_grpc(request.headers()) || request.method() != Method::POST {
        // As gRPC over HTTP/2 wants it.
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    match call(&public, request).await {
        Ok(response) => response.map(AxumBody::new),
        Err(status) => status.into_http::<AxumBody>(),
    }
}

/// gRPC with protobuf messages. gRPC-Web has other frames, and `+json` other messages.
fn is_grpc(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return false;
    };
    let text = line.to_str().unwrap_or_default().to_ascii_lowercase();
    let essence = text.split(';').next().unwrap_or_default().trim();
    matches!(essence, "application/grpc" | "application/grpc+proto")
}

async fn call(public: &Public, request: Request) -> Result<http::Response<Body>, Status> {
    let path = request.uri().path().to_owned();
    let streams = public
        .methods
        .get(&path)
        .ok_or_else(|| Status::unimplemented("there is no such method here"))?;
    let (request, credential, caller) = identified(&public.edge, request).await?;
    let answer = answered(&public.edge, &path, *streams, request, credential, &caller).await;
    let refused = match &answer {
        Ok(response) => Status::from_header_map(response.headers()).map(|status| status.code()),
        Err(status) => Some(status.code()),
    };
    if refused == Some(Code::PermissionDenied) {
        public.edge.refusals.note(&caller, &path);
    }
    match refused {
        // Is what the library says to a message of more bytes than it reads; no service says it.
        Some(Code::OutOfRange) => Err(message_too_large().into()),
        _ => answer,
    }
}

fn message_too_large() -> Error {
    let right = "A message must not be larger than 4 MiB.";
    Error::new(Kind::Limited, "message_too_large", right)
}

/// What a public method answers to a caller.
async fn answered(
    edge: &Edge,
    path: &str,
    streams: bool,
    request: http::Request<Body>,
    credential: Credential,
    caller: &Caller,
) -> Result<http::Response<Body>, Status> {
    if path.starts_with(OPERATIONS) {
        return Ok(operations::serve(edge, request).await);
    }
    let service = ServiceName::of_path(path)
        .ok_or_else(|| Status::unimplemented("there is no such method here"))?;
    match path {
        CREATE_SESSION => return Ok(create_session(edge, request).await),
        SIGN_UP => return Ok(sign_up(edge, request).await),
        _ => {}
    }
    if remembered::READ.contains(&path) {
        return remembered::answer(edge, caller, request).await;
    }
    if streams {
        return watched(edge, service, request, credential, caller).await;
    }
    forwarded(edge, service, request).await
}

/// A stream, within the user's number of them, that ends with their session.
async fn watched(
    edge: &Edge,
    service: ServiceName,
    request: http::Request<Body>,
    credential: Credential,
    caller: &Caller,
) -> Result<http::Response<Body>, Status> {
    let open = match caller {
        Caller::User { id, .. } => Some(edge.streams.open(*id)?),
        // Is refused by the service, with its own words.
        Caller::Anonymous | Caller::Service(_) => None,
    };
    let response = forwarded(edge, service, request).await?;
    let over = over(edge.clone(), credential);
    let ends = async move {
        let _open = open;
        over.await
    };
    Ok(deadline::until(response.map(AxumBody::new), ends).map(Body::new))
}

/// What a service answers.
async fn forwarded(
    edge: &Edge,
    service: ServiceName,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, Status> {
    let mut channel = edge.deps.channels.to(service);
    let unavailable = |error: tower::BoxError| {
        tracing::warn!(%error, service = service.as_str(), "call failed");
        Error::unavailable("service_unavailable", "A Portico service is not reachable.")
    };
    std::future::poll_fn(|context| channel.poll_ready(context))
        .await
        .map_err(unavailable)?;
    Ok(channel.call(request).await.map_err(unavailable)?)
}

/// The request as a service takes it: with the identity that we vouch for, and no other.
async fn identified(
    edge: &Edge,
    request: Request,
) -> Result<(http::Request<Body>, Credential, Caller), Error> {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(identity::HEADER);
    // Cookies are for browsers, which do not speak gRPC.
    parts.headers.remove(header::COOKIE);
    let credential = edge.auth.credential(&parts.headers)?;
    parts.headers.remove(header::AUTHORIZATION);
    let mut caller = Caller::Anonymous;
    if let Some(identity) = edge.auth.identify(&credential).await? {
        let value =
            HeaderValue::from_bytes(identity.signed.as_bytes()).map_err(|_| Error::internal())?;
        parts.headers.insert(identity::HEADER, value);
        caller = identity.caller;
    }
    // The authority is ours, not the service's.
    if let Some(path) = parts.uri.path_and_query() {
        parts.uri = http::Uri::from(path.clone());
    }
    Ok((
        http::Request::from_parts(parts, Body::new(body)),
        credential,
        caller,
    ))
}

/// Signing in, with the caller's address as we see it.
async fn create_session(edge: &Edge, request: http::Request<Body>) -> http::Response<Body> {
    let remote = remote(edge, &request);
    let channel = edge.deps.channels.to(ServiceName::Accounts);
    let sign_in = service_fn(move |mut request: tonic::Request<CreateSessionRequest>| {
        let message = request.get_mut();
        message.remote_address.clone_from(&remote);
        // Is a browser's.
        message.device.clear();
        let channel = channel.clone();
        async move {
            AccountsServiceClient::new(channel)
                .create_session(request)
                .await
        }
    });
    tonic::server::Grpc::new(ProstCodec::default())
        .unary(sign_in, request)
        .await
}

/// Signing up, with the caller's address as we see it.
async fn sign_up(edge: &Edge, request: http::Request<Body>) -> http::Response<Body> {
    let remote = remote(edge, &request);
    let channel = edge.deps.channels.to(ServiceName::Accounts);
    let sign_up = service_fn(move |mut request: tonic::Request<SignUpRequest>| {
        request.get_mut().remote_address.clone_from(&remote);
        let channel = channel.clone();
        async move { AccountsServiceClient::new(channel).sign_up(request).await }
    });
    tonic::server::Grpc::new(ProstCodec::default())
        .unary(sign_up, request)
        .await
}

fn remote(edge: &Edge, request: &http::Request<Body>) -> String {
    let proxies = &edge.deps.config.trusted_proxies;
    let address = remote_address(request.extensions(), request.headers(), proxies);
    address
        .map(|address| address.to_string())
        .unwrap_or_default()
}

/// Resolves when a stream must end, with the reason.
async fn over(edge: Edge, credential: Credential) -> Status {
    tokio::select! {
        () = edge.auth.clone().until_signed_out(credential) => Status::unauthenticated("the session has ended"),
        () = edge.deps.shutdown.cancelled() => Status::unavailable("the portal is stopping; connect again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_frames_and_messages_are_not_grpc() {
        for (types, right) in [
            (&["application/grpc"][..], true),
            (&["Application/gRPC+proto;a=b"], true),
            (&["application/grpc-web+proto"], false),
            (&["application/grpc+json"], false),
            (&["application/grpc", "application/grpc"], false),
            (&[], false),
        ] {
            let lines = types
                .iter()
                .map(|line| (header::CONTENT_TYPE, line.parse().unwrap()));
            assert_eq!(is_grpc(&lines.collect()), right, "{types:?}");
        }
    }

    #[test]
    fn internal_methods_exist_and_are_not_public() {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let all: Vec<String> = set
            .file
            .iter()
            .flat_map(|file| file.service.iter().map(move |service| (file, service)))
            .flat_map(|(file, service)| {
                service.method.iter().map(move |method| {
                    format!("/{}.{}/{}", file.package(), service.name(), method.name())
                })
            })
            .collect();
        let public = public_methods();
        for (path, _) in INTERNAL {
            assert!(all.iter().any(|known| known == path), "{path}");
            assert!(!public.contains_key(path), "{path}");
        }
        assert_eq!(public.len() + INTERNAL.len(), all.len());
        assert!(public.contains_key(CREATE_SESSION));
        assert_eq!(
            public.get("/portico.access.v1.AccessService/WatchAccessRequests"),
            Some(&true)
        );
    }
}
