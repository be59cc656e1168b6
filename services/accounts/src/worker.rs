//! Forgets sessions that ended and failures to sign in that are over, and finishes erasures that a crash interrupted after their event.

use std::time::Duration;

use portico_eventstore::EventStore;
use portico_proto::Error;
use portico_runtime::{Deps, query_error};

use crate::{limits, people::People, sessions, views};

/// How often.
const PERIOD: Duration = Duration::from_mins(10);

/// Once at the start, then every ten minutes, until shutdown. Failures are logged and tried again.
pub(crate) async fn run(deps: Deps, store: EventStore, people: People) {
    loop {
        if let Err(error) = tidy(&deps, &store, &people).await {
            tracing::warn!(%error, "housekeeping will be tried again");
        }
        tokio::select! {
            () = deps.shutdown.cancelled() => return,
            () = deps.clock.sleep(PERIOD) => {}
        }
    }
}

async fn tidy(deps: &Deps, store: &EventStore, people: &People) -> Result<(), Error> {
    let pool = store.database().pool();
    for user_id in views::half_erased(pool).await.map_err(query_error)? {
        people.erase(user_id).await?;
        tracing::info!(%user_id, "erasure of user {user_id} finished");
    }
    let ended = sessions::delete_ended(pool, &deps.config.session, deps.clock.now())
        .await
        .map_err(query_error)?;
    limits::forget(pool, deps.clock.now())
        .await
        .map_err(query_error)?;
    tracing::debug!(sessions = ended, "{ended} sessions that ended deleted");
    Ok(())
}
