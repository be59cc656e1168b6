//! `/orphans`: clients that are, or may be, at a provider without being in use here. For admins.

use axum::Json;
use portico_proto::registration::v1::{
    AdoptOrphanRequest, DeleteOrphanRequest, DismissOrphanRequest, FindOrphansRequest,
    FindOrphansResponse, ListOrphansRequest, Orphan,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::List,
    input::{Body, Id, OptionalBody, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_orphans))
        .routes(routes!(find_orphans))
        .routes(routes!(adopt_orphan))
        .routes(routes!(delete_orphan))
        .routes(routes!(dismiss_orphan))
}

/// Lists orphaned clients.
#[utoipa::path(get, path = "/orphans", tag = "Identity providers", params(ListOrphansRequest), responses((status = 200, body = List<Orphan>)))]
async fn list_orphans(
    ctx: RequestContext,
    Query(query): Query<ListOrphansRequest>,
) -> Result<List<Orphan>> {
    let page = ctx.registration().list_orphans(ctx.request(query)).await?;
    let page = page.into_inner();
    Ok(List::new(page.orphans, page.next))
}

/// Looks through a provider's clients for those that bear Portico's marker and are not known here; part by part.
#[utoipa::path(post, path = "/orphans/find", tag = "Identity providers", request_body = FindOrphansRequest, responses((status = 200, body = FindOrphansResponse)))]
async fn find_orphans(
    ctx: RequestContext,
    Body(request): Body<FindOrphansRequest>,
) -> Result<Json<FindOrphansResponse>> {
    let request = ctx.request(request);
    let found = ctx.registration().find_orphans(request).await?;
    Ok(Json(found.into_inner()))
}

/// Adopts the client for the application, with a new secret; `id` is the marker.
#[utoipa::path(post, path = "/orphans/{id}/adopt", tag = "Identity providers", request_body = Option<AdoptOrphanRequest>, responses((status = 200, body = Orphan)))]
async fn adopt_orphan(
    ctx: RequestContext,
    Id(marker): Id,
    OptionalBody(request): OptionalBody<AdoptOrphanRequest>,
) -> Result<Json<Orphan>> {
    let request = ctx.request(AdoptOrphanRequest { marker, ..request });
    let orphan = ctx.registration().adopt_orphan(request).await?;
    Ok(Json(orphan.into_inner()))
}

/// Deletes the client at the provider; `id` is the marker.
#[utoipa::path(post, path = "/orphans/{id}/delete", tag = "Identity providers", request_body = Option<DeleteOrphanRequest>, responses((status = 200, body = Orphan)))]
async fn delete_orphan(
    ctx: RequestContext,
    Id(marker): Id,
    OptionalBody(request): OptionalBody<DeleteOrphanRequest>,
) -> Result<Json<Orphan>> {
    let request = ctx.request(DeleteOrphanRequest { marker, ..request });
    let orphan = ctx.registration().delete_orphan(request).await?;
    Ok(Json(orphan.into_inner()))
}

/// Dismisses the entry; `id` is the marker.
#[utoipa::path(post, path = "/orphans/{id}/dismiss", tag = "Identity providers", request_body = DismissOrphanRequest, responses((status = 200, body = Orphan)))]
async fn dismiss_orphan(
    ctx: RequestContext,
    Id(marker): Id,
    Body(request): Body<DismissOrphanRequest>,
) -> Result<Json<Orphan>> {
    let request = ctx.request(DismissOrphanRequest { marker, ..request });
    let orphan = ctx.registration().dismiss_orphan(request).await?;
    Ok(Json(orphan.into_inner()))
}
