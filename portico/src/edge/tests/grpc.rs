//! The public gRPC listener.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body::Body as _;
use portico_proto::{
    Error,
    access::v1::{WatchAccessRequestsRequest, access_service_client::AccessServiceClient},
    accounts::v1::{
        AuthenticateRequest, CreateSessionRequest, CreateSessionResponse, GetContactsRequest,
        SignUpRequest, User, accounts_service_client::AccountsServiceClient,
    },
    catalog::v1::{
        ListProductsRequest, ListProductsResponse, catalog_service_client::CatalogServiceClient,
    },
};
use portico_runtime::{Caller, Channels, ServiceChannel, ServiceName};
use prost::Message as _;
use tonic::{Code, Request};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::run::listeners::Server;

use super::{
    support::{ADMIN, DEVELOPER, Double, Heard, Portal, admin},
    watching::{two_seconds, watch},
};

type Callers = Arc<Mutex<Vec<Caller>>>;

async fn portal(callers: &Callers) -> (Portal, ServiceChannel) {
    let callers = callers.clone();
    let portal = Portal::new(move |name: ServiceName, double: Double| {
        let callers = callers.clone();
        match name {
            ServiceName::Catalog => double
                .on(
                    "/portico.catalog.v1.CatalogService/ListProducts",
                    move |heard: Heard<ListProductsRequest>| {
                        assert!(
                            heard.metadata.get("authorization").is_none(),
                            "the token stays at the edge"
                        );
                        assert!(heard.metadata.get("cookie").is_none());
                        callers.lock().unwrap().push(heard.caller);
                        Ok(ListProductsResponse::default())
                    },
                )
                .on(
                    "/grpc.health.v1.Health/Check",
                    |_: Heard<HealthCheckRequest>| {
                        Ok(HealthCheckResponse {
                            status: ServingStatus::Serving.into(),
                        })
                    },
                ),
            ServiceName::Accounts => double
                .on(
                    "/portico.accounts.v1.AccountsService/CreateSession",
                    |heard: Heard<CreateSessionRequest>| {
                        Ok(CreateSessionResponse {
                            token: heard.message.remote_address + &heard.message.device,
                            ..Default::default()
                        })
                    },
                )
                .on(
                    "/portico.accounts.v1.AccountsService/SignUp",
                    |heard: Heard<SignUpRequest>| {
                        Ok(User {
                            id: heard.message.remote_address,
                            ..Default::default()
                        })
                    },
                ),
            ServiceName::AccessRequest => watch(double, false, Arc::default()),
            _ => double,
        }
    })
    .await;
    let channels = Channels::local();
    let router = crate::edge::grpc_router(&portal.deps);
    channels.provide(ServiceName::Catalog, router);
    (portal, channels.to(ServiceName::Catalog))
}

fn with<T>(message: T, metadata: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in metadata {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn the_identity_is_ours_and_never_the_callers() {
    let callers = Callers::default();
    let (portal, channel) = portal(&callers).await;
    let mut catalog = CatalogServiceClient::new(channel);
    let list = ListProductsRequest::default;
    let forged = portal
        .deps
        .identity
        .sign(&Caller::service("registration"))
        .unwrap();
    let bearer = format!("Bearer {ADMIN}");
    for metadata in [
        vec![],
        vec![("x-portico-identity", forged.as_str())],
        vec![
            ("x-portico-identity", "nonsense"),
            ("x-portico-identity", &forged),
        ],
        vec![("cookie", "portico_session=admin-token")],
        vec![("authorization", &bearer)],
        vec![("authorization", &bearer), ("x-portico-identity", &forged)],
    ] {
        // Nothing is remembered for as long.
        portal.time.advance(Duration::from_secs(2));
        catalog
            .list_products(with(list(), &metadata))
            .await
            .unwrap();
    }
    let nobody = Caller::Anonymous;
    let expected = [
        nobody.clone(),
        nobody.clone(),
        nobody.clone(),
        nobody,
        admin(),
        admin(),
    ];
    assert_eq!(*callers.lock().unwrap(), expected);
    for wrong in ["Bearer", "Bearer outdated", "Basic YTpi"] {
        let status = catalog
            .list_products(with(list(), &[("authorization", wrong)]))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{wrong}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_has_its_code() {
    let (_portal, channel) = portal(&Callers::default()).await;
    let large = "a".repeat(4 << 20);
    // One is remembered, the other goes on to its service.
    let list = ListProductsRequest {
        q: large.clone(),
        ..ListProductsRequest::default()
    };
    let sign_up = SignUpRequest {
        name: large,
        ..SignUpRequest::default()
    };
    for status in [
        CatalogServiceClient::new(channel.clone())
            .list_products(list)
            .await
            .unwrap_err(),
        AccountsServiceClient::new(channel)
            .sign_up(sign_up)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(Error::from(status).code, "message_too_large");
    }
}

#[tokio::test]
async fn internal_methods_are_not_there() {
    let (_portal, channel) = portal(&Callers::default()).await;
    let mut accounts = AccountsServiceClient::new(channel);
    let bearer = format!("Bearer {ADMIN}");
    let request = with(
        AuthenticateRequest {
            token: ADMIN.to_owned(),
        },
        &[("authorization", &bearer)],
    );
    assert_eq!(
        accounts.authenticate(request).await.unwrap_err().code(),
        Code::Unimplemented
    );
    let request = with(GetContactsRequest::default(), &[("authorization", &bearer)]);
    assert_eq!(
        accounts.get_contacts(request).await.unwrap_err().code(),
        Code::Unimplemented
    );
}

#[tokio::test]
async fn a_caller_does_not_choose_its_address() {
    let (_portal, channel) = portal(&Callers::default()).await;
    let mut accounts = AccountsServiceClient::new(channel);
    let request = CreateSessionRequest {
        remote_address: "198.51.100.1".to_owned(),
        device: "a browser".to_owned(),
        ..Default::default()
    };
    let session = accounts.create_session(request).await.unwrap();
    let nowhere = "there is no connection here, so no address";
    assert_eq!(session.into_inner().token, "", "{nowhere}");
    let request = SignUpRequest {
        remote_address: "198.51.100.1".to_owned(),
        ..Default::default()
    };
    let user = accounts.sign_up(request).await.unwrap();
    assert_eq!(user.into_inner().id, "", "{nowhere}");
}

#[tokio::test]
async fn a_stream_goes_on_until_the_portal_stops() {
    let (portal, channel) = portal(&Callers::default()).await;
    let bearer = format!("Bearer {DEVELOPER}");
    let request = with(
        WatchAccessRequestsRequest {
            after: "7".to_owned(),
        },
        &[("authorization", &bearer)],
    );
    let mut changes = AccessServiceClient::new(channel)
        .watch_access_requests(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(changes.message().await.unwrap().unwrap().cursor, "8");
    assert_eq!(changes.message().await.unwrap().unwrap().cursor, "9");
    portal.deps.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), changes.message())
        .await
        .unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_stream_ends_with_the_session() {
    let (portal, channel) = portal(&Callers::default()).await;
    let bearer = format!("Bearer {DEVELOPER}");
    let request = with(
        WatchAccessRequestsRequest::default(),
        &[("authorization", &bearer)],
    );
    let mut changes = AccessServiceClient::new(channel)
        .watch_access_requests(request)
        .await
        .unwrap()
        .into_inner();
    for _ in 0..2 {
        changes.message().await.unwrap().unwrap();
    }
    let mut next = Box::pin(changes.message());
    assert!(futures::poll!(&mut next).is_pending());
    portal
        .locked
        .store(true, std::sync::atomic::Ordering::SeqCst);
    two_seconds(&portal).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), next)
        .await
        .unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::Unauthenticated);
}

fn watching(after: &str, metadata: &[(&'static str, &str)]) -> Request<WatchAccessRequestsRequest> {
    let after = after.to_owned();
    let mut request = with(WatchAccessRequestsRequest { after }, metadata);
    let bearer = format!("Bearer {DEVELOPER}").parse().unwrap();
    request.metadata_mut().append("authorization", bearer);
    request
}

#[tokio::test]
async fn a_stream_keeps_the_time_that_its_caller_gives_it() {
    let (portal, channel) = portal(&Callers::default()).await;
    let mut access = AccessServiceClient::new(channel);
    let request = watching("", &[("grpc-timeout", "700m")]);
    let mut changes = access
        .watch_access_requests(request)
        .await
        .unwrap()
        .into_inner();
    for _ in 0..2 {
        changes.message().await.unwrap().unwrap();
    }
    assert!(futures::poll!(Box::pin(changes.message())).is_pending());
    portal.time.advance(Duration::from_millis(700));
    let ended = tokio::time::timeout(Duration::from_secs(10), changes.message()).await;
    assert_eq!(ended.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    let wrong = watching("", &[("grpc-timeout", "soon")]);
    let refused = access.watch_access_requests(wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn streams_are_bounded_for_a_user_and_about_health_by_address() {
    let (portal, channel) = portal(&Callers::default()).await;
    let mut access = AccessServiceClient::new(channel.clone());
    let mut streams = Vec::new();
    for _ in 0..portal.deps.config.connections.streams_per_user {
        streams.push(
            access
                .watch_access_requests(watching("", &[]))
                .await
                .unwrap(),
        );
    }
    let refused = access
        .watch_access_requests(watching("", &[]))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    streams.pop();
    assert!(
        access
            .watch_access_requests(watching("", &[]))
            .await
            .is_ok()
    );

    let mut health = HealthClient::new(channel);
    let ask = || HealthCheckRequest {
        service: "nothing".to_owned(),
    };
    let mut watched = Vec::new();
    // A fourth of `connections.health_streams`; they all come from one address.
    for _ in 0..16 {
        watched.push(health.watch(ask()).await.unwrap());
    }
    assert_eq!(
        health.watch(ask()).await.unwrap_err().code(),
        Code::ResourceExhausted
    );
    watched.pop();
    assert!(health.watch(ask()).await.is_ok());
}

/// What other clients than tonic's insist on: the status of a stream that is refused comes with the headers, and nothing
/// after them (trailers-only of gRPC over HTTP/2).
#[tokio::test]
async fn a_refused_stream_is_headers_only() {
    let (portal, _) = portal(&Callers::default()).await;
    let address = listening(&portal).await;
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let bearer = format!("Bearer {DEVELOPER}");
    for (token, after, timeout, status, code) in [
        ("", "", "10S", "16", "unauthenticated"),
        (bearer.as_str(), "x", "10S", "3", "cursor_invalid"),
        (&bearer, "9.before", "10S", "10", "cursor_of_another_log"),
        (&bearer, "x", "", "3", "cursor_invalid"),
    ] {
        let after = after.to_owned();
        let message = WatchAccessRequestsRequest { after }.encode_to_vec();
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message);
        let path = "/portico.access.v1.AccessService/WatchAccessRequests";
        let mut request = http::Request::post(format!("http://{address}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if !token.is_empty() {
            request = request.header("authorization", token);
        }
        if !timeout.is_empty() {
            request = request.header("grpc-timeout", timeout);
        }
        let body = http_body_util::Full::new(bytes::Bytes::from(body));
        let response = client
            .send_request(request.body(body).unwrap())
            .await
            .unwrap();
        assert_eq!(response.headers()["grpc-status"], status, "{code}");
        assert!(
            response.body().is_end_stream(),
            "{code}: something may follow"
        );
        let refused = tonic::Status::from_header_map(response.headers()).unwrap();
        assert_eq!(portico_proto::Error::from(refused).code, code);
    }
}

/// The public listener, as a process has it.
async fn listening(portal: &Portal) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = crate::edge::grpc_router(&portal.deps);
    Server::of(&portal.deps).serve(listener, None, router);
    address
}

#[tokio::test]
async fn health_tells_of_each_service() {
    let (_portal, channel) = portal(&Callers::default()).await;
    let mut health = HealthClient::new(channel);
    let ask = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = health
        .check(ask("portico.catalog.v1.CatalogService"))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    // This double does not answer what is asked of it.
    let answer = health
        .check(ask("portico.registration.v1.RegistrationService"))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::NotServing);
    assert_eq!(
        health.check(ask("")).await.unwrap().into_inner().status(),
        ServingStatus::NotServing
    );
    assert_eq!(
        health.check(ask("nothing")).await.unwrap_err().code(),
        Code::NotFound
    );
    let mut watched = health.watch(ask("nothing")).await.unwrap().into_inner();
    assert_eq!(
        watched.message().await.unwrap().unwrap().status(),
        ServingStatus::ServiceUnknown
    );
}

/// Over the network, as others see it: HTTP/2, trailers, reflection.
#[tokio::test]
async fn over_the_network() {
    let callers = Callers::default();
    let (portal, _) = portal(&callers).await;
    let address = listening(&portal).await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let bearer = format!("Bearer {ADMIN}");
    let request = with(
        ListProductsRequest::default(),
        &[("authorization", &bearer)],
    );
    CatalogServiceClient::new(channel.clone())
        .list_products(request)
        .await
        .unwrap();
    assert_eq!(*callers.lock().unwrap(), [admin()]);

    let request = CreateSessionRequest {
        remote_address: "198.51.100.1".to_owned(),
        ..Default::default()
    };
    let answer = AccountsServiceClient::new(channel.clone())
        .create_session(request)
        .await
        .unwrap();
    assert_eq!(answer.into_inner().token, "127.0.0.1");

    // What clients decode the details of errors by.
    let ask = |message| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let details = ["ErrorInfo", "BadRequest", "RetryInfo"].map(|name| format!("google.rpc.{name}"));
    let asked = details
        .into_iter()
        .map(MessageRequest::FileContainingSymbol);
    let asked = asked.chain([MessageRequest::ListServices(String::new())]);
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(futures::stream::iter(asked.map(ask)))
        .await
        .unwrap()
        .into_inner();
    for _ in 0..3 {
        let answer = answers.message().await.unwrap().unwrap().message_response;
        assert!(
            matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))),
            "{answer:?}"
        );
    }
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(services)) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<&str> = services
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    assert!(
        names.contains(&"portico.access.v1.AccessService")
            && names.contains(&"grpc.health.v1.Health"),
        "{names:?}"
    );
}
