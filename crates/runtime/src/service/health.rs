//! Liveness and readiness: `/healthz` and `/readyz`, and gRPC's health protocol for each service.
//!
//! `/healthz` is about this process alone: a process that does not answer is restarted. `/readyz` lists every part, with
//! stable reason codes. The process is ready without an optional part: it accepts work, which then waits.
//!
//! | reason | |
//! |---|---|
//! | `database_unavailable` | the service's database does not answer |
//! | `database_connections_used_up` | it takes no more connections |
//! | `database_connections_busy` | all connections that this process may have are in use |
//! | `database_refuses_login`, `database_missing` | the user, the password or the database of `database.url` is wrong |
//! | `database_starting` | it is starting, stopping or being restored |
//! | `database_full`, `database_read_only` | appends fail, reads work |
//! | `migrations_pending` | it is older than this program |
//! | `bus_unavailable` | there is no connection to NATS; commands are taken, their events wait |
//! | `bus_refuses_login`, `bus_certificate_refused` | NATS refuses the user, or TLS does not come about |
//! | `bus_no_answer` | NATS does not acknowledge a message |
//! | `bus_full` | the disk or the limits of JetStream leave no room for a message |
//! | `bus_stream_missing` | the stream is not there and cannot be made, or JetStream is off |
//! | `bus_stream_settings` | the stream was made by somebody else, without roll-ups |
//! | `bus_unreadable` | what was stored is not read back |
//! | `bus_permission_missing` | NATS' permissions forbid something that the log names |
//! | `bus_consumer_interrupted` | messages are stored, but consumers that the log names get none |
//! | `service_unavailable` | a neighbour cannot be reached |
//! | `clock_off` | the clock of this process is further off than `clock.tolerance`, by `offset_seconds` |
//! | `shutting_down` | it has been told to end |
//! | `no_answer_in_time` | two seconds were not enough |

mod clock;
mod grpc;

pub use clock::{Reference, watch_clock};
pub(crate) use grpc::ServiceHealth;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::{BoxFuture, FutureExt as _, join_all};
use http::{StatusCode, header};
use portico_bus::SharedBus;
use portico_eventstore::Database;
use serde::Serialize;

use super::Deps;
use crate::{
    Channels, Clock, ServiceName,
    metrics::{
        self,
        gauges::{self, Gauge, Reading},
    },
};

/// Timeout of a check.
const PATIENCE: Duration = Duration::from_secs(2);

const READY: Gauge = Gauge {
    name: "portico_ready",
    help: "1: the part does its work; 0: it does not. As /readyz tells it.",
};

type CheckFn = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

#[derive(Clone)]
struct Check {
    part: String,
    optional: bool,
    run: CheckFn,
}

/// The parts that readiness depends on. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<Vec<Check>>,
    /// And how far it may be off.
    clock: Option<(Clock, Duration)>,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, Serialize)]
pub struct Readiness {
    /// Whether every part that is not optional is ready.
    pub ready: bool,
    /// Result for each part.
    pub parts: Vec<Part>,
}

/// A dependency or component whose health is checked.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Name of the part, such as `database`.
    pub part: String,
    /// Whether it works.
    pub ready: bool,
    /// The process is ready without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Why not: a stable code and nothing else, since anybody may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How far this process's clock is ahead, negative where it is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_seconds: Option<f64>,
}

impl Health {
    /// Adds a part. The check returns the reason as a stable code.
    #[must_use]
    pub fn with<F>(
        mut self,
        part: impl Into<String>,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Arc::make_mut(&mut self.checks).push(Check {
            part: part.into(),
            optional: false,
            run: Arc::new(move || check().boxed()),
        });
        self
    }

    /// Makes the last part optional.
    #[must_use]
    pub fn optional(mut self) -> Self {
        if let Some(last) = Arc::make_mut(&mut self.checks).last_mut() {
            last.optional = true;
        }
        self
    }

    /// Not ready any more once the process is about to end, so that nothing new is sent here.
    #[must_use]
    pub fn until_the_end_of(self, deps: &Deps) -> Self {
        let tasks = deps.tasks.clone();
        self.with("process", move || {
            // The tracker is closed when the end is announced: `Deps::announce_end`.
            let ending = tasks.is_closed();
            async move {
                match ending {
                    true => Err("shutting_down".to_owned()),
                    false => Ok(()),
                }
            }
        })
    }

    /// The clock of this process, which [`watch_clock`] measures.
    #[must_use]
    pub fn clock(mut self, deps: &Deps) -> Self {
        self.clock = Some((deps.clock.clone(), deps.config.clock_tolerance));
        self
    }

    /// The database of a service that runs here.
    #[must_use]
    pub fn database(self, part: impl Into<String>, database: &Database) -> Self {
        let database = database.clone();
        self.with(part, move || {
            let database = database.clone();
            async move { database_is_ready(&database).await.map_err(str::to_owned) }
        })
    }

    /// The bus, which is optional: commands are taken without it.
    #[must_use]
    pub fn bus(self, bus: &SharedBus) -> Self {
        let bus = Arc::clone(bus);
        self.with("bus", move || {
            let bus = Arc::clone(&bus);
            async move {
                bus.check().await.map_err(|why| {
                    tracing::warn!(code = why.code, error = why.cause, "the bus is not ready");
                    why.code.to_owned()
                })
            }
        })
        .optional()
    }

    /// Another service, local or remote.
    #[must_use]
    pub fn neighbour(self, channels: &Channels, name: ServiceName) -> Self {
        let channel = channels.to(name);
        self.with(name.as_str(), move || grpc::ask(channel.clone(), name))
    }

    /// Checks every part concurrently.
    pub async fn look(&self) -> Readiness {
        let asked = self.checks.iter().map(|check| async move {
            let reason = match tokio::time::timeout(PATIENCE, (check.run)()).await {
                Ok(Ok(())) => None,
                Ok(Err(reason)) => Some(reason),
                Err(_) => Some("no_answer_in_time".to_owned()),
            };
            Part {
                part: check.part.clone(),
                ready: reason.is_none(),
                optional: check.optional,
                reason,
                offset_seconds: None,
            }
        });
        let mut parts = join_all(asked).await;
        let clock = self.clock.as_ref();
        parts.extend(clock.map(|(clock, tolerance)| clock::part(clock, *tolerance)));
        Readiness {
            ready: parts.iter().all(|part| part.ready || part.optional),
            parts,
        }
    }

    /// Exposes each part in `/metrics`, too.
    #[must_use]
    pub fn measured(self) -> Self {
        let health = self.clone();
        gauges::register("health", &[READY], move || {
            let health = health.clone();
            async move {
                let parts = health.look().await.parts.into_iter();
                Ok::<_, String>(
                    parts
                        .map(|part| Reading::new(READY, part.ready.into()).label("part", part.part))
                        .collect(),
                )
            }
        });
        self
    }

    /// `/healthz`, `/readyz` and `/metrics`, for the listener of any process.
    pub fn routes<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new()
            .route("/healthz", get(alive))
            .route("/readyz", get(move || async move { ready(&self).await }))
            .route("/metrics", get(numbers))
    }
}

async fn alive() -> impl IntoResponse {
    Json(serde_json::json!({ "alive": true }))
}

async fn ready(health: &Health) -> Response {
    let readiness = health.look().await;
    if readiness.ready {
        return Json(readiness).into_response();
    }
    let retry = [(header::RETRY_AFTER, "2")];
    (StatusCode::SERVICE_UNAVAILABLE, retry, Json(readiness)).into_response()
}

async fn numbers() -> Response {
    gauges::refresh().await;
    match metrics::text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(error, "numbers not shown");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether a database does its work; otherwise the code, and the database's own words in the log.
pub(crate) async fn database_is_ready(database: &Database) -> Result<(), &'static str> {
    database.ready().await.map_err(|why| {
        let service = database.service();
        tracing::warn!(
            service,
            code = why.code,
            error = why.cause,
            "the database is not ready"
        );
        why.code
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use serde_json::json;
    use tower::ServiceExt as _;

    async fn asked(health: &Health, path: &str) -> (StatusCode, serde_json::Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = health.clone().routes().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn what_is_missing_is_named_and_what_is_optional_can_be_done_without() {
        let health = Health::default()
            .with("database", || async { Ok(()) })
            .with("bus", || async { Err("bus_unavailable".to_owned()) })
            .optional();
        let bus = json!({
            "part": "bus", "ready": false, "optional": true, "reason": "bus_unavailable"
        });
        let (status, body) = asked(&health, "/readyz").await;
        assert_eq!(status, StatusCode::OK);
        let database = json!({ "part": "database", "ready": true });
        assert_eq!(body, json!({ "ready": true, "parts": [database, bus] }));

        let health = health.with("process", || async { Err("shutting_down".to_owned()) });
        let (status, body) = asked(&health, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["ready"], false);
        assert_eq!(body["parts"][2]["reason"], "shutting_down");
        assert_eq!(asked(&health, "/healthz").await.0, StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_answer_is_not_waited_for() {
        let health = Health::default().with("database", std::future::pending);
        let readiness = health.look().await;
        assert_eq!(
            readiness.parts[0].reason.as_deref(),
            Some("no_answer_in_time")
        );
    }
}
