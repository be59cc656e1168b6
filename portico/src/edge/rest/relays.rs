//! `/relays`: how far each service has brought its events to the bus, and publishing them again.

use axum::Json;
use http::StatusCode;
use portico_proto::operations::v1::{
    self as proto, ListRelaysRequest, RepublishRequest,
    operations_service_server::OperationsService as _,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::input::OptionalBody;
use crate::edge::{Edge, ask::Ask, operations::Operations, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_relays))
        .routes(routes!(republish))
}

#[derive(Serialize, ToSchema)]
struct Relays {
    items: Vec<Relay>,
    /// Services that could not be asked.
    unreachable: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct Relay {
    service: String,
    /// The last event that the bus has safely.
    position: u64,
    /// The last event.
    head: u64,
    /// Null where nothing is published again.
    republishing: Option<Republishing>,
}

#[derive(Serialize, ToSchema)]
struct Republishing {
    position: u64,
    until: u64,
    requested_at: String,
    requested_by: String,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Republish {
    /// Only of this service; of all where it is absent.
    service: String,
    /// The position after which it begins; from the first event on where it is absent.
    from: u64,
}

impl From<proto::ListRelaysResponse> for Relays {
    fn from(from: proto::ListRelaysResponse) -> Self {
        Self {
            items: from.relays.into_iter().map(Into::into).collect(),
            unreachable: from.unreachable,
        }
    }
}

impl From<proto::Relay> for Relay {
    fn from(from: proto::Relay) -> Self {
        Self {
            service: from.service,
            position: from.position,
            head: from.head,
            republishing: from.republishing.map(|again| Republishing {
                position: again.position,
                until: again.until,
                requested_at: again.requested_at,
                requested_by: again.requested_by,
            }),
        }
    }
}

/// How far each service has brought its events to the bus.
#[utoipa::path(get, path = "/relays", tag = "Operations", responses((status = 200, body = Relays)))]
async fn list_relays(ask: Ask) -> Result<Json<Relays>> {
    let request = ask.request(ListRelaysRequest {});
    let relays = Operations::new(ask.edge()).list_relays(request).await?;
    Ok(Json(relays.into_inner().into()))
}

/// Publishes events again. Consumers recognise what they have handled.
#[utoipa::path(post, path = "/relays/republish", tag = "Operations", request_body = Option<Republish>, responses((status = 202, body = Relays)))]
async fn republish(
    ask: Ask,
    OptionalBody(again): OptionalBody<Republish>,
) -> Result<(StatusCode, Json<Relays>)> {
    let request = ask.request(RepublishRequest {
        service: again.service,
        from: again.from,
    });
    let relays = Operations::new(ask.edge()).republish(request).await?;
    Ok((StatusCode::ACCEPTED, Json(relays.into_inner().into())))
}
