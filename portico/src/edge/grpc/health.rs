//! `grpc.health.v1`: each service by its full name, and all of them under the empty name.

mod watches;

use std::{net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, future, stream};
use portico_runtime::ServiceName;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{self, HealthServer},
};

use self::watches::Watches;
use crate::edge::{Edge, health, request::remote_address};

/// How often a watched service is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long it is watched. Clients watch again when a stream ends, and nobody holds a place for ever.
const WATCHED: Duration = Duration::from_mins(5);

/// Asks the services when it is asked.
#[derive(Clone)]
pub(super) struct Health {
    edge: Edge,
    watches: Arc<Watches>,
}

impl Health {
    pub(super) fn new(edge: Edge) -> Self {
        let watches = Watches::new(edge.deps.config.connections.health_streams);
        Self {
            edge,
            watches: Arc::new(watches),
        }
    }

    fn remote<T>(&self, request: &Request<T>) -> Option<IpAddr> {
        let headers = request.metadata().clone().into_headers();
        let proxies = &self.edge.deps.config.trusted_proxies;
        remote_address(request.extensions(), &headers, proxies)
    }

    pub(super) fn into_server(self) -> HealthServer<Self> {
        HealthServer::new(self)
    }

    async fn status(&self, services: &[ServiceName]) -> ServingStatus {
        let readiness = health::of_services(&self.edge.deps, services).look().await;
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
        let watch = Watches::open(&self.watches, self.remote(&request))?;
        let deps = self.edge.deps.clone();
        let over = watch.displaced.clone().cancelled_owned();
        let (stopping, clock) = (deps.shutdown.clone().cancelled_owned(), deps.clock.clone());
        let long_enough = async move { clock.sleep(WATCHED).await };
        let ends = future::select(
            Box::pin(long_enough),
            future::select(Box::pin(over), Box::pin(stopping)),
        );
        let health = self.clone();
        let changes = stream::unfold(
            (health, services, None, watch),
            |(health, services, told, watch)| async move {
                loop {
                    let status = if services.is_empty() {
                        // The protocol wants a stream that goes on, in case that it comes to be.
                        ServingStatus::ServiceUnknown
                    } else {
                        health.status(&services).await
                    };
                    if told != Some(status) {
                        return Some((Ok(answer(status)), (health, services, Some(status), watch)));
                    }
                    health.edge.deps.clock.sleep(LOOK_AGAIN).await;
                }
            },
        );
        Ok(Response::new(Box::pin(changes.take_until(ends))))
    }
}
