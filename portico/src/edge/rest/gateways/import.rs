//! Products and plans made of the policies of a gateway.

use axum::Json;
use portico_proto::catalog::v1::{
    self as proto, ImportFromGatewayRequest, ImportItem, PreviewGatewayImportRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    answer::{List, given},
    input::{Body, Id, Query},
    values::Scopes,
};
use super::ContentsQuery;
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(preview_gateway_import, import_from_gateway))
}

/// Which policies to make products and plans of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GatewayImportRequest {
    items: Vec<PolicyToImport>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PolicyToImport {
    /// Its id at the gateway.
    policy_id: String,
    /// Absent: those that lead to it at the gateway already.
    #[serde(default)]
    scopes: Scopes,
}

/// A policy and what becomes, or became, of it.
#[derive(Serialize, ToSchema)]
struct ImportedPolicy {
    policy_id: String,
    name: String,
    /// `product`, `plan`, `both` or `other`.
    role: Option<String>,
    /// Before: `create`, `update` or `not_possible`. After: `created`, `updated`, `unchanged`, `not_possible` or
    /// `failed`.
    action: String,
    /// Of the product or plan.
    id: Option<String>,
    /// Why not, or what is missing.
    detail: Option<String>,
    scopes: Scopes,
    api_ids: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct GatewayImportResult {
    items: Vec<ImportedPolicy>,
}

impl From<proto::ImportedPolicy> for ImportedPolicy {
    fn from(from: proto::ImportedPolicy) -> Self {
        Self {
            policy_id: from.policy_id,
            name: from.name,
            role: given(from.role),
            action: from.action,
            id: given(from.id),
            detail: given(from.detail),
            scopes: Scopes(from.scopes),
            api_ids: from.api_ids,
        }
    }
}

/// What an import would make of each policy at the gateway. Changes nothing.
#[utoipa::path(get, path = "/gateways/{id}/import", tag = "Gateways", params(ContentsQuery), responses((status = 200, body = List<ImportedPolicy>)))]
async fn preview_gateway_import(
    ask: Ask,
    Id(gateway_id): Id,
    Query(query): Query<ContentsQuery>,
) -> Result<List<ImportedPolicy>> {
    let request = ask.request(PreviewGatewayImportRequest {
        gateway_id,
        limit: query.limit,
        after: query.after,
    });
    let page = ask
        .catalog()
        .preview_gateway_import(request)
        .await?
        .into_inner();
    Ok(List::new(page.items, page.next))
}

/// Makes drafts of products, and plans, of policies, or updates those that were made of them before.
#[utoipa::path(post, path = "/gateways/{id}/import", tag = "Gateways", request_body = GatewayImportRequest, responses((status = 200, body = GatewayImportResult)))]
async fn import_from_gateway(
    ask: Ask,
    Id(gateway_id): Id,
    Body(import): Body<GatewayImportRequest>,
) -> Result<Json<GatewayImportResult>> {
    let items = import.items.into_iter().map(|item| ImportItem {
        policy_id: item.policy_id,
        scopes: item.scopes.0,
    });
    let request = ask.request(ImportFromGatewayRequest {
        gateway_id,
        items: items.collect(),
    });
    let answer = ask
        .catalog()
        .import_from_gateway(request)
        .await?
        .into_inner();
    let items = answer.items.into_iter().map(Into::into).collect();
    Ok(Json(GatewayImportResult { items }))
}
