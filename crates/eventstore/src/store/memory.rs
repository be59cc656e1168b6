//! What a process remembers of its log: the newest events, and the folded states of the streams that were used last.
//!
//! Other replicas append to the same log, so what is remembered may be old. Where that matters the database is asked;
//! an append states the version that it expects, so a decision on an old state is never recorded.

use std::{
    any::Any,
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hashlink::LruCache;

use super::Loaded;
use crate::{Aggregate, RecordedEvent, Stream};

/// Events that are remembered, at most.
const EVENTS: usize = 512;
/// Streams whose state is remembered, at most.
const STATES: usize = 512;
/// How old a state may be for whoever does not need the newest.
const RECENT: Duration = Duration::from_secs(2);

/// A [`Loaded`] of a stream's aggregate.
pub(crate) type State = Arc<dyn Any + Send + Sync>;

/// Of the stream of an append.
#[derive(Clone)]
pub(crate) struct States {
    pub(crate) before: State,
    pub(crate) after: State,
}

/// The memory of one store. Clones are the same.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Mutex<Remembered>>);

struct Remembered {
    /// Without a gap between the first and the last.
    events: VecDeque<RecordedEvent>,
    states: LruCache<String, Known>,
}

struct Known {
    version: i64,
    /// When it was the newest.
    at: Instant,
    /// None where only the version is known.
    loaded: Option<State>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Remembered {
            events: VecDeque::with_capacity(EVENTS),
            states: LruCache::new(STATES),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what this process has committed to a stream, and the state after it. States from before are not learned
    /// any more.
    pub(crate) fn committed(&self, events: &[RecordedEvent], after: Option<State>) {
        let mut memory = self.lock();
        if let Some(last) = events.last() {
            let known = Known {
                version: last.version,
                at: Instant::now(),
                loaded: after,
            };
            memory.states.insert(last.stream.clone(), known);
        }
        for event in events {
            // Another replica has appended in between.
            if memory
                .events
                .back()
                .is_some_and(|last| last.position + 1 != event.position)
            {
                memory.events.clear();
            }
            if memory.events.len() == EVENTS {
                memory.events.pop_front();
            }
            memory.events.push_back(event.clone());
        }
    }

    pub(crate) fn forget(&self) {
        let mut memory = self.lock();
        memory.events.clear();
        memory.states.clear();
    }

    /// What `pick` takes of the events after a position; `None` where the next one is not remembered.
    pub(crate) fn after<T>(
        &self,
        position: i64,
        limit: usize,
        pick: impl FnMut(&RecordedEvent) -> T,
    ) -> Option<Vec<T>> {
        let memory = self.lock();
        let first = memory.events.front()?.position;
        let skip = usize::try_from(position + 1 - first).ok()?;
        let events = memory.events.range(skip.min(memory.events.len())..);
        let picked: Vec<T> = events.take(limit).map(pick).collect();
        (!picked.is_empty()).then_some(picked)
    }

    /// The newest state that this process has seen.
    pub(crate) fn state<A: Aggregate>(&self, stream: &Stream) -> Option<Arc<Loaded<A>>> {
        let loaded = self.lock().states.get(stream.as_str())?.loaded.clone();
        loaded?.downcast().ok()
    }

    /// As [`state`](Self::state), where it was the newest a moment ago.
    pub(crate) fn recent<A: Aggregate>(&self, stream: &Stream) -> Option<Arc<Loaded<A>>> {
        let is_recent = |known: &Known| known.at.elapsed() < RECENT;
        let is_recent = self
            .lock()
            .states
            .peek(stream.as_str())
            .is_some_and(is_recent);
        is_recent.then(|| self.state(stream)).flatten()
    }

    /// Remembers a state, unless a newer one is known.
    pub(crate) fn learn<A: Aggregate>(&self, stream: &Stream, loaded: &Loaded<A>) {
        let mut memory = self.lock();
        let version = loaded.version;
        let is_news = |known: &mut Known| known.version <= version;
        if version > 0 && memory.states.get_mut(stream.as_str()).is_none_or(is_news) {
            let known = Known {
                version,
                at: Instant::now(),
                loaded: Some(Arc::new(loaded.clone())),
            };
            memory.states.insert(stream.as_str().to_owned(), known);
        }
    }
}
