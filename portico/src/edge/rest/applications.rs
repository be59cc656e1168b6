//! `/applications`: what developers build, each with its own credentials.

use http::StatusCode;
use portico_proto::access::v1::{
    self as proto, CreateApplicationRequest, DeleteApplicationRequest, GetApplicationRequest,
    ListApplicationsRequest, UpdateApplicationRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, given},
    input::{Body, Id, IfMatch, Query},
    values::RedirectUrls,
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

#[derive(Serialize, ToSchema)]
pub(super) struct Application {
    id: String,
    name: String,
    description: String,
    redirect_urls: RedirectUrls,
    /// `personal`, `team` or `organisation`.
    visibility: String,
    owner_id: String,
    /// `active` or `deleted`.
    status: String,
    /// An admin has suspended it: none of its clients works.
    suspended: bool,
    version: u64,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NewApplication {
    name: String,
    description: String,
    redirect_urls: RedirectUrls,
    /// `personal`, `team` or `organisation`.
    visibility: String,
}

/// What is absent stays; the redirect URLs are replaced as a whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApplicationChange {
    name: Option<String>,
    description: Option<String>,
    redirect_urls: Option<RedirectUrls>,
    visibility: Option<String>,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct ApplicationQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// Words in name or description.
    q: String,
    /// `name`, `-name`, `created_at` or `-created_at`.
    sort: String,
}

impl From<proto::Application> for Application {
    fn from(from: proto::Application) -> Self {
        Self {
            id: from.id,
            name: from.name,
            description: from.description,
            redirect_urls: RedirectUrls(from.redirect_urls),
            visibility: from.visibility,
            owner_id: from.owner_id,
            status: from.status,
            suspended: from.suspended,
            version: from.version,
            created_at: given(from.created_at),
            updated_at: given(from.updated_at),
        }
    }
}

impl From<NewApplication> for CreateApplicationRequest {
    fn from(new: NewApplication) -> Self {
        Self {
            name: new.name,
            description: new.description,
            redirect_urls: new.redirect_urls.0,
            visibility: new.visibility,
        }
    }
}

impl From<proto::Application> for Single<Application> {
    fn from(from: proto::Application) -> Self {
        Self::ok(from.version, from.into())
    }
}

/// The caller's applications; admins see all.
#[utoipa::path(get, path = "/applications", tag = "Applications", params(ApplicationQuery), responses((status = 200, body = List<Application>)))]
async fn list_applications(
    ctx: RequestContext,
    Query(query): Query<ApplicationQuery>,
) -> Result<List<Application>> {
    let request = ListApplicationsRequest {
        limit: query.limit,
        after: query.after,
        q: query.q,
        sort: query.sort,
    };
    let page = ctx
        .access()
        .list_applications(ctx.request(request))
        .await?
        .into_inner();
    Ok(List::new(page.applications, page.next))
}

/// Creates an application.
#[utoipa::path(post, path = "/applications", tag = "Applications", request_body = NewApplication, responses((status = 201, body = Application)))]
async fn create_application(
    ctx: RequestContext,
    Body(new): Body<NewApplication>,
) -> Result<Single<Application>> {
    let request = ctx.request(new.into());
    let application = ctx.access().create_application(request).await?.into_inner();
    let path = format!("applications/{}", application.id);
    Ok(Single::created(
        &path,
        application.version,
        application.into(),
    ))
}

/// One application.
#[utoipa::path(get, path = "/applications/{id}", tag = "Applications", responses((status = 200, body = Application)))]
async fn get_application(ctx: RequestContext, Id(id): Id) -> Result<Single<Application>> {
    let request = ctx.request(GetApplicationRequest { id });
    Ok(ctx
        .access()
        .get_application(request)
        .await?
        .into_inner()
        .into())
}

/// Updates the fields present in the body.
#[utoipa::path(patch, path = "/applications/{id}", tag = "Applications", request_body = ApplicationChange, responses((status = 200, body = Application)))]
async fn update_application(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    Body(change): Body<ApplicationChange>,
) -> Result<Single<Application>> {
    let request = UpdateApplicationRequest {
        id,
        if_version,
        name: change.name,
        description: change.description,
        redirect_urls: change
            .redirect_urls
            .map(|urls| proto::RedirectUrls { values: urls.0 }),
        visibility: change.visibility,
    };
    Ok(ctx
        .access()
        .update_application(ctx.request(request))
        .await?
        .into_inner()
        .into())
}

/// Deletes the application and its access.
#[utoipa::path(delete, path = "/applications/{id}", tag = "Applications", responses((status = 204)))]
async fn delete_application(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
) -> Result<StatusCode> {
    let request = ctx.request(DeleteApplicationRequest { id, if_version });
    ctx.access().delete_application(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
