//! How many OAuth clients stand in the way of a change. Read before the command, from the table of the clients'
//! own view.

use portico_eventstore::sqlx::{self, AnyPool, Row as _};
use uuid::Uuid;

/// OAuth clients of a provider that are not deleted: registered ones, and those that wait or failed.
pub(crate) async fn of_provider(pool: &AnyPool, id: Uuid) -> Result<u64, sqlx::Error> {
    let sql = "SELECT COUNT(*) FROM oauth_clients WHERE identity_provider_id = $1 AND status <> 'deleted'";
    count(pool, sql, id).await
}

/// OAuth clients of a client type that are not deleted.
pub(crate) async fn of_client_type(pool: &AnyPool, id: Uuid) -> Result<u64, sqlx::Error> {
    let sql =
        "SELECT COUNT(*) FROM oauth_clients WHERE client_type_id = $1 AND status <> 'deleted'";
    count(pool, sql, id).await
}

async fn count(pool: &AnyPool, sql: &'static str, id: Uuid) -> Result<u64, sqlx::Error> {
    let row = sqlx::query(sql)
        .bind(id.to_string())
        .fetch_one(pool)
        .await?;
    Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
}
