//! What waits for one consumer. Time is a parameter here; waiting is done by the deliveries.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::faults::Faults;
use crate::{ConsumerSpec, Message, Waiting};

/// Counts the consumers that have not acknowledged a message yet; tells its receipt after the last one.
pub(super) struct Outstanding {
    left: AtomicUsize,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

impl Outstanding {
    pub(super) fn new(consumers: usize, done: oneshot::Sender<()>) -> Self {
        Self {
            left: AtomicUsize::new(consumers),
            done: Mutex::new(Some(done)),
        }
    }

    fn acknowledge(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = self
                .done
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        {
            // The relay may have stopped waiting.
            let _ = done.send(());
        }
    }
}

struct Entry {
    message: Arc<Message>,
    published: Instant,
    /// Deliveries so far, lost ones included.
    attempt: u32,
    /// When it becomes ready (again); `None` while it is ready.
    due: Option<Instant>,
    /// Absent for the second copy of a duplicate, which nobody waits for.
    receipt: Option<Arc<Outstanding>>,
}

/// A delivery that was taken from the queue and is to be settled by `id`.
pub(super) struct Taken {
    pub(super) id: u64,
    pub(super) message: Arc<Message>,
    pub(super) attempt: u32,
}

/// Messages of one consumer, from publishing to acknowledgement.
pub(super) struct Queue {
    name: &'static str,
    subjects: HashSet<&'static str>,
    next_id: u64,
    entries: HashMap<u64, Entry>,
    /// May hold ids that were acknowledged or postponed meanwhile; they are skipped when taken.
    ready: VecDeque<u64>,
    /// Delayed messages and deliveries whose ack wait is running.
    later: BTreeSet<(Instant, u64)>,
    /// Wakes one of the waiting deliveries after a change.
    pub(super) changed: Arc<Notify>,
}

impl Queue {
    pub(super) fn new(spec: &ConsumerSpec) -> Self {
        Self {
            name: spec.name,
            subjects: spec.subjects.iter().copied().collect(),
            next_id: 0,
            entries: HashMap::new(),
            ready: VecDeque::new(),
            later: BTreeSet::new(),
            changed: Arc::new(Notify::new()),
        }
    }

    /// Takes over the subjects of a repeated declaration; what is queued stays queued.
    pub(super) fn redeclare(&mut self, spec: &ConsumerSpec) {
        self.subjects = spec.subjects.iter().copied().collect();
    }

    /// What is not acknowledged yet, second copies of duplicates included.
    pub(super) fn waiting(&self, subjects: &[&'static str], now: Instant) -> Vec<Waiting> {
        let of = |subject: &'static str| {
            let all = self.entries.values();
            let published = all.filter(|entry| entry.message.subject == subject);
            let published: Vec<Instant> = published.map(|entry| entry.published).collect();
            let oldest = published.iter().min();
            Waiting {
                subject,
                messages: Some(published.len() as u64),
                oldest: oldest.map_or(Duration::ZERO, |at| now.duration_since(*at)),
            }
        };
        subjects.iter().copied().map(of).collect()
    }

    pub(super) fn wants(&self, subject: &str) -> bool {
        self.subjects.contains(subject)
    }

    pub(super) fn push(
        &mut self,
        message: &Arc<Message>,
        receipt: &Arc<Outstanding>,
        now: Instant,
        faults: &Faults,
    ) {
        let fate = faults.fate(self.name, self.next_id);
        self.insert(message, Some(Arc::clone(receipt)), now, fate.delay);
        if fate.duplicate {
            let delay = faults.fate(self.name, self.next_id).delay;
            self.insert(message, None, now, delay);
        }
        self.changed.notify_one();
    }

    fn insert(
        &mut self,
        message: &Arc<Message>,
        receipt: Option<Arc<Outstanding>>,
        now: Instant,
        delay: Duration,
    ) {
        let id = self.next_id;
        self.next_id += 1;
        let due = (!delay.is_zero()).then(|| now + delay);
        match due {
            Some(due) => {
                self.later.insert((due, id));
            }
            None => self.ready.push_back(id),
        }
        let entry = Entry {
            message: Arc::clone(message),
            published: now,
            attempt: 0,
            due,
            receipt,
        };
        self.entries.insert(id, entry);
    }

    /// The next delivery, whose ack wait begins now.
    pub(super) fn take(
        &mut self,
        now: Instant,
        ack_wait: Duration,
        faults: &Faults,
    ) -> Option<Taken> {
        self.ripen(now);
        while let Some(id) = self.ready.pop_front() {
            let Some(entry) = self
                .entries
                .get_mut(&id)
                .filter(|entry| entry.due.is_none())
            else {
                continue;
            };
            entry.attempt += 1;
            let taken = Taken {
                id,
                message: Arc::clone(&entry.message),
                attempt: entry.attempt,
            };
            self.postpone(id, now + ack_wait);
            if !faults.loses(self.name, id, taken.attempt) {
                return Some(taken);
            }
        }
        None
    }

    /// When [`Queue::take`] may give something without a further change.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.later.first().map(|(due, _)| *due)
    }

    /// Acknowledges a delivery. A late acknowledgement of an earlier attempt counts as well.
    pub(super) fn ack(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        if let Some(due) = entry.due {
            self.later.remove(&(due, id));
        }
        if let Some(receipt) = entry.receipt {
            receipt.acknowledge();
        }
    }

    /// Delivers it again, not before `due`.
    pub(super) fn retry(&mut self, id: u64, due: Instant) {
        self.postpone(id, due);
        self.changed.notify_one();
    }

    fn postpone(&mut self, id: u64, due: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let Some(before) = entry.due.replace(due) {
            self.later.remove(&(before, id));
        }
        self.later.insert((due, id));
    }

    fn ripen(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.later.first()
            && due <= now
        {
            self.later.pop_first();
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.due = None;
                self.ready.push_back(id);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.later.is_empty() && self.ready.is_empty()
    }
}
