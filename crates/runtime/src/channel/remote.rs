//! Calls over the network, to the replicas of a service in turn.
//!
//! What certainly did not reach a replica goes to the next one. What may have reached it is repeated only where a
//! repetition has no second effect: methods that read, and commands with an idempotency key. Otherwise the caller is
//! told by name which service is unavailable, and can repeat the call.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use portico_proto::{Error, Kind};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Status, body::Body, transport::Error as TransportError};
use tower::Service as _;
use url::Url;

use super::{
    IDEMPOTENCY_KEY, NOT_TAKEN, SERVICE, ServiceName, methods,
    replicas::{Replica, Replicas},
};
use crate::{
    process::Seldom,
    tls::{Certificates, tls_reason, with_causes},
};

/// For a call, all its repetitions included. As long as the edge waits for the slowest of them, a connection test.
const DEADLINE: Duration = Duration::from_secs(60);
/// A request must be kept until it is answered. No service takes a larger one.
const LARGEST: usize = 4 * 1024 * 1024;
/// Rounds over all replicas, and the pauses between them. A replica that is restarted needs about as long.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1000),
];
const GRPC_TIMEOUT: &str = "grpc-timeout";
/// Lines about one service, each reason apart.
static SAID: Seldom = Seldom::every(Duration::from_secs(10));

/// A channel to one service over the network. Cheap to clone.
#[derive(Clone)]
pub struct Remote {
    name: ServiceName,
    replicas: Arc<Replicas>,
}

impl Remote {
    /// To the replicas at these addresses: `http://` or `https://`, host and port. A name may stand for several
    /// replicas. With TLS the replicas must prove that they are this service.
    #[must_use]
    pub fn new(name: ServiceName, addresses: &[Url], tls: Option<Certificates>) -> Self {
        Self {
            name,
            replicas: Arc::new(Replicas::new(name, addresses.to_vec(), tls)),
        }
    }

    pub(super) async fn call(self, request: Request<Body>) -> Response<Body> {
        let answer = match Call::of(self.name, request).await {
            Ok(call) => self.try_replicas(&call).await,
            Err(error) => Err(error),
        };
        answer.unwrap_or_else(|error| Status::from(error).into_http())
    }

    async fn try_replicas(&self, call: &Call) -> Result<Response<Body>, Error> {
        let mut pauses = PAUSES.iter();
        let mut refused = None;
        loop {
            let replicas = self.replicas.in_turn().await;
            let hope = replicas.iter().any(Replica::seems_well);
            for replica in &replicas {
                match self.try_one(replica, call).await {
                    Attempt::Answered(response) => return Ok(response),
                    Attempt::Refused(response) => refused = Some(response),
                    Attempt::Again => {}
                    Attempt::Over => return Err(service_unavailable(self.name)),
                }
            }
            // Where nobody answered a moment ago, there is no use in waiting.
            let Some(pause) = pauses.next().filter(|_| hope || replicas.is_empty()) else {
                return refused.ok_or_else(|| service_unavailable(self.name));
            };
            sleep(*pause).await;
            self.replicas.look(*pause).await;
        }
    }

    async fn try_one(&self, replica: &Replica, call: &Call) -> Attempt {
        let mut channel = replica.channel(call.streams);
        let answered = timeout_at(call.deadline, async {
            std::future::poll_fn(|context| channel.poll_ready(context)).await?;
            channel.call(call.request()).await
        });
        let response = match answered.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                replica.failed();
                let reason = tls_reason(&error).unwrap_or("not_reachable");
                return self.after(reason, &with_causes(&error), never_arrived(&error), call);
            }
            Err(_) => return self.late(call),
        };
        if response.headers().contains_key(NOT_TAKEN) {
            // Its clock or its keys are others than ours. Nothing was done, and another replica may agree with us.
            replica.failed();
            return Attempt::Refused(response);
        }
        if call.streams {
            return Attempt::Answered(self.stream(response));
        }
        // All of it, so that an answer that breaks off is none.
        let (parts, body) = response.into_parts();
        match timeout_at(call.deadline, body.collect()).await {
            Ok(Ok(body)) => Attempt::Answered(Response::from_parts(parts, Body::new(body))),
            Ok(Err(status)) => {
                replica.failed();
                self.after("broken_off", &with_causes(&status), false, call)
            }
            Err(_) => self.late(call),
        }
    }

    fn late(&self, call: &Call) -> Attempt {
        self.after("late", "no answer in time", false, call)
    }

    /// What comes after an attempt without an answer. The caller is told only that the service is away, so the cause is
    /// in the log.
    fn after(&self, reason: &str, error: &str, never_arrived: bool, call: &Call) -> Attempt {
        let again = (never_arrived || call.repeatable) && Instant::now() < call.deadline;
        let (service, path) = (self.name.as_str(), call.path());
        match SAID.say(&format!("{service} {reason}")) {
            Some(unsaid) => {
                tracing::warn!(
                    service,
                    path,
                    reason,
                    error,
                    again,
                    unsaid,
                    "a call to {service} failed: {reason}"
                );
            }
            None => tracing::debug!(
                service,
                path,
                reason,
                error,
                again,
                "a call to {service} failed: {reason}"
            ),
        }
        if again { Attempt::Again } else { Attempt::Over }
    }

    /// Translates the error of a stream that breaks off.
    fn stream(&self, response: Response<Body>) -> Response<Body> {
        let name = self.name;
        response
            .map(|body| Body::new(body.map_err(move |_| Status::from(service_unavailable(name)))))
    }
}

enum Attempt {
    Answered(Response<Body>),
    /// The replica does not take our identity.
    Refused(Response<Body>),
    /// Another replica may be asked.
    Again,
    /// It may have had its effect.
    Over,
}

/// A request that can be sent several times.
struct Call {
    parts: http::request::Parts,
    body: Bytes,
    deadline: Instant,
    streams: bool,
    repeatable: bool,
}

impl Call {
    async fn of(name: ServiceName, request: Request<Body>) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        parts
            .headers
            .insert(SERVICE, HeaderValue::from_static(name.as_str()));
        let body = Limited::new(body, LARGEST).collect().await.map_err(|_| {
            let message = "The request broke off, or is larger than 4 MiB.";
            Error::new(Kind::Invalid, "request_unreadable", message)
        })?;
        let path = parts.uri.path();
        let streams = methods::streams(path);
        let repeatable = methods::reads(path) || parts.headers.contains_key(IDEMPOTENCY_KEY);
        if !streams {
            announce(&mut parts.headers);
        }
        Ok(Self {
            parts,
            body: body.to_bytes(),
            deadline: Instant::now() + DEADLINE,
            streams,
            repeatable,
        })
    }

    fn path(&self) -> &str {
        self.parts.uri.path()
    }

    fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::new(Full::new(self.body.clone())));
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = self.parts.uri.clone();
        *request.headers_mut() = self.parts.headers.clone();
        request
    }
}

/// Sets the deadline of the call, unless the caller did.
fn announce(headers: &mut HeaderMap) {
    if let Ok(seconds) = HeaderValue::try_from(format!("{}S", DEADLINE.as_secs())) {
        headers.entry(GRPC_TIMEOUT).or_insert(seconds);
    }
}

/// The error of an unreachable service, whatever the protocol.
pub fn service_unavailable(name: ServiceName) -> Error {
    let name = name.as_str();
    Error::unavailable(
        format!("{}_unavailable", name.replace('-', "_")),
        format!("The {name} service is not reachable; try again in a moment."),
    )
}

/// Whether a request was certainly not handled: there was no connection, or the replica said that it does not take
/// it, as one does that is stopping.
fn never_arrived(error: &TransportError) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        if error
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_canceled)
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let leaving = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            return leaving || error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        cause = error.source();
    }
    false
}
