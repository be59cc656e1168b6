//! `/client-types`, also below their `/identity-providers/{id}`: what sorts of clients can be registered.

use http::StatusCode;
use portico_proto::registration::v1::{
    self as proto, CreateClientTypeRequest, DeleteClientTypeRequest, GetClientTypeRequest,
    ListClientTypesRequest, TypeList, UpdateClientTypeRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, given},
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

#[derive(Serialize, ToSchema)]
struct ClientType {
    id: String,
    identity_provider_id: String,
    identity_provider_name: String,
    name: String,
    description: String,
    response_types: Vec<String>,
    grant_types: Vec<String>,
    token_endpoint_auth_method: String,
    /// Used by Okta only: `web`, `native`, `browser` or `service`.
    okta_application_type: Option<String>,
    status: String,
    version: u64,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct NewClientType {
    name: String,
    description: String,
    /// As in RFC 7591 section 2, for example `code`.
    response_types: Vec<String>,
    /// As in RFC 7591 section 2, for example `client_credentials`.
    grant_types: Vec<String>,
    /// As in RFC 7591 section 2, for example `client_secret_basic`.
    token_endpoint_auth_method: String,
    /// Used by Okta only: `web`, `native`, `browser` or `service`.
    okta_application_type: Option<String>,
}

/// What is absent stays; lists are replaced as a whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClientTypeChange {
    name: Option<String>,
    description: Option<String>,
    response_types: Option<Vec<String>>,
    grant_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    okta_application_type: Option<String>,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct ClientTypeQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    identity_provider_id: String,
    /// Only these, separated by commas.
    ids: String,
    /// `name`, `-name`, `created_at` or `-created_at`.
    sort: String,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct ProviderClientTypeQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// `name`, `-name`, `created_at` or `-created_at`.
    sort: String,
}

impl From<proto::ClientType> for ClientType {
    fn from(from: proto::ClientType) -> Self {
        Self {
            id: from.id,
            identity_provider_id: from.identity_provider_id,
            identity_provider_name: from.identity_provider_name,
            name: from.name,
            description: from.description,
            response_types: from.response_types,
            grant_types: from.grant_types,
            token_endpoint_auth_method: from.token_endpoint_auth_method,
            okta_application_type: given(from.okta_application_type),
            status: from.status,
            version: from.version,
            created_at: given(from.created_at),
            updated_at: given(from.updated_at),
        }
    }
}

impl From<proto::ClientType> for Single<ClientType> {
    fn from(from: proto::ClientType) -> Self {
        Self::ok(from.version, from.into())
    }
}

/// Client types of every provider.
#[utoipa::path(get, path = "/client-types", tag = "Client types", params(ClientTypeQuery), responses((status = 200, body = List<ClientType>)))]
async fn list_client_types(
    ctx: RequestContext,
    Query(query): Query<ClientTypeQuery>,
) -> Result<List<ClientType>> {
    let ids = query
        .ids
        .split(',')
        .map(str::trim)
        .filter(|id| !id.is_empty());
    let request = ListClientTypesRequest {
        limit: query.limit,
        after: query.after,
        identity_provider_id: query.identity_provider_id,
        ids: ids.map(str::to_owned).collect(),
        sort: query.sort,
    };
    list(&ctx, request).await
}

/// Client types of one provider.
#[utoipa::path(get, path = "/identity-providers/{id}/client-types", tag = "Client types", params(ProviderClientTypeQuery), responses((status = 200, body = List<ClientType>)))]
async fn list_client_types_of_provider(
    ctx: RequestContext,
    Id(identity_provider_id): Id,
    Query(query): Query<ProviderClientTypeQuery>,
) -> Result<List<ClientType>> {
    let request = ListClientTypesRequest {
        limit: query.limit,
        after: query.after,
        identity_provider_id,
        ids: Vec::new(),
        sort: query.sort,
    };
    list(&ctx, request).await
}

async fn list(ctx: &RequestContext, request: ListClientTypesRequest) -> Result<List<ClientType>> {
    let page = ctx
        .registration()
        .list_client_types(ctx.request(request))
        .await?
        .into_inner();
    Ok(List::new(page.client_types, page.next))
}

/// Adds a client type to a provider.
#[utoipa::path(post, path = "/identity-providers/{id}/client-types", tag = "Client types", request_body = NewClientType, responses((status = 201, body = ClientType)))]
async fn create_client_type(
    ctx: RequestContext,
    Id(identity_provider_id): Id,
    Body(new): Body<NewClientType>,
) -> Result<Single<ClientType>> {
    let request = CreateClientTypeRequest {
        identity_provider_id,
        name: new.name,
        description: new.description,
        response_types: new.response_types,
        grant_types: new.grant_types,
        token_endpoint_auth_method: new.token_endpoint_auth_method,
        okta_application_type: new.okta_application_type.unwrap_or_default(),
    };
    let made = ctx
        .registration()
        .create_client_type(ctx.request(request))
        .await?
        .into_inner();
    Ok(Single::created(
        &format!("client-types/{}", made.id),
        made.version,
        made.into(),
    ))
}

/// One client type.
#[utoipa::path(get, path = "/client-types/{id}", tag = "Client types", responses((status = 200, body = ClientType)))]
async fn get_client_type(ctx: RequestContext, Id(id): Id) -> Result<Single<ClientType>> {
    let request = ctx.request(GetClientTypeRequest { id });
    Ok(ctx
        .registration()
        .get_client_type(request)
        .await?
        .into_inner()
        .into())
}

/// Updates the fields present in the body. Applies to clients registered from now on.
#[utoipa::path(patch, path = "/client-types/{id}", tag = "Client types", request_body = ClientTypeChange, responses((status = 200, body = ClientType)))]
async fn update_client_type(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    Body(change): Body<ClientTypeChange>,
) -> Result<Single<ClientType>> {
    let list = |values| TypeList { values };
    let request = UpdateClientTypeRequest {
        id,
        if_version,
        name: change.name,
        description: change.description,
        response_types: change.response_types.map(list),
        grant_types: change.grant_types.map(list),
        token_endpoint_auth_method: change.token_endpoint_auth_method,
        okta_application_type: change.okta_application_type,
    };
    Ok(ctx
        .registration()
        .update_client_type(ctx.request(request))
        .await?
        .into_inner()
        .into())
}

/// Deletes the client type.
#[utoipa::path(delete, path = "/client-types/{id}", tag = "Client types", responses((status = 204)))]
async fn delete_client_type(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
) -> Result<StatusCode> {
    let request = ctx.request(DeleteClientTypeRequest { id, if_version });
    ctx.registration().delete_client_type(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
