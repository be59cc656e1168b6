//! Aggregates as the gRPC API and the public events show them.

use jiff::Timestamp;
use portico_proto::catalog::v1;
use uuid::Uuid;

use crate::{plan, plan::Plan, product, product::Product};

/// A product at a version of its stream.
pub(crate) fn product(id: Uuid, version: i64, product: &Product) -> v1::Product {
    product_message(
        id,
        version,
        &product.details,
        product.status.map_or("", product::Status::as_str),
        (time(product.created_at), time(product.updated_at)),
    )
}

/// A product from its parts; `times` are creation and last change.
pub(crate) fn product_message(
    id: Uuid,
    version: i64,
    details: &product::Details,
    status: &str,
    times: (String, String),
) -> v1::Product {
    v1::Product {
        id: id.to_string(),
        name: details.name.clone(),
        description: details.description.clone(),
        dcr_enabled: details.dcr_enabled,
        scopes: details.scopes.iter().cloned().collect(),
        client_type_ids: details
            .client_type_ids
            .iter()
            .map(Uuid::to_string)
            .collect(),
        visibility: details.visibility.as_str().to_owned(),
        tags: details.tags.iter().cloned().collect(),
        apis: details.apis.iter().map(api).collect(),
        status: status.to_owned(),
        policy_id: details.policy_id.clone(),
        documentation: details.documentation.clone(),
        version: version.unsigned_abs(),
        created_at: times.0,
        updated_at: times.1,
    }
}

fn api(api: &product::Api) -> v1::Api {
    v1::Api {
        api_id: api.api_id.clone(),
        name: api.name.clone(),
        url: api.url.clone(),
        gateway_id: api.gateway_id.map(|id| id.to_string()).unwrap_or_default(),
    }
}

/// A plan at a version of its stream.
pub(crate) fn plan(id: Uuid, version: i64, plan: &Plan) -> v1::Plan {
    plan_message(
        id,
        version,
        &plan.details,
        plan.status.map_or("", plan::Status::as_str),
        (time(plan.created_at), time(plan.updated_at)),
    )
}

/// A plan from its parts; `times` are creation and last change.
pub(crate) fn plan_message(
    id: Uuid,
    version: i64,
    details: &plan::Details,
    status: &str,
    times: (String, String),
) -> v1::Plan {
    v1::Plan {
        id: id.to_string(),
        name: details.name.clone(),
        description: details.description.clone(),
        scopes: details.scopes.iter().cloned().collect(),
        rate: details.rate.map(|limit| v1::Rate {
            requests: limit.requests,
            per_seconds: limit.seconds,
        }),
        quota: details.quota.map(|limit| v1::Quota {
            requests: limit.requests,
            renews_every_seconds: limit.seconds,
        }),
        auto_approve: details.auto_approve,
        policy_id: details.policy_id.clone(),
        status: status.to_owned(),
        version: version.unsigned_abs(),
        created_at: times.0,
        updated_at: times.1,
    }
}

/// RFC 3339 with six digits of a second, so that texts sort as times do.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}
