//! How many OAuth clients stand in the way of a change. Read before the command, from the table of the clients'
//! own view.

use portico_eventstore::sqlx::{self, Any, AnyPool, Executor, Row as _};
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

/// What a query counts of an id.
pub(super) async fn count(
    database: impl Executor<'_, Database = Any>,
    sql: &'static str,
    id: Uuid,
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(sql).bind(id.to_string());
    let row = query.fetch_one(database).await?;
    Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
}
