//! The live stream of changes: read from the log, so that it resumes at any position and misses nothing.
//!
//! A cursor is a position, with a mark of the event there: after a restore the log may have another event at the position,
//! or none yet, and who resumes must hear that what they know is of another log.

use std::{collections::VecDeque, fmt, time::Duration};

use futures::{Stream, stream};
use portico_eventstore::{EventStore, RecordedEvent, StoreError, rows::parsed, sqlx};
use portico_proto::{
    Error, Kind,
    access::{self, v1::AccessRequestChange},
};
use portico_runtime::{Caller, Clock, query_error, store_error};
use sqlx::{AnyPool, Row as _, any::AnyArguments};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    metadata::{Ascii, MetadataValue},
};
use uuid::Uuid;

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

/// A place in the log. Written as `<position>.<mark>`; the beginning is `0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) position: i64,
    mark: String,
}

impl Cursor {
    const BEGINNING: Self = Self {
        position: 0,
        mark: String::new(),
    };

    fn at(position: i64, id: Uuid) -> Self {
        // The end of an id is random, or a hash; its beginning may be the time.
        let (_, _, _, [.., a, b, c, d]) = id.as_fields();
        let mark = format!("{:08x}", u32::from_be_bytes([*a, *b, *c, *d]));
        Self { position, mark }
    }

    fn parse(text: &str) -> Option<Self> {
        let (position, mark) = text.split_once('.').unwrap_or((text, ""));
        let position = position.parse().ok().filter(|position| *position >= 0)?;
        let mark = mark.to_owned();
        Some(Self { position, mark })
    }

    /// For the header of the answer.
    pub(crate) fn metadata(&self) -> Result<MetadataValue<Ascii>, Error> {
        MetadataValue::try_from(self.to_string()).map_err(|_| Error::internal())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            0 => f.write_str("0"),
            position => write!(f, "{position}.{}", self.mark),
        }
    }
}

/// Where a stream begins: after the cursor, or now.
///
/// # Errors
/// `cursor_invalid`; `cursor_of_another_log`.
pub(crate) async fn start(store: &EventStore, after: &str) -> Result<Cursor, Error> {
    let pool = store.database().pool();
    if after.is_empty() {
        // What this process wrote is not all there may be.
        let newest = "SELECT position, id FROM events ORDER BY position DESC LIMIT 1";
        return Ok(cursor(sqlx::query(newest), pool)
            .await?
            .unwrap_or(Cursor::BEGINNING));
    }
    let given = Cursor::parse(after).ok_or_else(|| {
        Error::field(
            "after",
            "cursor_invalid",
            "`after` must be the `cursor` of the last change seen, `0` for the beginning, or empty for now.",
        )
    })?;
    if given == Cursor::BEGINNING {
        return Ok(given);
    }
    let there = sqlx::query("SELECT position, id FROM events WHERE position = $1");
    let there = cursor(there.bind(given.position), pool).await?;
    if there.as_ref() == Some(&given) {
        return Ok(given);
    }
    Err(Error::new(
        Kind::Conflict,
        access::CURSOR_OF_ANOTHER_LOG,
        "The portal was restored since this cursor was given. Read anew what you keep of it, and watch without a cursor.",
    ))
}

async fn cursor(
    query: sqlx::query::Query<'_, sqlx::Any, AnyArguments>,
    pool: &AnyPool,
) -> Result<Option<Cursor>, Error> {
    let row = query.fetch_optional(pool).await.map_err(query_error)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let position = row.try_get(0).map_err(query_error)?;
    let id: String = row.try_get(1).map_err(query_error)?;
    let id = parsed(&id).map_err(query_error)?;
    Ok(Some(Cursor::at(position, id)))
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
            cursor: Cursor::at(event.position, event.id).to_string(),
            step: entry.step.into(),
            access_request: Some(access_request),
        }))
    }
}
