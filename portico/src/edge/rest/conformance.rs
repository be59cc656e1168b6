//! `/identity-providers/{id}/conformance`: what a provider can do, found out with a client that lives for a moment; and
//! what is tried again there.

use axum::Json;
use http::StatusCode;
use portico_proto::{
    access::v1::{RetryAccessRequestsRequest, RetryAccessRequestsResponse},
    registration::v1::{
        self as proto, GetConformanceCheckRequest, RetryIdentityProviderRequest,
        SetSecretRotationRequest, StartConformanceCheckRequest,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Single, given},
    identity_providers::IdentityProvider,
    input::{Body, Id, IfMatch, OptionalBody},
    values::Scopes,
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(get_conformance_check, start_conformance_check))
        .routes(routes!(retry_identity_provider))
        .routes(routes!(set_secret_rotation))
}

/// The last check and its progress.
#[derive(Serialize, ToSchema)]
struct ConformanceCheck {
    identity_provider_id: String,
    /// `none`, `running`, `finished` or `interrupted`.
    status: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    steps: Vec<ConformanceStep>,
    /// The client of the check that could not be deleted; the next check tries again.
    left_behind: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ConformanceStep {
    /// `register`, `read`, `update`, `rotate`, `token`, `delete` or `gone`.
    name: String,
    /// `passed`, `failed`, `not_offered` or `skipped`.
    outcome: String,
    /// The provider's own message.
    detail: String,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct ConformanceSettings {
    /// Scopes to register with and to request a token for; may be empty.
    scopes: Scopes,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SecretRotation {
    /// 30, 7 or 1; 0: secrets are not rotated automatically.
    days_before: u32,
}

impl From<proto::ConformanceCheck> for ConformanceCheck {
    fn from(from: proto::ConformanceCheck) -> Self {
        let step = |step: proto::ConformanceStep| ConformanceStep {
            name: step.name,
            outcome: step.outcome,
            detail: step.detail,
        };
        Self {
            identity_provider_id: from.identity_provider_id,
            status: from.status,
            started_at: given(from.started_at),
            finished_at: given(from.finished_at),
            steps: from.steps.into_iter().map(step).collect(),
            left_behind: given(from.left_behind),
        }
    }
}

/// The last conformance check.
#[utoipa::path(get, path = "/identity-providers/{id}/conformance", tag = "Identity providers", responses((status = 200, body = ConformanceCheck)))]
async fn get_conformance_check(ctx: RequestContext, Id(id): Id) -> Result<Json<ConformanceCheck>> {
    let request = ctx.request(GetConformanceCheckRequest {
        identity_provider_id: id,
    });
    let check = ctx.registration().get_conformance_check(request).await?;
    Ok(Json(check.into_inner().into()))
}

/// Starts a check that registers, reads, updates, rotates and deletes a test client. Continues after the response.
#[utoipa::path(post, path = "/identity-providers/{id}/conformance", tag = "Identity providers", request_body = Option<ConformanceSettings>, responses((status = 202, body = ConformanceCheck)))]
async fn start_conformance_check(
    ctx: RequestContext,
    Id(id): Id,
    OptionalBody(settings): OptionalBody<ConformanceSettings>,
) -> Result<(StatusCode, Json<ConformanceCheck>)> {
    let request = ctx.request(StartConformanceCheckRequest {
        identity_provider_id: id,
        scopes: settings.scopes.0,
    });
    let check = ctx.registration().start_conformance_check(request).await?;
    Ok((StatusCode::ACCEPTED, Json(check.into_inner().into())))
}

/// Retries everything at this provider that has failed or is waiting.
#[utoipa::path(post, path = "/identity-providers/{id}/retry", tag = "Identity providers", responses((status = 202, body = RetryAccessRequestsResponse)))]
async fn retry_identity_provider(
    ctx: RequestContext,
    Id(id): Id,
) -> Result<(StatusCode, Json<RetryAccessRequestsResponse>)> {
    let clients = ctx.request(RetryIdentityProviderRequest {
        identity_provider_id: id.clone(),
    });
    let clients = ctx.registration().retry_identity_provider(clients).await?;
    let requests = ctx.request(RetryAccessRequestsRequest {
        identity_provider_id: id,
    });
    let requests = ctx.access().retry_access_requests(requests).await?;
    let retried = RetryAccessRequestsResponse {
        clients: clients.into_inner().retried,
        ..requests.into_inner()
    };
    Ok((StatusCode::ACCEPTED, Json(retried)))
}

/// Sets whether expiring secrets are rotated automatically.
#[utoipa::path(put, path = "/identity-providers/{id}/secret-rotation", tag = "Identity providers", request_body = SecretRotation, responses((status = 200, body = IdentityProvider)))]
async fn set_secret_rotation(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    Body(rotation): Body<SecretRotation>,
) -> Result<Single<IdentityProvider>> {
    let request = ctx.request(SetSecretRotationRequest {
        identity_provider_id: id,
        days_before: rotation.days_before,
        if_version,
    });
    let provider = ctx.registration().set_secret_rotation(request).await?;
    Ok(provider.into_inner().into())
}
