//! `/applications`: what developers build, each with its own credentials.

use http::StatusCode;
use portico_proto::{
    access::v1::{
        Application, ApplicationChange, CreateApplicationRequest, DeleteApplicationRequest,
        GetApplicationRequest, ListApplicationsRequest, NewApplication, UpdateApplicationRequest,
    },
    rest::New,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single},
    input::{Body, Id, IfMatch, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_applications, create_application))
        .routes(routes!(
            get_application,
            update_application,
            delete_application
        ))
}

impl From<Application> for Single<Application> {
    fn from(from: Application) -> Self {
        Self::ok(from.version, from)
    }
}

/// The caller's applications; admins see all.
#[utoipa::path(get, path = "/applications", tag = "Applications", params(ListApplicationsRequest), responses((status = 200, body = List<Application>)))]
async fn list_applications(
    ctx: RequestContext,
    Query(query): Query<ListApplicationsRequest>,
) -> Result<List<Application>> {
    let request = ctx.request(query);
    let page = ctx.access().list_applications(request).await?.into_inner();
    Ok(List::new(page.applications, page.next))
}

/// Creates an application.
#[utoipa::path(post, path = "/applications", tag = "Applications", request_body = NewApplication, responses((status = 201, body = Application)))]
async fn create_application(
    ctx: RequestContext,
    Body(New(application)): Body<NewApplication>,
) -> Result<Single<Application>> {
    let request = ctx.request(CreateApplicationRequest {
        application: Some(application),
    });
    let application = ctx.access().create_application(request).await?.into_inner();
    let path = format!("applications/{}", application.id);
    Ok(Single::created(&path, application.version, application))
}

/// One application.
#[utoipa::path(get, path = "/applications/{id}", tag = "Applications", responses((status = 200, body = Application)))]
async fn get_application(ctx: RequestContext, Id(id): Id) -> Result<Single<Application>> {
    let request = ctx.request(GetApplicationRequest { id });
    let application = ctx.access().get_application(request).await?.into_inner();
    Ok(application.into())
}

pub(super) async fn version(ctx: &RequestContext, id: &str) -> Result<u64> {
    let request = ctx.request(GetApplicationRequest { id: id.to_owned() });
    let application = ctx.access().get_application(request).await?;
    Ok(application.into_inner().version)
}

/// Updates the fields present in the body; the redirect URLs are replaced as a whole.
#[utoipa::path(patch, path = "/applications/{id}", tag = "Applications", request_body = ApplicationChange, responses((status = 200, body = Application)))]
async fn update_application(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    Body(change): Body<ApplicationChange>,
) -> Result<Single<Application>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(UpdateApplicationRequest {
        id,
        if_version,
        application: Some(change.message),
        update_mask: Some(change.mask),
    });
    let application = ctx.access().update_application(request).await?.into_inner();
    Ok(application.into())
}

/// Deletes the application and its access.
#[utoipa::path(delete, path = "/applications/{id}", tag = "Applications", responses((status = 204)))]
async fn delete_application(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
) -> Result<StatusCode> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(DeleteApplicationRequest { id, if_version });
    ctx.access().delete_application(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
