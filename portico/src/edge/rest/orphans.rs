//! `/orphans`: clients that may exist at a provider without being known here.

use portico_proto::registration::v1::{self as proto, ListOrphansRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, given},
    input::Query,
};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list_orphans))
}

#[derive(Serialize, ToSchema)]
struct Orphan {
    identity_provider_id: String,
    /// By which it can be found at the provider.
    marker: String,
    application_id: String,
    suspected_at: Option<String>,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct OrphanQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
}

impl From<proto::Orphan> for Orphan {
    fn from(from: proto::Orphan) -> Self {
        Self {
            identity_provider_id: from.identity_provider_id,
            marker: from.marker,
            application_id: from.application_id,
            suspected_at: given(from.suspected_at),
        }
    }
}

/// Clients to look for at the provider, and to delete there.
#[utoipa::path(get, path = "/orphans", tag = "Identity providers", params(OrphanQuery), responses((status = 200, body = List<Orphan>)))]
async fn list_orphans(ask: Ask, Query(query): Query<OrphanQuery>) -> Result<List<Orphan>> {
    let request = ask.request(ListOrphansRequest {
        limit: query.limit,
        after: query.after,
    });
    let page = ask.registration().list_orphans(request).await?.into_inner();
    Ok(List::new(page.orphans, page.next))
}
