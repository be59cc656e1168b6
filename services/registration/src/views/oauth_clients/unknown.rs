//! What is known here of the clients that a provider lists.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use portico_eventstore::rows::id;
use portico_eventstore::sqlx::{self, AnyPool, AssertSqlSafe, Row as _};
use uuid::Uuid;

/// Times of rows are texts, whose order is that of time as far as whole seconds go.
const SLACK: Duration = Duration::from_secs(2);

/// A client that a provider lists: its id, and the stream that its marker names.
pub(crate) type Listed<'a> = (&'a str, &'a str);

/// Of some listed clients.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Ids of those that are in use, or are listed as orphans and not said to be deleted.
    pub(crate) clients: BTreeSet<String>,
    /// Streams that are being registered, or have changed since the list was asked for, so that it may be wrong about
    /// them.
    pub(crate) changing: BTreeSet<Uuid>,
}

/// What is known of clients of a provider that were listed after `since`.
pub(crate) async fn known_of(
    pool: &AnyPool,
    provider: Uuid,
    listed: &[Listed<'_>],
    since: Timestamp,
) -> Result<Known, sqlx::Error> {
    if listed.is_empty() {
        return Ok(Known::default());
    }
    let places = |first: usize| {
        let places = (first..first + listed.len()).map(|at| format!("${at}"));
        places.collect::<Vec<_>>().join(", ")
    };
    let (places, streams) = (places(2), places(2 + listed.len()));
    // Two of the portal's providers may be one server. What the marker's own stream has is known, whichever of them it names.
    let sql = format!(
        "SELECT client_id FROM oauth_clients WHERE live = 1 AND client_id IN ({places}) \
         AND (identity_provider_id = $1 OR id IN ({streams})) \
         UNION SELECT client_id FROM orphans WHERE status IN ('open', 'dismissed') AND client_id IN ({places}) \
         AND (identity_provider_id = $1 OR oauth_client_id IN ({streams}))"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(provider.to_string());
    let ids = listed.iter().map(|(client, _)| (*client).to_owned());
    let ids = ids.chain(listed.iter().map(|(_, stream)| (*stream).to_owned()));
    let rows = ids.fold(query, |query, id| query.bind(id));
    let rows = rows.fetch_all(pool).await?;
    let clients = rows.iter().map(|row| row.try_get("client_id"));
    let clients = clients.collect::<Result<_, _>>()?;

    let sql = format!(
        "SELECT id FROM oauth_clients WHERE ((live = 1 AND client_id = '') OR updated_at >= $1) AND id IN ({places})"
    );
    let since = since.checked_sub(SLACK).unwrap_or(since);
    let query = sqlx::query(AssertSqlSafe(sql)).bind(since.to_string());
    let streams = listed.iter().map(|(_, stream)| (*stream).to_owned());
    let rows = streams.fold(query, |query, id| query.bind(id));
    let rows = rows.fetch_all(pool).await?;
    let changing = rows.iter().map(id).collect::<Result<_, _>>()?;
    Ok(Known { clients, changing })
}
