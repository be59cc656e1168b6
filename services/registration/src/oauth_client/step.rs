//! What is to be done next for an OAuth client: the difference between what is wanted and what is there. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_eventstore::clock::ClockReading;
use uuid::Uuid;

use super::grant::{Access, Grant, Standing};
use super::state::{Link, Live, OauthClient, OperationKind, Wanted};

/// How much of a request the client is to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// All that it asks for.
    All,
    /// What the client has for it since an earlier revision.
    Kept,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing is at the provider: register a client that is this.
    Register(Wanted),
    /// An attempt to register has no outcome: find out.
    Reconcile,
    /// Make the client this. Also where an update has no outcome.
    Update(Wanted),
    /// Give the client a new secret.
    Rotate,
    /// Delete the client: nothing is wanted of it, or another one.
    Delete,
    /// Give notice that the secret expires. Network only where it is rotated.
    Notice {
        /// How many days are left.
        days_left: u32,
    },
    /// End the secret before the last rotation.
    Retire,
    /// Erase what is secret of a client that is gone. No network.
    Forget,
    /// Wait until this time, because an attempt failed.
    Wait(Timestamp),
    /// The provider takes no registrations.
    Paused,
    /// Nothing, until something happens.
    Idle,
}

impl OauthClient {
    /// What is to be done next.
    #[must_use]
    pub fn next_step(&self, at: impl Into<ClockReading>) -> Step {
        let at = at.into();
        if let Some(days_left) = self.due_notice(at.now) {
            return Step::Notice { days_left };
        }
        if self.retires_secret(at.now) {
            return Step::Retire;
        }
        match self.provider_work() {
            Some(_) if self.is_parked() => Step::Idle,
            Some(_) if self.waits_for_provider() => Step::Paused,
            Some(work) => match self.pause(at) {
                Some(until) => Step::Wait(until),
                None => work,
            },
            None if self.secrets_left && self.link == Link::None => Step::Forget,
            None => Step::Idle,
        }
    }

    /// When there is something to do; `None`: not before something happens.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let work = match self.next_step(Timestamp::MIN) {
            Step::Wait(until) => Some(until),
            Step::Paused | Step::Idle => None,
            Step::Register(_)
            | Step::Reconcile
            | Step::Update(_)
            | Step::Rotate
            | Step::Delete
            | Step::Notice { .. }
            | Step::Retire
            | Step::Forget => Some(Timestamp::UNIX_EPOCH),
        };
        work.into_iter().chain(self.next_date()).min()
    }

    /// What the client is to be; `None`: it is not to be.
    #[must_use]
    pub fn wanted(&self) -> Option<Wanted> {
        let mut grants = self.considered().peekable();
        grants.peek()?;
        let mut wanted = Wanted {
            profile: self.application.profile,
            suspended: true,
            ..Wanted::default()
        };
        let live = self.live();
        for (_, grant, share) in grants {
            // A suspended request keeps what the client has for it, and asks for nothing new.
            let asks = grant.is_granted() && share == Share::All;
            let has = |live: &Live| live.applied.client_type_ids.contains(&grant.client_type_id);
            if asks || live.is_some_and(has) {
                wanted.client_type_ids.insert(grant.client_type_id);
            }
            if !grant.is_granted() || self.application.suspended {
                continue;
            }
            match (share, live) {
                (Share::All, _) => {
                    wanted.suspended = false;
                    wanted.scopes.extend(grant.scopes.iter().cloned());
                }
                // A client that is switched off stays so, for this revision has done nothing yet.
                (Share::Kept, Some(live)) => {
                    wanted.suspended &= live.applied.suspended;
                    let kept = live.granted_scopes();
                    let kept = grant.scopes.intersection(&kept).cloned();
                    wanted.scopes.extend(kept);
                }
                (Share::Kept, None) => {}
            }
        }
        Some(wanted)
    }

    /// The client type of the request that came first: decides how the client authenticates.
    #[must_use]
    pub fn first_client_type(&self) -> Option<Uuid> {
        self.considered()
            .filter(|(_, grant, _)| grant.is_granted())
            .min_by_key(|(_, grant, _)| grant.order)
            .map(|(_, grant, _)| grant.client_type_id)
    }

    /// What is to be done at the provider, now or later.
    pub(super) fn provider_work(&self) -> Option<Step> {
        let wanted = self.wanted();
        let live = match &self.link {
            // What is suspended before it was registered waits.
            Link::None => return wanted.filter(|w| !w.suspended).map(Step::Register),
            Link::Intended(_) => return Some(Step::Reconcile),
            Link::Live(live) => live,
        };
        match (live.operation.as_ref().map(|o| &o.kind), wanted) {
            (Some(OperationKind::Rotate { .. }), _) => Some(Step::Rotate),
            (_, None) => Some(Step::Delete),
            (_, Some(wanted)) if self.replacing && !wanted.suspended => Some(Step::Delete),
            // Also after a deletion without an outcome: the update finds out whether the client is there.
            (Some(_), Some(wanted)) => Some(Step::Update(wanted)),
            (None, Some(wanted)) => {
                // Scopes of a lost update that nobody wants any more may be there.
                let left_over = !live.perhaps.is_subset(&wanted.scopes);
                // Who waits for a client that can get no token has it asked for once more.
                let unusable = live.answer.unusable.is_some() && self.uncovered().next().is_some();
                (live.drifted || left_over || unusable || wanted != live.applied)
                    .then_some(Step::Update(wanted))
            }
        }
    }

    /// Just this was refused for good.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        let Some(refused) = &self.refused else {
            return false;
        };
        match &self.link {
            Link::Intended(_) => true,
            Link::Live(live) if live.is_rotating() => false,
            Link::None | Link::Live(_) => refused.wanted == self.wanted(),
        }
    }

    /// A registration waits until the provider takes some again.
    pub(super) fn waits_for_provider(&self) -> bool {
        let registers = || match self.provider_work() {
            Some(Step::Register(_) | Step::Reconcile) => true,
            Some(_) | None => false,
        };
        self.paused.is_some() && registers()
    }

    /// Granted requests that lack an answer, and that this attempt is for.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        let tried = self
            .considered()
            .filter(|(_, grant, share)| grant.is_granted() && *share == Share::All);
        tried
            .map(|(id, grant, _)| (id, grant))
            .filter(|(_, grant)| {
                let settled = grant.standing == Standing::Done && self.covers(grant);
                !settled && !self.application.suspended
            })
    }

    /// Waiting requests that lack something at the provider.
    pub(super) fn uncovered(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        self.waiting().filter(|(_, grant)| !self.covers(grant))
    }

    /// Whether the client has everything that the request asks for, and keeps it whatever is under way. A request that is not
    /// done yet also needs a client that can get a token.
    pub(super) fn covers(&self, grant: &Grant) -> bool {
        let is_in = |wanted: &Wanted| {
            !wanted.suspended
                && wanted.client_type_ids.contains(&grant.client_type_id)
                && grant.scopes.is_subset(&wanted.scopes)
        };
        self.live().is_some_and(|live| {
            is_in(&live.applied)
                && (grant.standing == Standing::Done || live.answer.unusable.is_none())
                && match live.operation.as_ref().map(|operation| &operation.kind) {
                    Some(OperationKind::Update { wanted, .. }) => is_in(wanted),
                    Some(OperationKind::Delete) => false,
                    Some(OperationKind::Rotate { .. }) | None => true,
                }
        })
    }

    /// Suspended and revoked requests of which something may be left.
    pub(super) fn to_take_away(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        self.grants
            .iter()
            .filter(|(_, grant)| !grant.is_granted() && grant.standing != Standing::Done)
            .map(|(id, grant)| (*id, grant))
    }

    /// Whether nothing of a suspended or revoked request is left at the provider, save for what others need.
    pub(super) fn is_released(&self, grant: &Grant) -> bool {
        let live: &Live = match &self.link {
            Link::None => return true,
            Link::Intended(_) => return false,
            Link::Live(live) => live,
        };
        let Some(wanted) = self.wanted() else {
            return false;
        };
        let no_longer: BTreeSet<String> =
            grant.scopes.difference(&wanted.scopes).cloned().collect();
        let switched = live.applied.suspended == wanted.suspended;
        switched && no_longer.is_disjoint(&live.own_scopes())
    }

    /// The requests that the client is to serve now. One whose present revision was refused, or is not tried yet, keeps
    /// what the client has for it: a change that fails must not take working credentials away.
    fn considered(&self) -> impl Iterator<Item = (Uuid, &Grant, Share)> {
        let only = self.one_at_a_time.then(|| self.oldest_waiting()).flatten();
        self.grants.iter().filter_map(move |(id, grant)| {
            let is_tried = || only.is_none_or(|only| only == *id) || self.application.suspended;
            let all = match (grant.access, &grant.standing) {
                (Access::Revoked, _) => return None,
                (Access::Granted, Standing::Failed(_)) => false,
                (Access::Granted, Standing::New | Standing::Started | Standing::Delayed) => {
                    is_tried()
                }
                (Access::Granted, Standing::Done) | (Access::Suspended, _) => true,
            };
            match (all, grant.served) {
                (true, _) => Some((*id, grant, Share::All)),
                (false, true) => Some((*id, grant, Share::Kept)),
                (false, false) => None,
            }
        })
    }

    fn oldest_waiting(&self) -> Option<Uuid> {
        self.grants
            .iter()
            .filter(|(_, grant)| {
                grant.is_granted() && grant.is_open() && !self.application.suspended
            })
            .min_by_key(|(_, grant)| grant.order)
            .map(|(id, _)| *id)
    }

    fn pause(&self, at: ClockReading) -> Option<Timestamp> {
        let until = self.delay.as_ref()?.next_try_at;
        at.is_before(until).then_some(until)
    }
}
