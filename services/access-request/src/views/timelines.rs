//! The timelines of the requests that changed last. Each event adds to one, which would be read from the view otherwise, in
//! the middle of the append.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hashlink::LruCache;
use jiff::Timestamp;
use portico_eventstore::{
    ProjectionError, Tx,
    rows::{id, json},
    sqlx::Row as _,
};
use uuid::Uuid;

use super::{
    access_requests::{RequestChange, TABLE},
    timeline::Entry,
};

/// Requests whose timeline is remembered, at most.
const REMEMBERED: usize = 512;

/// A timeline, and id and time of its newest event. An append that failed may leave one here. What becomes of the same
/// command at another try has the same id and time: it takes the place of that, or the timeline is forgotten.
type Known = ((Uuid, Timestamp), Vec<Entry>);

pub(super) struct Timelines(Mutex<LruCache<Uuid, Known>>);

impl Default for Timelines {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl Timelines {
    fn lock(&self) -> MutexGuard<'_, LruCache<Uuid, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the timelines of the requests were before the change.
    pub(super) async fn before(
        &self,
        tx: &mut Tx,
        requests: &[RequestChange<'_>],
    ) -> Result<HashMap<Uuid, Vec<Entry>>, ProjectionError> {
        let (mut timelines, mut others) = (HashMap::new(), Vec::new());
        for request in requests.iter().filter(|request| !request.is_new()) {
            match (self.lock().get(&request.id), request.previous) {
                (Some((newest, timeline)), Some(previous)) if *newest == previous => {
                    timelines.insert(request.id, timeline.clone());
                }
                _ => others.push(request.id),
            }
        }
        for row in TABLE.read(tx, "id, timeline", others).await? {
            timelines.insert(id(&row)?, json(row.try_get(1)?)?);
        }
        Ok(timelines)
    }

    /// Remembers what it is after the change, if it comes from the log alone: what a row said may be put right by a rebuild
    /// of which this process does not hear.
    pub(super) fn after(&self, request: &RequestChange<'_>, timeline: Vec<Entry>) {
        let newest = (request.last.id, request.last.recorded_at);
        let mut known = self.lock();
        let follows = |(before, _): &mut Known| request.previous == Some(*before);
        if request.is_new() || known.get_mut(&request.id).is_some_and(follows) {
            known.insert(request.id, (newest, timeline));
        } else {
            // Others have appended in between, so what is here may be of a try that came too late.
            known.remove(&request.id);
        }
    }
}
