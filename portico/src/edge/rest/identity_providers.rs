//! `/identity-providers`: where OAuth clients are registered.

use axum::Json;
use http::StatusCode;
use portico_proto::{
    registration::v1::{
        CheckIdentityProviderRequest, ConnectionCheck, CreateIdentityProviderRequest,
        DeleteIdentityProviderRequest, GetIdentityProviderRequest, IdentityProvider,
        IdentityProviderChange, ListIdentityProvidersRequest, NewIdentityProvider,
        UpdateIdentityProviderRequest, check_identity_provider_request::Subject,
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
        .routes(routes!(list_identity_providers, create_identity_provider))
        .routes(routes!(
            get_identity_provider,
            update_identity_provider,
            delete_identity_provider
        ))
        .routes(routes!(check_identity_provider))
        .routes(routes!(check_identity_provider_settings))
}

impl From<IdentityProvider> for Single<IdentityProvider> {
    fn from(from: IdentityProvider) -> Self {
        Self::ok(from.version, from)
    }
}

/// Identity providers.
#[utoipa::path(get, path = "/identity-providers", tag = "Identity providers", params(ListIdentityProvidersRequest), responses((status = 200, body = List<IdentityProvider>)))]
async fn list_identity_providers(
    ctx: RequestContext,
    Query(query): Query<ListIdentityProvidersRequest>,
) -> Result<List<IdentityProvider>> {
    let request = ctx.request(query);
    let page = ctx.registration().list_identity_providers(request).await?;
    let page = page.into_inner();
    Ok(List::new(page.identity_providers, page.next))
}

/// Adds a provider after reading its well-known document.
#[utoipa::path(post, path = "/identity-providers", tag = "Identity providers", request_body = NewIdentityProvider, responses((status = 201, body = IdentityProvider)))]
async fn create_identity_provider(
    ctx: RequestContext,
    Body(New(provider)): Body<NewIdentityProvider>,
) -> Result<Single<IdentityProvider>> {
    let request = ctx.request(CreateIdentityProviderRequest {
        identity_provider: Some(provider),
    });
    let provider = ctx.registration().create_identity_provider(request).await?;
    let provider = provider.into_inner();
    let path = format!("identity-providers/{}", provider.id);
    Ok(Single::created(&path, provider.version, provider))
}

/// One provider.
#[utoipa::path(get, path = "/identity-providers/{id}", tag = "Identity providers", responses((status = 200, body = IdentityProvider)))]
async fn get_identity_provider(
    ctx: RequestContext,
    Id(id): Id,
) -> Result<Single<IdentityProvider>> {
    let request = ctx.request(GetIdentityProviderRequest { id });
    let provider = ctx.registration().get_identity_provider(request).await?;
    Ok(provider.into_inner().into())
}

pub(super) async fn version(ctx: &RequestContext, id: &str) -> Result<u64> {
    let request = ctx.request(GetIdentityProviderRequest { id: id.to_owned() });
    let provider = ctx.registration().get_identity_provider(request).await?;
    Ok(provider.into_inner().version)
}

/// Updates the fields present in the body.
#[utoipa::path(patch, path = "/identity-providers/{id}", tag = "Identity providers", request_body = IdentityProviderChange, responses((status = 200, body = IdentityProvider)))]
async fn update_identity_provider(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    Body(change): Body<IdentityProviderChange>,
) -> Result<Single<IdentityProvider>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(UpdateIdentityProviderRequest {
        id,
        if_version,
        identity_provider: Some(change.message),
        update_mask: Some(change.mask),
    });
    let provider = ctx.registration().update_identity_provider(request).await?;
    Ok(provider.into_inner().into())
}

/// Deletes the provider; refused while it has clients.
#[utoipa::path(delete, path = "/identity-providers/{id}", tag = "Identity providers", responses((status = 204)))]
async fn delete_identity_provider(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
) -> Result<StatusCode> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(DeleteIdentityProviderRequest { id, if_version });
    ctx.registration().delete_identity_provider(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tests the connection to a stored provider.
#[utoipa::path(post, path = "/identity-providers/{id}/check", tag = "Identity providers", responses((status = 200, body = ConnectionCheck)))]
async fn check_identity_provider(ctx: RequestContext, Id(id): Id) -> Result<Json<ConnectionCheck>> {
    check(&ctx, Subject::Id(id)).await
}

/// Tests settings before they are stored.
#[utoipa::path(post, path = "/identity-providers/check", tag = "Identity providers", request_body = NewIdentityProvider, responses((status = 200, body = ConnectionCheck)))]
async fn check_identity_provider_settings(
    ctx: RequestContext,
    Body(New(settings)): Body<NewIdentityProvider>,
) -> Result<Json<ConnectionCheck>> {
    check(&ctx, Subject::Settings(settings)).await
}

async fn check(ctx: &RequestContext, subject: Subject) -> Result<Json<ConnectionCheck>> {
    let request = ctx.request(CheckIdentityProviderRequest {
        subject: Some(subject),
    });
    let check = ctx.registration().check_identity_provider(request).await?;
    Ok(Json(check.into_inner()))
}
