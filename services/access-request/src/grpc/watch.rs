//! The live stream of changes: read from the log, so that it resumes at any position and misses nothing. A cursor
//! is a position.

use std::{collections::VecDeque, time::Duration};

use futures::{Stream, stream};
use portico_eventstore::{EventStore, RecordedEvent, StoreError, sqlx};
use portico_proto::{Error, access::v1::AccessRequestChange};
use portico_runtime::{Caller, Clock, query_error, store_error};
use sqlx::Row as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{Grpc, answer, may_see};
use crate::{
    access_request::AccessRequest,
    views::{access_requests, timeline},
};

/// Events read at once.
const PAGE: i64 = 256;
/// How often to look for what other replicas appended.
const POLL: Duration = Duration::from_secs(1);

struct Watch {
    grpc: Grpc,
    caller: Caller,
    cursor: i64,
    ahead: VecDeque<RecordedEvent>,
    head: watch::Receiver<i64>,
    clock: Clock,
    shutdown: CancellationToken,
}

/// Where a stream begins: after the cursor, or now.
pub(crate) async fn start(store: &EventStore, after: &str) -> Result<i64, Error> {
    if after.is_empty() {
        // What this process wrote is not all there may be.
        let row = sqlx::query("SELECT COALESCE(MAX(position), 0) FROM events")
            .fetch_one(store.database().pool())
            .await
            .map_err(query_error)?;
        return row.try_get(0).map_err(query_error);
    }
    match after.parse() {
        Ok(position) if position >= 0 => Ok(position),
        _ => Err(Error::field(
            "after",
            "cursor_invalid",
            "`after` must be the `cursor` of the last change seen, `0` for the beginning, or empty for now.",
        )),
    }
}

/// The changes after a position that the caller may see, until the process ends: with unavailable, as there is more to
/// come, and who watches has to come back with the last cursor.
pub(crate) fn changes(
    grpc: Grpc,
    caller: Caller,
    cursor: i64,
) -> impl Stream<Item = Result<AccessRequestChange, Status>> + Send + 'static {
    let watch = Watch {
        caller,
        cursor,
        ahead: VecDeque::new(),
        head: grpc.store.head(),
        clock: grpc.deps.clock.clone(),
        shutdown: grpc.deps.shutdown.clone(),
        grpc,
    };
    stream::try_unfold(watch, |mut watch| async move {
        let change = watch.next().await?;
        Ok(Some((change, watch)))
    })
}

fn stopping() -> Error {
    let message =
        "This replica is stopping; connect again with the cursor of the last change seen.";
    Error::unavailable("stopping", message)
}

impl Watch {
    async fn next(&mut self) -> Result<AccessRequestChange, Error> {
        loop {
            while let Some(event) = self.ahead.pop_front() {
                self.cursor = event.position;
                if let Some(change) = self.change(&event).await? {
                    return Ok(change);
                }
            }
            // Marks the head as seen before reading, so that no append between is slept over.
            self.head.borrow_and_update();
            self.ahead = self
                .grpc
                .store
                .read(self.cursor, PAGE)
                .await
                .map_err(store_error)?
                .into();
            if !self.ahead.is_empty() {
                continue;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Err(stopping()),
                () = self.clock.sleep(POLL) => {}
                changed = self.head.changed() => if changed.is_err() {
                    return Err(store_error(StoreError::Closed));
                }
            }
        }
    }

    async fn change(&self, event: &RecordedEvent) -> Result<Option<AccessRequestChange>, Error> {
        let Some(happened) = event.decode::<AccessRequest>().map_err(store_error)? else {
            return Ok(None);
        };
        let pool = self.grpc.store.database().pool();
        let row = access_requests::find(pool, event.stream_id())
            .await
            .map_err(query_error)?;
        let Some(row) = row.filter(|row| may_see(&self.caller, row.state.submission.requester_id))
        else {
            return Ok(None);
        };
        let Some(entry) = timeline::entry(&happened, event, &row.state) else {
            return Ok(None);
        };
        let access_request = answer::access_request(&self.grpc.notes, row).await?;
        Ok(Some(AccessRequestChange {
            cursor: event.position.to_string(),
            step: entry.step.into(),
            access_request: Some(access_request),
        }))
    }
}
