//! `/orphans`: clients that are, or may be, at a provider without being in use here. For admins.

use axum::Json;
use portico_proto::registration::v1::{
    self as proto, AdoptOrphanRequest, DeleteOrphanRequest, DismissOrphanRequest, FoundClient,
    ListOrphansRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, given},
    input::{Body, Id, OptionalBody, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_orphans))
        .routes(routes!(adopt_orphan))
        .routes(routes!(delete_orphan))
        .routes(routes!(dismiss_orphan))
}

#[derive(Serialize, ToSchema)]
struct Orphan {
    identity_provider_id: String,
    /// Marker by which it can be found at the provider.
    marker: String,
    application_id: String,
    suspected_at: Option<String>,
    /// `outcome_unknown`, `delete_refused` or `registered_late`.
    reason: String,
    /// The provider's own message.
    detail: Option<String>,
    /// Null where it is not known.
    client_id: Option<String>,
    /// It was left without scopes.
    powerless: bool,
    /// The registration access token is stored, so that it can be deleted without entering one.
    manageable: bool,
    /// `open`, `adopted`, `deleted` or `dismissed`.
    status: String,
    resolved_at: Option<String>,
    resolved_by: Option<String>,
    /// Why it was dismissed.
    note: Option<String>,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct OrphanQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// `open` or `all`; `open` where it is absent.
    status: String,
    /// Only this one.
    identity_provider_id: String,
}

/// How a client is found that Portico does not know. What is absent: what is stored, or what the provider can be
/// searched for.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct OrphanedClient {
    client_id: String,
    /// RFC 7592 section 3.
    registration_access_token: String,
    registration_client_uri: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Dismissal {
    /// Why nothing is left to be done.
    #[serde(default)]
    reason: String,
}

impl From<proto::Orphan> for Orphan {
    fn from(from: proto::Orphan) -> Self {
        Self {
            identity_provider_id: from.identity_provider_id,
            marker: from.marker,
            application_id: from.application_id,
            suspected_at: given(from.suspected_at),
            reason: from.reason,
            detail: given(from.detail),
            client_id: given(from.client_id),
            powerless: from.powerless,
            manageable: from.manageable,
            status: from.status,
            resolved_at: given(from.resolved_at),
            resolved_by: given(from.resolved_by),
            note: given(from.note),
        }
    }
}

impl From<OrphanedClient> for FoundClient {
    fn from(from: OrphanedClient) -> Self {
        Self {
            client_id: from.client_id,
            registration_access_token: from.registration_access_token,
            registration_client_uri: from.registration_client_uri,
        }
    }
}

/// Lists orphaned clients.
#[utoipa::path(get, path = "/orphans", tag = "Identity providers", params(OrphanQuery), responses((status = 200, body = List<Orphan>)))]
async fn list_orphans(
    ctx: RequestContext,
    Query(query): Query<OrphanQuery>,
) -> Result<List<Orphan>> {
    let request = ctx.request(ListOrphansRequest {
        limit: query.limit,
        after: query.after,
        status: query.status,
        identity_provider_id: query.identity_provider_id,
    });
    let page = ctx.registration().list_orphans(request).await?.into_inner();
    Ok(List::new(page.orphans, page.next))
}

/// Adopts the client for the application, with a new secret; `id` is the marker.
#[utoipa::path(post, path = "/orphans/{id}/adopt", tag = "Identity providers", request_body = Option<OrphanedClient>, responses((status = 200, body = Orphan)))]
async fn adopt_orphan(
    ctx: RequestContext,
    Id(marker): Id,
    OptionalBody(client): OptionalBody<OrphanedClient>,
) -> Result<Json<Orphan>> {
    let request = ctx.request(AdoptOrphanRequest {
        marker,
        client: Some(client.into()),
    });
    let orphan = ctx.registration().adopt_orphan(request).await?;
    Ok(Json(orphan.into_inner().into()))
}

/// Deletes the client at the provider; `id` is the marker.
#[utoipa::path(post, path = "/orphans/{id}/delete", tag = "Identity providers", request_body = Option<OrphanedClient>, responses((status = 200, body = Orphan)))]
async fn delete_orphan(
    ctx: RequestContext,
    Id(marker): Id,
    OptionalBody(client): OptionalBody<OrphanedClient>,
) -> Result<Json<Orphan>> {
    let request = ctx.request(DeleteOrphanRequest {
        marker,
        client: Some(client.into()),
    });
    let orphan = ctx.registration().delete_orphan(request).await?;
    Ok(Json(orphan.into_inner().into()))
}

/// Dismisses the entry; `id` is the marker.
#[utoipa::path(post, path = "/orphans/{id}/dismiss", tag = "Identity providers", request_body = Dismissal, responses((status = 200, body = Orphan)))]
async fn dismiss_orphan(
    ctx: RequestContext,
    Id(marker): Id,
    Body(dismissal): Body<Dismissal>,
) -> Result<Json<Orphan>> {
    let request = ctx.request(DismissOrphanRequest {
        marker,
        reason: dismissal.reason,
    });
    let orphan = ctx.registration().dismiss_orphan(request).await?;
    Ok(Json(orphan.into_inner().into()))
}
