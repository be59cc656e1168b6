//! `/applications/{id}/clients` and `/credentials`: the OAuth clients of an application.

use axum::{Json, http::StatusCode};
use portico_proto::{
    Error, Kind,
    gateway::v1::{ApiKey, ListApiKeysRequest},
    registration::v1::{
        Credentials, EndOldSecretRequest, GetCredentialsRequest, ListOauthClientsRequest,
        OauthClient, RotateCredentialsRequest,
    },
};
use portico_runtime::ServiceName;
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Unstored},
    api_keys,
    input::{Id, OptionalBody, Query},
};
use crate::edge::{Edge, halves::Halves, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_clients))
        .routes(routes!(get_credentials))
        .routes(routes!(rotate_credentials))
        .routes(routes!(end_old_secret))
}

/// One flat object: where the application has one client, its members stand among those of [`CredentialLists`].
#[derive(Serialize)]
struct AllCredentials {
    #[serde(flatten)]
    only: Option<Credentials>,
    #[serde(flatten)]
    lists: CredentialLists,
}

/// The credentials of an application. Where it has one client, that one's members stand here as well.
#[derive(Serialize, ToSchema)]
struct CredentialLists {
    /// One for each identity provider.
    clients: Vec<Credentials>,
    /// Of products without OAuth credentials. The keys themselves are shown by `POST /api-keys/{id}/reveal`, once.
    api_keys: Vec<ApiKey>,
    /// Services that could not be asked, so that their credentials are missing here: `registration` or `gateway`.
    incomplete: Vec<String>,
}

impl PartialSchema for AllCredentials {
    fn schema() -> RefOr<Schema> {
        match (Credentials::schema(), CredentialLists::schema()) {
            (RefOr::T(Schema::Object(only)), RefOr::T(Schema::Object(mut all))) => {
                // Of an application with API keys, or with several clients, they are not there: none is required.
                all.properties.extend(only.properties);
                RefOr::T(Schema::Object(all))
            }
            (_, lists) => lists,
        }
    }
}

impl ToSchema for AllCredentials {
    fn schemas(to: &mut Vec<(String, RefOr<Schema>)>) {
        Credentials::schemas(to);
        CredentialLists::schemas(to);
    }
}

/// The OAuth clients of an application, without secrets.
#[utoipa::path(get, path = "/applications/{id}/clients", tag = "Credentials", responses((status = 200, body = List<OauthClient>)))]
async fn list_clients(ctx: RequestContext, Id(application_id): Id) -> Result<List<OauthClient>> {
    let request = ctx.request(ListOauthClientsRequest { application_id });
    let answer = ctx.registration().list_oauth_clients(request).await?;
    let answer = answer.into_inner();
    Ok(List::new(answer.oauth_clients, String::new()))
}

/// The credentials of an application, for its owner only. Every access is recorded.
#[utoipa::path(get, path = "/applications/{id}/credentials", tag = "Credentials", responses((status = 200, body = AllCredentials)))]
async fn get_credentials(
    ctx: RequestContext,
    Id(application_id): Id,
) -> Result<Unstored<Json<AllCredentials>>> {
    let (clients, api_keys, incomplete) = of_application(&ctx, application_id).await?;
    let only = match clients.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    let lists = CredentialLists {
        clients,
        api_keys,
        incomplete,
    };
    Ok(Unstored(Json(AllCredentials { only, lists })))
}

/// What registration and the gateway service have for an application, and who of them could not be asked.
///
/// # Errors
/// The caller is not its owner, or there is nothing yet.
async fn of_application(
    ctx: &RequestContext,
    application_id: String,
) -> Result<(Vec<Credentials>, Vec<ApiKey>, Vec<String>)> {
    let keys = ctx.request(ListApiKeysRequest {
        application_id: application_id.clone(),
    });
    let credentials = ctx.request(GetCredentialsRequest { application_id });
    let (mut registration, mut gateway) = (ctx.registration(), ctx.gateway());
    let (credentials, keys) = futures::join!(
        registration.get_credentials(credentials),
        gateway.list_api_keys(keys),
    );
    let mut halves = Halves::default();
    let keys = halves.take(ServiceName::Gateway, keys)?.api_keys;
    let mut registered = match halves.take(ServiceName::Registration, credentials) {
        Ok(answer) => answer.credentials,
        // A client that is not ready hides no API key.
        Err(error) if error.kind == Kind::Conflict && !keys.is_empty() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    registered.retain(|credentials| !credentials.client_id.is_empty());
    let nothing = registered.is_empty() && keys.is_empty();
    let incomplete = halves.incomplete()?;
    match (nothing, incomplete.is_empty()) {
        (true, true) => Err(not_ready().into()),
        // There may be some where nobody answers.
        (true, false) => Err(Error::unavailable(
            "service_unavailable",
            "A part of Portico is not reachable.",
        )
        .into()),
        (false, _) => {
            let keys = keys.into_iter().map(api_keys::shown).collect();
            Ok((registered, keys, incomplete))
        }
    }
}

fn not_ready() -> Error {
    Error::new(
        Kind::Conflict,
        "not_ready",
        "This application has no credentials yet: they come when a request for access was approved and the client is \
         registered.",
    )
}

/// Rotates the client secret, where the provider supports it. The old secret stops working at once or at the time in
/// the response.
#[utoipa::path(post, path = "/applications/{id}/credentials/rotate", tag = "Credentials", request_body = Option<RotateCredentialsRequest>, responses((status = 200, body = Credentials)))]
async fn rotate_credentials(
    ctx: RequestContext,
    Id(application_id): Id,
    OptionalBody(request): OptionalBody<RotateCredentialsRequest>,
) -> Result<Unstored<Json<Credentials>>> {
    let request = ctx.request(RotateCredentialsRequest {
        application_id,
        ..request
    });
    let answer = ctx.registration().rotate_credentials(request).await?;
    Ok(Unstored(Json(answer.into_inner())))
}

/// Revokes the old secret early, where the provider accepts both after a rotation.
#[utoipa::path(delete, path = "/applications/{id}/credentials/old-secret", tag = "Credentials", params(EndOldSecretRequest), responses((status = 204)))]
async fn end_old_secret(
    ctx: RequestContext,
    Id(application_id): Id,
    Query(query): Query<EndOldSecretRequest>,
) -> Result<StatusCode> {
    let request = ctx.request(EndOldSecretRequest {
        application_id,
        ..query
    });
    ctx.registration().end_old_secret(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
