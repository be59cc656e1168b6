//! What the tests of this module share: a wanted client, a spool that remembers,
//! and a small server that behaves as a test says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use portico_runtime::outgoing::address::AllowEntry;
use portico_runtime::outgoing::{Outgoing, OutgoingSettings};
use portico_vault::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::identity_provider::{Method, Options};
use crate::providers::Driver;
use crate::providers::client::{ChosenIds, KnownClient, Marker, WantedClient};
use crate::providers::discovery::{Endpoints, Overrides, discover};
use crate::providers::metadata::Metadata;
use crate::providers::session::{Fetch, Management, RawAnswer, Session, Spool, SpoolError};
use crate::providers::site::Site;

pub(crate) fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

pub(crate) fn wanted(scopes: &[&str]) -> WantedClient {
    WantedClient {
        name: "Weather app".into(),
        redirect_uris: Vec::new(),
        grant_types: set(&["client_credentials"]),
        response_types: BTreeSet::new(),
        token_endpoint_auth_method: String::new(),
        scopes: set(scopes),
        okta_application_type: String::new(),
        marker: Marker {
            id: "0191d8e4-0000-7000-8000-000000000001".into(),
            attempt: 1,
        },
        erased: false,
    }
}

pub(crate) fn ids() -> ChosenIds {
    ChosenIds {
        client_id: "0191d8e4-0000-7000-8000-00000000000a".into(),
        client_secret: Secret::new("chosen-secret-of-a-test"),
    }
}

/// May call this machine.
pub(crate) fn outgoing() -> Outgoing {
    let allow: AllowEntry = "127.0.0.0/8".parse().unwrap();
    Outgoing::new(OutgoingSettings {
        allow: Arc::new([allow].into_iter().collect()),
        ..OutgoingSettings::default()
    })
}

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// An empty object where there is no body, as in a GET.
    pub(crate) fn json(&self) -> Value {
        match self.body.is_empty() {
            true => json!({}),
            false => serde_json::from_slice(&self.body).unwrap(),
        }
    }

    pub(crate) fn authorization(&self) -> &str {
        self.headers
            .get("authorization")
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// An answer of the server.
#[derive(Debug, Clone)]
pub(crate) struct Reply(
    pub(crate) u16,
    pub(crate) Vec<(&'static str, String)>,
    pub(crate) String,
);

pub(crate) fn reply(status: u16, body: Value) -> Reply {
    Reply(
        status,
        vec![("content-type", "application/json".into())],
        body.to_string(),
    )
}

/// A server on a free port of this machine; stops with its test.
pub(crate) struct Server {
    pub(crate) base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) async fn start(
        behave: impl Fn(&Seen) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start_async(move |seen| std::future::ready(behave(&seen))).await
    }

    pub(crate) async fn start_async<F: Future<Output = Reply> + Send + 'static>(
        behave: impl Fn(Seen) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let handler = move |request: Request| {
            let (behave, log) = (behave.clone(), log.clone());
            async move {
                let (parts, body) = request.into_parts();
                let found = Seen {
                    method: parts.method.to_string(),
                    target: parts.uri.to_string(),
                    headers: parts.headers,
                    body: to_bytes(body, usize::MAX).await.unwrap(),
                };
                log.lock().unwrap().push(found.clone());
                let Reply(status, headers, body) = behave(found).await;
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                response.body(axum::body::Body::from(body)).unwrap()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { base, seen }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.base)).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Keeps what it is given, or fails.
#[derive(Default)]
pub(crate) struct MemorySpool {
    pub(crate) kept: Mutex<Vec<RawAnswer>>,
    pub(crate) broken: bool,
}

#[async_trait]
impl Spool for MemorySpool {
    async fn keep(&self, answer: &RawAnswer) -> Result<(), SpoolError> {
        if self.broken {
            return Err(SpoolError("disk full".into()));
        }
        self.kept.lock().unwrap().push(answer.clone());
        Ok(())
    }
}

/// A provider and everything that a session borrows.
pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) endpoints: Endpoints,
    pub(crate) spool: MemorySpool,
    pub(crate) method: Method,
    pub(crate) options: Options,
    pub(crate) token: Option<Secret>,
    pub(crate) management: Option<Management>,
    pub(crate) software_statement: Option<Secret>,
    outgoing: Outgoing,
}

impl Fixture {
    pub(crate) async fn start(
        behave: impl Fn(&Seen) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        let server = Server::start(behave).await;
        let endpoints = Endpoints {
            issuer: server.base.clone(),
            registration_endpoint: server.url("/register"),
            token_endpoint: server.url("/token"),
            jwks_uri: Some(server.url("/jwks")),
            scopes_supported: Vec::new(),
            auth_methods_supported: Vec::new(),
            grant_types_supported: Vec::new(),
            allowed_origins: Vec::new(),
            registration_endpoint_override: None,
        };
        Self {
            server,
            endpoints,
            spool: MemorySpool::default(),
            method: Method::InitialAccessToken,
            options: Options::default(),
            token: Some(Secret::new("initial-token")),
            management: None,
            software_statement: None,
            outgoing: outgoing(),
        }
    }

    /// By a fresh token for each call.
    pub(crate) fn with_management(mut self, client_id: &str, secret: &str) -> Self {
        self.method = Method::ClientCredentials;
        self.token = None;
        self.management = Some(Management {
            client_id: client_id.into(),
            client_secret: Secret::new(secret),
        });
        self
    }

    pub(crate) fn site(&self) -> Site<'_> {
        Site {
            endpoints: &self.endpoints,
            method: self.method,
            options: &self.options,
            software_statement: self.software_statement.is_some(),
        }
    }

    pub(crate) fn session(&self) -> Session<'_> {
        Session {
            fetch: Fetch {
                outgoing: &self.outgoing,
                skip_tls_verify: false,
                trusted_certificates: "",
            },
            endpoints: &self.endpoints,
            method: self.method,
            options: &self.options,
            token: self.token.as_ref(),
            management: self.management.as_ref(),
            software_statement: self.software_statement.as_ref(),
            client_secrets: Vec::new(),
            spool: &self.spool,
            deadline: Duration::from_secs(5),
        }
    }

    /// A client that was registered with the scope `a`.
    pub(crate) fn known(&self) -> KnownClient {
        let granted = json!({
            "client_id": "c1", "scope": "a", "subject_type": "public",
            "registration_client_uri": self.server.url("/manage?client=c1").as_str(),
            "client_id_issued_at": 1, "client_secret_expires_at": 0,
        });
        KnownClient {
            client_id: "c1".into(),
            client_secret: Some(Secret::new("s1")),
            registration_access_token: Some(Secret::new("rat1")),
            registration_client_uri: Some(self.server.url("/manage?client=c1")),
            granted: Metadata::from_answer(granted.as_object().unwrap().clone()),
            scopes: set(&["a"]),
        }
    }
}

/// A provider that is found by its well-known document, and everything that a session borrows.
pub(crate) struct Peer {
    pub(crate) endpoints: Endpoints,
    pub(crate) spool: MemorySpool,
    pub(crate) method: Method,
    pub(crate) options: Options,
    pub(crate) token: Option<Secret>,
    pub(crate) management: Option<Management>,
    pub(crate) software_statement: Option<Secret>,
    outgoing: Outgoing,
}

impl Peer {
    pub(crate) async fn at(well_known_url: &str, method: Method) -> Self {
        let outgoing = outgoing();
        let fetch = Fetch {
            outgoing: &outgoing,
            skip_tls_verify: false,
            trusted_certificates: "",
        };
        let endpoints = discover(fetch, well_known_url, Overrides::default())
            .await
            .unwrap();
        Self {
            endpoints,
            spool: MemorySpool::default(),
            method,
            options: Options::default(),
            token: None,
            management: None,
            software_statement: None,
            outgoing,
        }
    }

    pub(crate) fn with_management(mut self, client_id: &str, secret: &str) -> Self {
        self.management = Some(Management {
            client_id: client_id.into(),
            client_secret: Secret::new(secret),
        });
        self
    }

    pub(crate) fn session(&self) -> Session<'_> {
        Session {
            fetch: Fetch {
                outgoing: &self.outgoing,
                skip_tls_verify: false,
                trusted_certificates: "",
            },
            endpoints: &self.endpoints,
            method: self.method,
            options: &self.options,
            token: self.token.as_ref(),
            management: self.management.as_ref(),
            software_statement: self.software_statement.as_ref(),
            client_secrets: Vec::new(),
            spool: &self.spool,
            deadline: Duration::from_secs(5),
        }
    }

    /// The status of a token request by the client itself, and the scopes of the token.
    pub(crate) async fn token_of(
        &self,
        client: &KnownClient,
        scope: &str,
        audience: &str,
    ) -> (u16, BTreeSet<String>) {
        let more = [("scope", scope), ("audience", audience)];
        let more = more
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, value.to_owned()));
        let secret = client.client_secret.as_ref().unwrap();
        let answer = self
            .session()
            .token_request(&client.client_id, secret, false, more.collect())
            .await
            .unwrap();
        let body = answer.json().unwrap_or_default();
        let scopes = body["scope"].as_str().unwrap_or_default();
        let scopes = scopes.split_whitespace().map(str::to_owned).collect();
        (answer.status, scopes)
    }
}

/// Registers and gives what is known of the client then.
pub(crate) async fn registered(driver: &dyn Driver, peer: &Peer, scopes: &[&str]) -> KnownClient {
    let prepared = driver
        .prepare(peer.session().site(), &wanted(scopes), &ids())
        .unwrap();
    let registered = driver.register(&peer.session(), &prepared).await.unwrap();
    registered.into_known(set(scopes))
}

/// Updates, and gives what is known of the client then.
pub(crate) async fn updated(
    driver: &dyn Driver,
    peer: &Peer,
    client: KnownClient,
    scopes: &[&str],
) -> KnownClient {
    let updated = driver
        .update(&peer.session(), &client, &wanted(scopes))
        .await
        .unwrap();
    updated.merge_into(client, set(scopes))
}
