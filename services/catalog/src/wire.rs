//! Aggregates as the gRPC API and the public events show them.

use portico_proto::{catalog::v1, time};
use uuid::Uuid;

use crate::{plan, plan::Plan, product, product::Product};

/// A product at a version of its stream.
pub(crate) fn product(id: Uuid, version: i64, product: &Product) -> v1::Product {
    let status = product.status.map(v1::ProductStatus::from);
    let details = &product.details;
    let client_types = details.client_type_ids.iter();
    v1::Product {
        id: id.to_string(),
        name: details.name.clone(),
        description: details.description.clone(),
        dcr_enabled: details.dcr_enabled,
        scopes: details.scopes.iter().cloned().collect(),
        client_type_ids: client_types.map(Uuid::to_string).collect(),
        visibility: v1::Visibility::from(details.visibility).into(),
        tags: details.tags.iter().cloned().collect(),
        apis: details.apis.iter().map(api).collect(),
        status: status.unwrap_or_default().into(),
        mapping: policy(&details.policy_id),
        documentation: details.documentation.clone(),
        version: version.unsigned_abs(),
        created_at: Some(time::to_proto(product.created_at)),
        updated_at: Some(time::to_proto(product.updated_at)),
    }
}

fn api(api: &product::Api) -> v1::Api {
    v1::Api {
        mapping: Some(v1::ApiMapping {
            api_id: api.api_id.clone(),
            gateway_id: api.gateway_id.map(|id| id.to_string()),
        }),
        name: api.name.clone(),
        url: api.url.clone(),
    }
}

impl From<product::Visibility> for v1::Visibility {
    fn from(from: product::Visibility) -> Self {
        match from {
            product::Visibility::Public => Self::Public,
            product::Visibility::Internal => Self::Internal,
        }
    }
}

impl From<product::Status> for v1::ProductStatus {
    fn from(from: product::Status) -> Self {
        match from {
            product::Status::Draft => Self::Draft,
            product::Status::Published => Self::Published,
            product::Status::Deleted => Self::Deleted,
        }
    }
}

/// A plan at a version of its stream.
pub(crate) fn plan(id: Uuid, version: i64, plan: &Plan) -> v1::Plan {
    let status = plan.status.map(v1::PlanStatus::from);
    let details = &plan.details;
    v1::Plan {
        id: id.to_string(),
        name: details.name.clone(),
        description: details.description.clone(),
        scopes: details.scopes.iter().cloned().collect(),
        rate: details.rate.map(rate),
        quota: details.quota.map(quota),
        auto_approve: details.auto_approve,
        mapping: policy(&details.policy_id),
        status: status.unwrap_or_default().into(),
        version: version.unsigned_abs(),
        created_at: Some(time::to_proto(plan.created_at)),
        updated_at: Some(time::to_proto(plan.updated_at)),
    }
}

fn rate(plan::Limit { requests, seconds }: plan::Limit) -> v1::Rate {
    v1::Rate {
        requests,
        per_seconds: seconds,
    }
}

fn quota(plan::Limit { requests, seconds }: plan::Limit) -> v1::Quota {
    v1::Quota {
        requests,
        renews_every_seconds: seconds,
    }
}

impl From<plan::Status> for v1::PlanStatus {
    fn from(from: plan::Status) -> Self {
        match from {
            plan::Status::Active => Self::Active,
            plan::Status::Deleted => Self::Deleted,
        }
    }
}

fn policy(id: &str) -> Option<v1::PolicyMapping> {
    let policy_id = (!id.is_empty()).then(|| id.to_owned());
    Some(v1::PolicyMapping { policy_id })
}
