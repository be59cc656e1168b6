//! Housekeeping: finishes erasures that a crash interrupted after their event.

use std::time::Duration;

use portico_eventstore::EventStore;
use portico_proto::Error;
use portico_runtime::{Deps, query_error};

use crate::{people::People, views};

const PERIOD: Duration = Duration::from_mins(10);

/// Runs at the start and then every ten minutes until shutdown. A failure is logged; the next round tries again.
pub(crate) async fn run(deps: Deps, store: EventStore, people: People) {
    loop {
        if let Err(error) = tidy(&store, &people).await {
            tracing::warn!(%error, "housekeeping failed, trying again later");
        }
        tokio::select! {
            () = deps.shutdown.cancelled() => return,
            () = deps.clock.sleep(PERIOD) => {}
        }
    }
}

async fn tidy(store: &EventStore, people: &People) -> Result<(), Error> {
    let pool = store.database().pool();
    for user_id in views::half_erased(pool).await.map_err(query_error)? {
        people.erase(user_id).await?;
        tracing::info!(%user_id, "finished the erasure of user {user_id}");
    }
    Ok(())
}
