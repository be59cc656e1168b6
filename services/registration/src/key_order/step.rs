//! What is to be done next. Taking away comes first, and is never given up.

use jiff::Timestamp;
use uuid::Uuid;

use super::state::{Key, KeyOrder, Link, Said, Stage};
use crate::moment::Moment;

/// What the worker does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Find out at which gateways keys are needed.
    Place,
    /// Create a key.
    Make(Uuid),
    /// Find out what became of an attempt.
    Look(Uuid),
    /// Delete the key that was replaced.
    DeleteOld(Uuid),
    /// Delete a key.
    Delete(Uuid),
    /// Take a key that was shown out of the vault.
    Wipe(Uuid),
    /// Bring the policies to what product and plan say.
    WritePolicies,
    /// Say that every key is there.
    Announce,
    /// Nothing is left: tidy up, and say so.
    Finish,
    /// Nothing before that time.
    Wait(Timestamp),
    /// Nothing.
    Idle,
}

impl KeyOrder {
    /// The next step at that time.
    pub(crate) fn next_step(&self, at: impl Into<Moment>) -> Step {
        // Needs no gateway.
        if let Some(id) = self.find(|key| {
            key.made()
                .is_some_and(|m| m.kept && m.revealed_at.is_some())
        }) {
            return Step::Wipe(id);
        }
        let step = self.work();
        if step == Step::Idle {
            return step;
        }
        if self.is_parked() {
            return Step::Idle;
        }
        match &self.delay {
            Some(delay) if at.into().is_before(delay.next_try_at) => Step::Wait(delay.next_try_at),
            _ => step,
        }
    }

    /// When there is something to do; none: nothing.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        match self.next_step(Timestamp::MIN) {
            Step::Idle => None,
            Step::Wait(until) => Some(until),
            _ => Some(Timestamp::UNIX_EPOCH),
        }
    }

    fn work(&self) -> Step {
        let wanted = self.is_wanted();
        let unwanted = |key: &Key| !wanted || !key.needed;
        // A key that nobody can use any more must not be found by nobody.
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
        if wanted {
            return self.making();
        }
        if self.stage == Stage::Withdrawn && self.is_untold(Said::Deprovisioned) {
            return Step::Finish;
        }
        Step::Idle
    }

    fn making(&self) -> Step {
        if !self.placed {
            return Step::Place;
        }
        if let Some(id) = self.find(|key| key.needed && key.link == Link::None) {
            return Step::Make(id);
        }
        if self.outdated {
            return Step::WritePolicies;
        }
        if self.is_untold(Said::Provisioned) {
            return Step::Announce;
        }
        Step::Idle
    }

    fn find(&self, is: impl Fn(&Key) -> bool) -> Option<Uuid> {
        let found = self.keys.iter().find(|(_, key)| is(key));
        found.map(|(id, _)| *id)
    }
}
