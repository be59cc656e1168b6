//! `/client-types`, also below their `/identity-providers/{id}`: what sorts of clients can be registered.

use http::StatusCode;
use portico_proto::{
    Error,
    registration::v1::{
        ClientType, ClientTypeChange, CreateClientTypeRequest, DeleteClientTypeRequest,
        GetClientTypeRequest, ListClientTypesRequest, NewClientType, UpdateClientTypeRequest,
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
        .routes(routes!(list_client_types))
        .routes(routes!(list_client_types_of_provider, create_client_type))
        .routes(routes!(
            get_client_type,
            update_client_type,
            delete_client_type
        ))
}

impl From<ClientType> for Single<ClientType> {
    fn from(from: ClientType) -> Self {
        Self::ok(from.version, from)
    }
}

/// Client types of every provider.
#[utoipa::path(get, path = "/client-types", tag = "Client types", params(ListClientTypesRequest), responses((status = 200, body = List<ClientType>)))]
async fn list_client_types(
    ctx: RequestContext,
    Query(query): Query<ListClientTypesRequest>,
) -> Result<List<ClientType>> {
    let request = ctx.request(query);
    let page = ctx.registration().list_client_types(request).await?;
    let page = page.into_inner();
    Ok(List::new(page.client_types, page.next))
}

/// Client types of one provider.
#[utoipa::path(get, path = "/identity-providers/{id}/client-types", tag = "Client types", params(ListClientTypesRequest), responses((status = 200, body = List<ClientType>)))]
async fn list_client_types_of_provider(
    ctx: RequestContext,
    Id(identity_provider_id): Id,
    Query(query): Query<ListClientTypesRequest>,
) -> Result<List<ClientType>> {
    if !query.identity_provider_id.is_empty() && query.identity_provider_id != identity_provider_id
    {
        let right = "`identity_provider_id` must be the one of the path, or left out.";
        return Err(Error::field(
            "identity_provider_id",
            "identity_provider_id_invalid",
            right,
        )
        .into());
    }
    let query = ListClientTypesRequest {
        identity_provider_id,
        ..query
    };
    list_client_types(ctx, Query(query)).await
}

/// Adds a client type to a provider.
#[utoipa::path(post, path = "/identity-providers/{id}/client-types", tag = "Client types", request_body = NewClientType, responses((status = 201, body = ClientType)))]
async fn create_client_type(
    ctx: RequestContext,
    Id(identity_provider_id): Id,
    Body(New(client_type)): Body<NewClientType>,
) -> Result<Single<ClientType>> {
    let request = ctx.request(CreateClientTypeRequest {
        identity_provider_id,
        client_type: Some(client_type),
    });
    let made = ctx.registration().create_client_type(request).await?;
    let made = made.into_inner();
    let path = format!("client-types/{}", made.id);
    Ok(Single::created(&path, made.version, made))
}

/// One client type.
#[utoipa::path(get, path = "/client-types/{id}", tag = "Client types", responses((status = 200, body = ClientType)))]
async fn get_client_type(ctx: RequestContext, Id(id): Id) -> Result<Single<ClientType>> {
    let request = ctx.request(GetClientTypeRequest { id });
    let found = ctx.registration().get_client_type(request).await?;
    Ok(found.into_inner().into())
}

async fn version(ctx: &RequestContext, id: &str) -> Result<u64> {
    let request = ctx.request(GetClientTypeRequest { id: id.to_owned() });
    let found = ctx.registration().get_client_type(request).await?;
    Ok(found.into_inner().version)
}

/// Updates the fields present in the body. Registered clients follow.
#[utoipa::path(patch, path = "/client-types/{id}", tag = "Client types", request_body = ClientTypeChange, responses((status = 200, body = ClientType)))]
async fn update_client_type(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    Body(change): Body<ClientTypeChange>,
) -> Result<Single<ClientType>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(UpdateClientTypeRequest {
        id,
        if_version,
        client_type: Some(change.message),
        update_mask: Some(change.mask),
    });
    let changed = ctx.registration().update_client_type(request).await?;
    Ok(changed.into_inner().into())
}

/// Deletes the client type.
#[utoipa::path(delete, path = "/client-types/{id}", tag = "Client types", responses((status = 204)))]
async fn delete_client_type(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
) -> Result<StatusCode> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(DeleteClientTypeRequest { id, if_version });
    ctx.registration().delete_client_type(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
