//! What is wanted at gateways. Read by the mapping.

use portico_eventstore::ProjectionError;
use portico_eventstore::sqlx::{self, AnyConnection};
use uuid::Uuid;

use crate::granted::Item;
use crate::oauth_client::OauthClient;

/// Brings the rows of one request to what the client's state says.
pub(super) async fn write(
    tx: &mut AnyConnection,
    id: Uuid,
    request: Uuid,
    client: &OauthClient,
) -> Result<(), ProjectionError> {
    sqlx::query("DELETE FROM grants WHERE request_id = $1")
        .bind(request.to_string())
        .execute(&mut *tx)
        .await?;
    let Some(grant) = client
        .grants
        .get(&request)
        .filter(|grant| grant.is_wanted() && !client.is_suspended(request))
    else {
        return Ok(());
    };
    for (index, item) in (0_i64..).zip(&grant.items) {
        insert(tx, id, request, client, index, item).await?;
    }
    Ok(())
}

async fn insert(
    tx: &mut AnyConnection,
    id: Uuid,
    request: Uuid,
    client: &OauthClient,
    index: i64,
    item: &Item,
) -> Result<(), ProjectionError> {
    // No limit beyond what the column takes would ever be reached.
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO grants (request_id, item, oauth_client_id, application_id, identity_provider_id, product_id, \
         product_name, product_scopes, product_policy_id, plan_id, plan_name, plan_scopes, plan_policy_id, \
         rate_requests, rate_per_seconds, quota_requests, quota_renews_every_seconds, apis) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(request.to_string())
    .bind(index)
    .bind(id.to_string())
    .bind(client.application_id.to_string())
    .bind(client.identity_provider_id.to_string())
    .bind(item.product_id.clone())
    .bind(item.product_name.clone())
    .bind(serde_json::to_string(&item.product_scopes)?)
    .bind(item.product_policy_id.clone())
    .bind(item.plan_id.clone())
    .bind(item.plan_name.clone())
    .bind(serde_json::to_string(&item.plan_scopes)?)
    .bind(item.plan_policy_id.clone())
    .bind(item.rate.map(|rate| number(rate.requests)))
    .bind(item.rate.map(|rate| number(rate.per_seconds)))
    .bind(item.quota.map(|quota| number(quota.requests)))
    .bind(item.quota.map(|quota| number(quota.renews_every_seconds)))
    .bind(serde_json::to_string(&item.apis)?)
    .execute(tx)
    .await?;
    Ok(())
}
