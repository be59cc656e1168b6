//! `/healthz`: the process is alive. `/readyz`: it can do its work, with all that it needs.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use http::{StatusCode, header};
use portico_proto::{
    Error, Kind,
    access::v1::{ListAccessRequestsRequest, access_service_client::AccessServiceClient},
    accounts::v1::{GetContactsRequest, accounts_service_client::AccountsServiceClient},
    catalog::v1::{ListProductsRequest, catalog_service_client::CatalogServiceClient},
    notification::v1::{
        ListDeliveriesRequest, notification_service_client::NotificationServiceClient,
    },
    registration::v1::{
        ListClientTypesRequest, registration_service_client::RegistrationServiceClient,
    },
};
use portico_runtime::{Caller, ServiceName};
use serde::Serialize;

use super::Edge;

/// Slower than this is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    part: &'static str,
    ready: bool,
    /// Why not; a stable word, no more, for anybody may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `GET /healthz`.
pub(super) async fn alive() -> impl IntoResponse {
    Json(serde_json::json!({ "alive": true }))
}

/// `GET /readyz`: asks every service something cheap, and the bus.
pub(super) async fn ready(State(edge): State<Edge>) -> Response {
    let mut asked: Vec<BoxFuture<'_, Part>> = ServiceName::ALL
        .into_iter()
        .map(|name| {
            let answer = ask(&edge, name);
            async move { part(name.as_str(), tokio::time::timeout(PATIENCE, answer).await) }.boxed()
        })
        .collect();
    asked.push(async { bus(&edge).await }.boxed());
    let parts = join_all(asked).await;
    let ready = parts.iter().all(|part| part.ready);
    let body = Json(Readiness { ready, parts });
    if ready {
        body.into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "2")],
            body,
        )
            .into_response()
    }
}

/// Whether a service answers.
pub(super) async fn service_is_ready(edge: &Edge, name: ServiceName) -> bool {
    part(
        name.as_str(),
        tokio::time::timeout(PATIENCE, ask(edge, name)).await,
    )
    .ready
}

type Asked = Result<Result<(), Error>, tokio::time::error::Elapsed>;

fn part(part: &'static str, asked: Asked) -> Part {
    let reason = match asked {
        Err(_) => Some("no_answer_in_time".to_owned()),
        // A refusal is an answer.
        Ok(Err(error)) if matches!(error.kind, Kind::Unavailable | Kind::Internal) => {
            Some(error.code.into_owned())
        }
        Ok(_) => None,
    };
    Part {
        part,
        ready: reason.is_none(),
        reason,
    }
}

async fn bus(edge: &Edge) -> Part {
    let check = async {
        edge.deps.bus.check().await.map_err(|error| {
            tracing::warn!(%error, "the bus is not available");
            Error::unavailable("bus_unavailable", "The bus is not available.")
        })
    };
    part("bus", tokio::time::timeout(PATIENCE, check).await)
}

/// A question that reaches the service's database.
async fn ask(edge: &Edge, name: ServiceName) -> Result<(), Error> {
    let way = edge.deps.channels.to(name);
    let caller = Caller::service("edge");
    let identity = &edge.deps.identity;
    match name {
        ServiceName::Catalog => {
            let request = identity.request(
                &caller,
                ListProductsRequest {
                    limit: 1,
                    ..Default::default()
                },
            );
            CatalogServiceClient::new(way)
                .list_products(request)
                .await?;
        }
        ServiceName::AccessRequest => {
            let request = identity.request(
                &caller,
                ListAccessRequestsRequest {
                    limit: 1,
                    ..Default::default()
                },
            );
            AccessServiceClient::new(way)
                .list_access_requests(request)
                .await?;
        }
        ServiceName::Registration => {
            let request = identity.request(
                &caller,
                ListClientTypesRequest {
                    limit: 1,
                    ..Default::default()
                },
            );
            RegistrationServiceClient::new(way)
                .list_client_types(request)
                .await?;
        }
        ServiceName::Notification => {
            let request = identity.request(
                &caller,
                ListDeliveriesRequest {
                    limit: 1,
                    ..Default::default()
                },
            );
            NotificationServiceClient::new(way)
                .list_deliveries(request)
                .await?;
        }
        ServiceName::Accounts => {
            let nobody = GetContactsRequest {
                user_ids: vec![uuid::Uuid::nil().to_string()],
                ..Default::default()
            };
            AccountsServiceClient::new(way)
                .get_contacts(identity.request(&caller, nobody))
                .await?;
        }
    }
    Ok(())
}
