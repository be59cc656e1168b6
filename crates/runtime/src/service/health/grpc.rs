//! `grpc.health.v1` of one service: it is serving while its own database is ready. The bus and other services do not
//! count: without them it still takes commands, and one outage must not spread.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use portico_eventstore::Database;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, metadata::MetadataValue};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_client::HealthClient,
    health_server::{self, HealthServer},
};

use super::database_is_ready;
use crate::{Clock, Deps, ServiceChannel, ServiceName};

/// Poll interval of a watched service.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Metadata of an answer that is not `SERVING`: the reason code.
const MISSING: &str = "x-portico-missing";
/// Metadata of an answer: the time of the service's database, as far as the service knows it, in milliseconds.
const TIME: &str = "x-portico-time";

/// The implementation for one service.
#[derive(Clone)]
pub(crate) struct ServiceHealth {
    name: ServiceName,
    database: Database,
    clock: Clock,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl ServiceHealth {
    pub(crate) fn server(
        name: ServiceName,
        database: &Database,
        deps: &Deps,
    ) -> HealthServer<Self> {
        HealthServer::new(Self {
            name,
            database: database.clone(),
            clock: deps.clock.clone(),
            tasks: deps.tasks.clone(),
            shutdown: deps.shutdown.clone(),
        })
    }

    async fn missing(&self) -> Option<&'static str> {
        // The tracker is closed when the end is announced: `Deps::announce_end`.
        if self.tasks.is_closed() {
            return Some("shutting_down");
        }
        match tokio::time::timeout(super::PATIENCE, database_is_ready(&self.database)).await {
            Ok(ready) => ready.err(),
            Err(_) => Some("no_answer_in_time"),
        }
    }

    fn is_mine(&self, service: &str) -> bool {
        service.is_empty() || ServiceName::of_path(&format!("/{service}")) == Some(self.name)
    }
}

fn answer(missing: Option<&str>) -> HealthCheckResponse {
    response(match missing {
        None => ServingStatus::Serving,
        Some(_) => ServingStatus::NotServing,
    })
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl health_server::Health for ServiceHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.is_mine(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service here"));
        }
        let missing = self.missing().await;
        let mut response = Response::new(answer(missing));
        // Only where it was compared: another wrong clock would be of no use.
        let time = self
            .clock
            .offset()
            .map(|offset| self.clock.now().checked_sub(offset));
        if let Some(Ok(time)) = time {
            response
                .metadata_mut()
                .insert(TIME, time.as_millisecond().into());
        }
        if let Some(word) = missing {
            let word = MetadataValue::from_static(word);
            response.metadata_mut().insert(MISSING, word);
        }
        Ok(response)
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mine = self.is_mine(&request.get_ref().service);
        let health = Arc::new(self.clone());
        let stopping = self.shutdown.clone().cancelled_owned();
        let changes = stream::unfold(None, move |told| {
            let health = Arc::clone(&health);
            async move {
                loop {
                    let now = match mine {
                        true => answer(health.missing().await),
                        // The protocol wants a stream that goes on, in case that it comes to be.
                        false => response(ServingStatus::ServiceUnknown),
                    };
                    if told != Some(now.status) {
                        return Some((Ok(now), Some(now.status)));
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        });
        Ok(Response::new(Box::pin(changes.take_until(stopping))))
    }
}

/// The time of a service's database; `None` where the service does not answer, or does not know it yet.
pub(super) async fn time(channel: ServiceChannel) -> Option<Timestamp> {
    let asked = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    let answer = asked.ok()?;
    let time = answer.metadata().get(TIME)?.to_str().ok()?.parse().ok()?;
    Timestamp::from_millisecond(time).ok()
}

/// Whether a service, local or remote, is serving; otherwise the reason code.
pub(super) async fn ask(channel: ServiceChannel, name: ServiceName) -> Result<(), String> {
    // The empty name is all that the server there has.
    let request = HealthCheckRequest::default();
    match HealthClient::new(channel).check(request).await {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Ok(()),
        Ok(answer) => {
            let word = answer.metadata().get(MISSING);
            let word = word.and_then(|word| word.to_str().ok());
            Err(word.unwrap_or("service_unavailable").to_owned())
        }
        Err(status) => {
            tracing::warn!(service = name.as_str(), code = ?status.code(), "a service does not answer");
            Err("service_unavailable".to_owned())
        }
    }
}
