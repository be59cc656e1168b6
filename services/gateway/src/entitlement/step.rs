//! What is to be done next. Taking away comes first, and is never given up.

use jiff::Timestamp;
use portico_eventstore::clock::ClockReading;
use uuid::Uuid;

use super::keys::{Key, Link};
use super::state::{Entitlement, WantedState};

/// What the worker does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Bring the scopes at gateways to what is wanted up to this count.
    Map {
        asked: u64,
    },
    /// Find out at which gateways keys are needed.
    Place,
    /// Create a key.
    Make(Uuid),
    /// Find out what became of an attempt to create a key.
    Look(Uuid),
    /// Delete the key that was replaced.
    DeleteOld(Uuid),
    /// Delete a key.
    Delete(Uuid),
    /// Take a key that was shown out of the vault.
    Wipe(Uuid),
    /// Bring the policies of keys to what product and plan say.
    WritePolicies,
    /// Nothing is left of a revoked request's keys: tidy up.
    Finish,
    /// Nothing before that time.
    Wait(Timestamp),
    Idle,
}

impl Entitlement {
    /// The next step at that time.
    pub(crate) fn next_step(&self, at: impl Into<ClockReading>) -> Step {
        // Needs no gateway, so neither a pause nor a refusal stops it.
        if let Some(id) = self.find(|key| {
            key.made()
                .is_some_and(|made| made.kept && made.revealed_at.is_some())
        }) {
            return Step::Wipe(id);
        }
        let step = self.work();
        if step == Step::Idle || self.is_parked() {
            return Step::Idle;
        }
        match &self.delay {
            Some(delay) if at.into().is_before(delay.next_try_at) => Step::Wait(delay.next_try_at),
            _ => step,
        }
    }

    /// When there is something to do; none: not before something happens.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        match self.next_step(Timestamp::MIN) {
            Step::Idle => None,
            Step::Wait(until) => Some(until),
            Step::Map { .. }
            | Step::Place
            | Step::Make(_)
            | Step::Look(_)
            | Step::DeleteOld(_)
            | Step::Delete(_)
            | Step::Wipe(_)
            | Step::WritePolicies
            | Step::Finish => Some(Timestamp::UNIX_EPOCH),
        }
    }

    /// Whether something is to be done at a gateway, now or later.
    pub(super) fn has_work(&self) -> bool {
        self.work() != Step::Idle
    }

    pub(super) fn work(&self) -> Step {
        if !self.gives_keys() {
            let asked = self.mapping.asked;
            return if asked > self.mapping.done {
                Step::Map { asked }
            } else {
                Step::Idle
            };
        }
        let unwanted = |key: &Key| !self.is_wanted() || !key.needed;
        // Unfinished attempts first, or a live key could be left that nobody knows.
        if let Some(id) = self.find(|key| key.link == Link::Intended) {
            return Step::Look(id);
        }
        if let Some(id) = self.find(|key| key.made().is_some() && unwanted(key)) {
            return Step::Delete(id);
        }
        let replaced = |key: &Key| key.old.is_some() && (unwanted(key) || key.made().is_some());
        if let Some(id) = self.find(replaced) {
            return Step::DeleteOld(id);
        }
        if self.is_wanted() {
            return self.making();
        }
        let revoked = self.state() == Some(WantedState::Revoked);
        if revoked && !self.keys.finished && !self.keys.by_id.is_empty() {
            return Step::Finish;
        }
        Step::Idle
    }

    fn making(&self) -> Step {
        if !self.keys.placed {
            return Step::Place;
        }
        if let Some(id) = self.find(|key| key.needed && key.link == Link::None) {
            return Step::Make(id);
        }
        if self.keys.outdated {
            return Step::WritePolicies;
        }
        // Last, because it fails: the other products have what they need.
        if self.lacks_api() {
            return Step::Place;
        }
        Step::Idle
    }

    fn find(&self, is: impl Fn(&Key) -> bool) -> Option<Uuid> {
        let found = self.keys.by_id.iter().find(|(_, key)| is(key));
        found.map(|(id, _)| *id)
    }
}
