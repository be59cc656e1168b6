//! How a test makes the provider misbehave: lasting switches ([`Behaviour`]) and
//! faults for the next few requests ([`Fault`]).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures::StreamExt as _;
use serde_json::{Map, Value};

use crate::server::Hangup;

/// Lasting switches. The default is a provider that keeps to the RFCs.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// Answers 200 where RFC 7591 says 201.
    pub created_is_200: bool,
    /// Offers no RFC 7592 management: no registration access token, no URI.
    pub no_management: bool,
    /// Grants these scopes whatever was asked for.
    pub granted_scopes: Option<Vec<String>>,
    /// Refuses unknown members instead of ignoring them, as Keycloak does.
    pub reject_unknown_members: bool,
    /// Rotates the registration access token on GET too, as Curity does.
    pub rotate_on_read: bool,
    /// Keeps the registration access token on PUT.
    pub keep_token_on_update: bool,
    /// Gives a new client secret on PUT (RFC 7592 section 2.2 allows it).
    pub new_secret_on_update: bool,
    /// GET answers with a digest where the secret should be.
    pub hide_secret_on_read: bool,
    /// Leaves `client_secret_expires_at` out.
    pub no_secret_expiry: bool,
    /// Every answer about a client says that its secret ends then, in whatever form.
    pub secret_expires_at: Option<Value>,
    /// A registration is answered without the client's secret; a read has it.
    pub secret_withheld: bool,
    /// Clients are registered at `/v2/register`, as the discovery document says; the former address answers 404.
    pub moved: bool,
    /// The discovery document is silent about where clients are registered (RFC 8414 section 2).
    pub registration_unannounced: bool,
    /// The `issuer` of the discovery document, where it shall not match.
    pub issuer: Option<String>,
    /// The claim that carries the scopes, where it is not `scope`.
    pub scope_claim: Option<String>,
    /// Writes the scopes as an array, not as a string with spaces.
    pub scope_as_array: bool,
    /// Added to every access token, over the usual claims (for instance `pol`).
    pub extra_claims: Map<String, Value>,
}

/// What a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `GET /.well-known/openid-configuration`.
    Discovery,
    /// `GET /jwks`.
    Jwks,
    /// `POST /register`.
    Register,
    /// `GET /register/{client_id}`.
    Read,
    /// `PUT /register/{client_id}`.
    Update,
    /// `DELETE /register/{client_id}`.
    Delete,
    /// `POST /token`.
    Token,
}

/// A canned answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body, sent as it is.
    pub body: String,
}

impl Answer {
    /// A status with an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// 429 with `Retry-After` in seconds.
    #[must_use]
    pub fn too_many_requests(retry_after_seconds: u64) -> Self {
        Self::status(429).header("retry-after", &retry_after_seconds.to_string())
    }

    /// An HTML page, as a proxy in front of a provider sends it.
    #[must_use]
    pub fn html(status: u16) -> Self {
        let body = "<!doctype html><title>Error</title><h1>The service is having a bad day</h1>";
        Self::text(status, "text/html; charset=utf-8", body.to_owned())
    }

    /// A JSON value of one's own, for instance an error or wrong types.
    #[must_use]
    pub fn json(status: u16, value: &Value) -> Self {
        Self::text(status, "application/json", value.to_string())
    }

    /// A body of that many bytes which says it is JSON and is not.
    #[must_use]
    pub fn oversized(status: u16, bytes: usize) -> Self {
        Self::text(status, "application/json", "x".repeat(bytes))
    }

    fn text(status: u16, kind: &str, body: String) -> Self {
        Self {
            body,
            ..Self::status(status)
        }
        .header("content-type", kind)
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn drip(mut self, pause: Duration) -> Response {
        let bytes = std::mem::take(&mut self.body).into_bytes();
        let drops = futures::stream::iter(bytes).then(move |byte| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::convert::Infallible>(vec![byte])
        });
        let mut response = self.response();
        *response.body_mut() = Body::from_stream(drops);
        response
    }

    fn response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_str(value))
            {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers this and does nothing.
    Refuse(Answer),
    /// Waits, then does its work. A caller that gives up meanwhile gets nothing done.
    Delay(Duration),
    /// Cuts the connection and does nothing.
    Close,
    /// Answers this a byte at a time, with a pause before each, and does nothing.
    Drip(Answer, Duration),
    /// Does its work, then answers this instead of the result.
    CommitThenAnswer(Answer),
    /// Does its work, then waits before it answers: the caller times out.
    CommitThenDelay(Duration),
    /// Does its work, then cuts the connection.
    CommitThenClose,
}

/// The faults that are waiting for their request, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<Operation, VecDeque<Fault>>);

impl Faults {
    pub(super) fn add(&mut self, operation: Operation, times: usize, fault: &Fault) {
        let queue = self.0.entry(operation).or_default();
        queue.extend(std::iter::repeat_n(fault, times).cloned());
    }

    pub(super) fn take(&mut self, operation: Operation) -> Option<Fault> {
        self.0.get_mut(&operation)?.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Runs `work` as the fault has it.
pub(super) async fn suffer(
    fault: Option<Fault>,
    hangup: &Hangup,
    work: impl Future<Output = Response>,
) -> Response {
    match fault {
        None => work.await,
        Some(Fault::Refuse(answer)) => answer.response(),
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            work.await
        }
        Some(Fault::Close) => match hangup.now().await {},
        Some(Fault::Drip(answer, pause)) => answer.drip(pause),
        Some(Fault::CommitThenAnswer(answer)) => {
            work.await;
            answer.response()
        }
        Some(Fault::CommitThenDelay(time)) => {
            let response = work.await;
            tokio::time::sleep(time).await;
            response
        }
        Some(Fault::CommitThenClose) => {
            work.await;
            match hangup.now().await {}
        }
    }
}
