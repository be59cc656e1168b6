//! A portal whose services are doubles: a closure for each method that a test needs.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::{Router, body::Body as AxumBody, extract::Request, routing::post};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use portico_bus::memory::MemoryBus;
use portico_proto::{
    Error,
    accounts::{
        self,
        v1::{
            AuthenticateRequest, AuthenticateResponse, GetEndedTokensRequest,
            GetEndedTokensResponse,
        },
    },
    rest::Enumeration as _,
    time,
};
use portico_runtime::{
    Caller, Clock, Config, Deps, IdentityKey, Role, ServiceName, clock::ManualTime, identity,
};
use prost::Message;
use serde_json::Value;
use tonic::{Status, metadata::MetadataMap};
use tonic_prost::ProstCodec;
use tower::{ServiceExt as _, service_fn};
use uuid::Uuid;

pub(super) const ADMIN: &str = "admin-token";
pub(super) const DEVELOPER: &str = "developer-token";
/// Of a developer whom an admin has let in.
pub(super) const LET_IN: &str = "let-in-token";
pub(super) const ID: &str = "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e";

/// What a double was asked.
pub(super) struct Heard<Q> {
    pub(super) caller: Caller,
    pub(super) metadata: MetadataMap,
    pub(super) message: Q,
}

/// A service that answers what a test wants. The identity of callers is verified as in a real one.
pub(super) struct Double(Router, IdentityKey);

impl Double {
    pub(super) fn on<Q, A>(
        self,
        path: &'static str,
        answer: impl Fn(Heard<Q>) -> Result<A, Error> + Clone + Send + Sync + 'static,
    ) -> Self
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let handler = move |request: Request| {
            let answer = answer.clone();
            let service = service_fn(move |request: tonic::Request<Q>| {
                let caller = Caller::of(&request);
                let (metadata, _, message) = request.into_parts();
                let result = answer(Heard {
                    caller,
                    metadata,
                    message,
                });
                std::future::ready(result.map(tonic::Response::new).map_err(Status::from))
            });
            async move {
                let codec = ProstCodec::<A, Q>::default();
                tonic::server::Grpc::new(codec)
                    .unary(service, request)
                    .await
                    .map(AxumBody::new)
            }
        };
        Self(self.0.route(path, post(handler)), self.1)
    }

    pub(super) fn route(self, path: &str, route: axum::routing::MethodRouter) -> Self {
        Self(self.0.route(path, route), self.1)
    }

    fn router(self) -> Router {
        let unimplemented =
            async || Status::unimplemented("not in this test").into_http::<AxumBody>();
        self.0
            .fallback(unimplemented)
            .layer(axum::middleware::from_fn_with_state(
                self.1,
                identity::verify,
            ))
    }
}

/// A portal in a folder of its own, at noon of a day that stands still.
pub(super) struct Portal {
    pub(super) deps: Deps,
    pub(super) time: ManualTime,
    pub(super) router: Router,
    /// How often accounts was asked for an identity.
    pub(super) asked: Arc<AtomicUsize>,
    /// From when on no token is worth anything.
    pub(super) locked: Arc<AtomicBool>,
    _folder: tempfile::TempDir,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of a problem.
    pub(super) fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text()
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["instance"], self.header("x-request-id"));
        (
            self.status.as_u16(),
            problem["code"].as_str().unwrap().to_owned(),
        )
    }
}

impl Portal {
    /// With the usual accounts, and what the test adds to them and to other services.
    pub(super) async fn with(
        public_url: &str,
        set: impl Fn(ServiceName, Double) -> Double,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let variables = [
            ("PORTICO_DATA_DIR", folder.path().to_str().unwrap()),
            ("PORTICO_PUBLIC_URL", public_url),
        ];
        let config = Config::from_parts(None, variables).unwrap();
        let (clock, time) = Clock::manual("2026-01-02T12:00:00Z".parse().unwrap());
        let bus = Arc::new(MemoryBus::new());
        let deps = crate::run::wiring::deps(config, clock, bus).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let locked = Arc::new(AtomicBool::new(false));
        for name in ServiceName::ALL {
            let mut double = Double(Router::new(), deps.identity.clone());
            if name == ServiceName::Accounts {
                double = authenticating(double, asked.clone(), locked.clone());
            }
            deps.channels.provide(name, set(name, double).router());
        }
        Self {
            router: crate::edge::router(&deps).await,
            deps,
            time,
            asked,
            locked,
            _folder: folder,
        }
    }

    pub(super) async fn new(set: impl Fn(ServiceName, Double) -> Double) -> Self {
        Self::with("http://127.0.0.1:3000", set).await
    }

    pub(super) async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<AxumBody>,
    ) -> Answer {
        let mut request = request.body(body.into()).unwrap();
        let host = HeaderValue::from_static("127.0.0.1:3000");
        request.headers_mut().entry(header::HOST).or_insert(host);
        self.raw(request).await
    }

    /// As it is, without the headers that every client sends.
    pub(super) async fn raw(&self, request: Request) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    /// As the admin, without a body.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(
            request(Method::GET, path).header("authorization", format!("Bearer {ADMIN}")),
            "",
        )
        .await
    }

    /// As the admin, with a JSON body.
    pub(super) async fn json(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = request(method, path)
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("content-type", "application/json");
        self.send(request, body.to_string()).await
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

pub(super) fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path)
}

pub(super) fn admin() -> Caller {
    Caller::User {
        id: Uuid::from_u128(1),
        role: Role::Admin,
        let_in: false,
    }
}

pub(super) fn developer() -> Caller {
    Caller::User {
        id: Uuid::from_u128(2),
        role: Role::Developer,
        let_in: false,
    }
}

fn let_in() -> Caller {
    Caller::User {
        id: Uuid::from_u128(3),
        role: Role::Developer,
        let_in: true,
    }
}

fn authenticating(double: Double, asked: Arc<AtomicUsize>, locked: Arc<AtomicBool>) -> Double {
    let key = double.1.clone();
    let revoked = locked.clone();
    let double = double.on(
        "/portico.accounts.v1.AccountsService/GetEndedTokens",
        move |heard: Heard<GetEndedTokensRequest>| {
            assert_eq!(heard.caller, Caller::service("edge"));
            let digests = match revoked.load(Ordering::SeqCst) {
                true => heard.message.digests,
                false => Vec::new(),
            };
            Ok(GetEndedTokensResponse { digests })
        },
    );
    double.on(
        "/portico.accounts.v1.AccountsService/Authenticate",
        move |heard: Heard<AuthenticateRequest>| {
            asked.fetch_add(1, Ordering::SeqCst);
            assert_eq!(heard.caller, Caller::service("edge"));
            let caller = match heard.message.token.as_str() {
                _ if locked.load(Ordering::SeqCst) => Caller::Anonymous,
                ADMIN => admin(),
                DEVELOPER => developer(),
                LET_IN => let_in(),
                _ => Caller::Anonymous,
            };
            let (id, role) = caller.require_user()?;
            let let_in = matches!(caller, Caller::User { let_in: true, .. });
            Ok(AuthenticateResponse {
                identity: key.sign(&caller).unwrap(),
                user_id: id.to_string(),
                role: accounts::v1::Role::from_word(role.as_str()).unwrap().into(),
                expires_at: time::parse("2026-01-03T12:00:00Z"),
                let_in,
            })
        },
    )
}
