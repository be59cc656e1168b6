//! What keys need at gateways. Read by the mapping, which must not remove a policy that a key has.

use portico_eventstore::ProjectionError;
use portico_eventstore::sqlx::{self, AnyConnection};
use uuid::Uuid;

use crate::granted::Item;
use crate::key_order::{Key, KeyOrder, Link, Policies};

/// Brings the rows of one request to what its state says.
pub(super) async fn write(
    tx: &mut AnyConnection,
    request: Uuid,
    order: &KeyOrder,
) -> Result<(), ProjectionError> {
    sqlx::query("DELETE FROM key_grants WHERE request_id = $1")
        .bind(request.to_string())
        .execute(&mut *tx)
        .await?;
    for (index, item) in (0_i64..).zip(&order.items) {
        let keys: Vec<&Key> = order
            .keys
            .values()
            .filter(|key| key.product_id == item.product_id && key.may_exist())
            .collect();
        if order.is_wanted() || !keys.is_empty() {
            let newest = keys.iter().find(|key| key.link != Link::None);
            let policies = policies(item, newest.copied());
            insert(tx, request, order, index, item, &policies).await?;
        }
    }
    Ok(())
}

/// A key keeps the policies that it was made with.
fn policies(item: &Item, key: Option<&Key>) -> Policies {
    match key {
        Some(key) => key.policies.clone(),
        None => Policies {
            product: item.product_policy_id.clone(),
            plan: item.plan_policy_id.clone(),
        },
    }
}

async fn insert(
    tx: &mut AnyConnection,
    request: Uuid,
    order: &KeyOrder,
    index: i64,
    item: &Item,
    policies: &Policies,
) -> Result<(), ProjectionError> {
    // No limit beyond what the column takes would ever be reached.
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO key_grants (request_id, item, application_id, product_id, product_name, product_policy_id, \
         plan_id, plan_name, plan_policy_id, rate_requests, rate_per_seconds, quota_requests, \
         quota_renews_every_seconds, apis) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(request.to_string())
    .bind(index)
    .bind(order.application_id.to_string())
    .bind(item.product_id.clone())
    .bind(item.product_name.clone())
    .bind(policies.product.clone())
    .bind(item.plan_id.clone())
    .bind(item.plan_name.clone())
    .bind(policies.plan.clone())
    .bind(item.rate.map(|rate| number(rate.requests)))
    .bind(item.rate.map(|rate| number(rate.per_seconds)))
    .bind(item.quota.map(|quota| number(quota.requests)))
    .bind(item.quota.map(|quota| number(quota.renews_every_seconds)))
    .bind(serde_json::to_string(&item.apis)?)
    .execute(tx)
    .await?;
    Ok(())
}
