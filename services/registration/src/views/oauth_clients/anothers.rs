//! A client at a provider belongs to one application. A provider, or a cache before it, that gives one application's
//! answer to another must not make them share credentials.

use portico_eventstore::ProjectionError;
use portico_eventstore::sqlx::{self, Any, AnyConnection, Executor};
use uuid::Uuid;

/// Whether a live client of this provider has the id already and is not `id`.
pub(crate) async fn is_anothers<'c>(
    database: impl Executor<'c, Database = Any>,
    id: Uuid,
    identity_provider_id: Uuid,
    client_id: &str,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query(
        "SELECT 1 FROM oauth_clients WHERE identity_provider_id = $1 AND client_id = $2 AND live = 1 AND id <> $3 \
         LIMIT 1",
    )
    .bind(identity_provider_id.to_string())
    .bind(client_id.to_owned())
    .bind(id.to_string())
    .fetch_optional(database)
    .await?;
    Ok(found.is_some())
}

/// The rule, for the transaction of the append: two answers may be taken in at the same moment.
pub(super) async fn refuse(
    tx: &mut AnyConnection,
    id: Uuid,
    identity_provider_id: Uuid,
    client_id: &str,
) -> Result<(), ProjectionError> {
    if is_anothers(tx, id, identity_provider_id, client_id).await? {
        return Err(ProjectionError::Refused(
            "the OAuth client belongs to another application",
        ));
    }
    Ok(())
}
