//! `grpc.health.v1`: each service by its full name, and all of them under the empty name.

use std::{pin::Pin, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use portico_runtime::ServiceName;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{self, HealthServer},
};

use crate::edge::{Edge, health, streams::Watcher};

/// How often a watched service is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Asks the services when it is asked.
#[derive(Clone)]
pub(super) struct Health(Edge);

impl Health {
    pub(super) fn new(edge: Edge) -> Self {
        Self(edge)
    }

    pub(super) fn into_server(self) -> HealthServer<Self> {
        HealthServer::new(self)
    }

    async fn status(&self, services: &[ServiceName]) -> ServingStatus {
        let readiness = health::of_services(&self.0.deps, services).look().await;
        // Whoever asks for a service wants to know about that one.
        let alone = services.len() == 1 && readiness.parts.iter().any(|part| !part.ready);
        if readiness.ready && !alone {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

/// The services that a name means; none where there is no such name.
fn named(name: &str) -> Vec<ServiceName> {
    if name.is_empty() {
        return ServiceName::ALL.to_vec();
    }
    ServiceName::of_path(&format!("/{name}"))
        .into_iter()
        .collect()
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let services = named(&request.get_ref().service);
        if services.is_empty() {
            return Err(Status::not_found("there is no such service"));
        }
        Ok(Response::new(answer(self.status(&services).await)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let services = named(&request.get_ref().service);
        let open = self.0.streams.open(Watcher::Health)?;
        let stopping = self.0.deps.shutdown.clone().cancelled_owned();
        let health = self.clone();
        let changes = stream::unfold(
            (health, services, None, open),
            |(health, services, told, open)| async move {
                loop {
                    let status = if services.is_empty() {
                        // The protocol wants a stream that goes on, in case that it comes to be.
                        ServingStatus::ServiceUnknown
                    } else {
                        health.status(&services).await
                    };
                    if told != Some(status) {
                        return Some((Ok(answer(status)), (health, services, Some(status), open)));
                    }
                    health.0.deps.clock.sleep(LOOK_AGAIN).await;
                }
            },
        );
        Ok(Response::new(Box::pin(changes.take_until(stopping))))
    }
}
