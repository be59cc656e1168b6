//! A client at a provider belongs to one application. A provider, or a cache before it, that gives one application's
//! answer to another must not make them share credentials.

use portico_eventstore::sqlx::{self, AnyPool};
use portico_eventstore::{ProjectionError, Tx, cells};
use uuid::Uuid;

const ANOTHERS: &str = "SELECT 1 FROM oauth_clients WHERE identity_provider_id = $1 AND client_id = $2 AND live = 1 \
                        AND id <> $3 LIMIT 1";

/// Whether a live client of this provider has the id already and is not `id`.
pub(crate) async fn is_anothers(
    pool: &AnyPool,
    id: Uuid,
    identity_provider_id: Uuid,
    client_id: &str,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query(ANOTHERS)
        .bind(identity_provider_id.to_string())
        .bind(client_id.to_owned())
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    Ok(found.is_some())
}

/// The rule, for the transaction of the append: two answers may be taken in at the same moment.
pub(super) async fn refuse(
    tx: &mut Tx,
    id: Uuid,
    identity_provider_id: Uuid,
    client_id: &str,
) -> Result<(), ProjectionError> {
    let values = cells![identity_provider_id, client_id, id];
    match tx.finds(ANOTHERS, values).await? {
        false => Ok(()),
        true => Err(ProjectionError::Refused(
            "the OAuth client belongs to another application",
        )),
    }
}
