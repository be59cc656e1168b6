//! What is to be done next for an OAuth client: the difference between what is wanted and what is there. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::event::{Target, Wanted, gateways};
use super::state::{Grant, Link, OauthClient, OperationKind, Stage};
use crate::moment::Moment;

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
    /// Say that the secret ends. Network only where it is rotated.
    Notice {
        /// How many days are left.
        days_left: u32,
    },
    /// End the secret before the last rotation.
    Retire,
    /// Write these gateways.
    Map {
        /// Which ones.
        gateway_ids: Vec<String>,
        /// What is wanted up to now.
        revision: u64,
    },
    /// Requests have come to their end: say so. No network.
    Announce,
    /// A try failed.
    Wait(Timestamp),
    /// The provider takes no registrations.
    Paused,
    /// Nothing, until something happens.
    Idle,
}

impl OauthClient {
    /// What is to be done next.
    #[must_use]
    pub fn next_step(&self, at: impl Into<Moment>) -> Step {
        let at = at.into();
        if self.finished().next().is_some() {
            return Step::Announce;
        }
        if let Some(days_left) = self.due_notice(at.now) {
            return Step::Notice { days_left };
        }
        if self.retires_secret(at.now) {
            return Step::Retire;
        }
        let work = self.provider_work();
        let settled = work.is_none();
        let (mut wait, mut paused) = (None, false);
        match work {
            Some(_) if self.is_parked() => {}
            Some(Step::Register(_) | Step::Reconcile) if self.held.is_some() => paused = true,
            Some(work) => match self.pause(Target::Provider, at) {
                None => return work,
                until => wait = until,
            },
            None => {}
        }
        if self.mapping_is_due(settled) {
            match self.pause(Target::Gateway, at) {
                None => {
                    return Step::Map {
                        gateway_ids: self.unmapped.keys().cloned().collect(),
                        revision: self.revision,
                    };
                }
                until => wait = wait.into_iter().chain(until).min(),
            }
        }
        match wait {
            Some(until) => Step::Wait(until),
            None if paused => Step::Paused,
            None => Step::Idle,
        }
    }

    /// When there is something to do; `None`: not before something happens.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let work = match self.next_step(Timestamp::MIN) {
            Step::Wait(until) => Some(until),
            Step::Paused | Step::Idle => None,
            _ => Some(Timestamp::UNIX_EPOCH),
        };
        work.into_iter().chain(self.next_date()).min()
    }

    /// What the client is to be; `None`: it is not to be.
    #[must_use]
    pub fn wanted(&self) -> Option<Wanted> {
        let mut grants = self.considered().peekable();
        grants.peek()?;
        let mut wanted = Wanted {
            name: self.application.name.clone(),
            redirect_urls: self.application.redirect_urls.clone(),
            ..Wanted::default()
        };
        wanted.suspended = true;
        for (id, grant) in grants {
            wanted.client_type_ids.insert(grant.client_type_id);
            if !self.is_suspended(id) {
                wanted.suspended = false;
                wanted.scopes.extend(grant.scopes());
            }
        }
        Some(wanted)
    }

    /// The client type of the request that came first: decides how the client authenticates.
    #[must_use]
    pub fn first_client_type(&self) -> Option<Uuid> {
        self.considered()
            .min_by_key(|(_, grant)| grant.order)
            .map(|(_, grant)| grant.client_type_id)
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
                (live.drifted || wanted != live.applied).then_some(Step::Update(wanted))
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
            Link::Live(live)
                if live.operation.as_ref().is_some_and(|operation| {
                    matches!(operation.kind, OperationKind::Rotate { .. })
                }) =>
            {
                false
            }
            Link::None | Link::Live(_) => refused.wanted == self.wanted(),
        }
    }

    /// Requests that wait and that this attempt is for.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        self.considered()
            .filter(|(id, grant)| grant.stage == Stage::Waiting && !self.is_suspended(*id))
    }

    /// Whether the client has everything that the request asked for.
    pub(super) fn covers(&self, grant: &Grant) -> bool {
        self.live().is_some_and(|live| {
            live.applied.client_type_ids.contains(&grant.client_type_id)
                && grant.scopes().is_subset(&live.applied.scopes)
        })
    }

    /// Requests that need the gateways to be written.
    pub fn mapping_requests(&self) -> impl Iterator<Item = Uuid> {
        let mappable = self.mappable();
        mappable.chain(self.withdrawn()).map(|(id, _)| id)
    }

    /// Requests that have everything at the provider, and not yet at the gateways.
    pub(super) fn mappable(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        let covered = self.waiting().filter(|(_, grant)| self.covers(grant));
        let outdated = self
            .considered()
            .filter(|(_, grant)| grant.stage == Stage::Active && grant.outdated);
        covered.chain(outdated)
    }

    /// Requests that have come to their end, without it being said yet.
    pub(super) fn finished(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        let provisioned = self
            .waiting()
            .filter(|(_, grant)| self.covers(grant) && self.is_mapped(grant));
        let deprovisioned = self
            .withdrawn()
            .filter(|(_, grant)| self.is_released(grant) && self.is_mapped(grant));
        provisioned.chain(deprovisioned)
    }

    /// Revoked requests of which something may be left.
    pub(super) fn withdrawn(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        self.grants
            .iter()
            .filter(|(_, grant)| grant.stage == Stage::Withdrawn)
            .map(|(id, grant)| (*id, grant))
    }

    /// Whether nothing of a revoked request is left at the provider.
    pub(super) fn is_released(&self, grant: &Grant) -> bool {
        let live = match &self.link {
            Link::None => return true,
            Link::Intended(_) => return false,
            Link::Live(live) => live,
        };
        let Some(wanted) = self.wanted() else {
            return false;
        };
        let no_longer: BTreeSet<String> =
            grant.scopes().difference(&wanted.scopes).cloned().collect();
        let may_have = match live.operation.as_ref().map(|operation| &operation.kind) {
            Some(OperationKind::Update { wanted, .. }) => Some(&wanted.scopes),
            _ => None,
        };
        no_longer.is_disjoint(&live.applied.scopes)
            && may_have.is_none_or(|scopes| no_longer.is_disjoint(scopes))
    }

    fn is_mapped(&self, grant: &Grant) -> bool {
        gateways(&grant.items)
            .iter()
            .all(|gateway| !self.unmapped.contains_key(gateway))
    }

    fn mapping_is_due(&self, settled: bool) -> bool {
        !self.unmapped.is_empty()
            && (settled || self.withdrawn().next().is_some() || self.mappable().next().is_some())
    }

    /// The requests that the client is to serve now.
    fn considered(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        let only = self.one_at_a_time.then(|| self.oldest_waiting()).flatten();
        self.grants
            .iter()
            .map(|(id, grant)| (*id, grant))
            .filter(move |(id, grant)| match &grant.stage {
                Stage::Waiting => only.is_none_or(|only| only == *id) || self.is_suspended(*id),
                Stage::Active | Stage::Failed { .. } => grant.is_wanted(),
                Stage::Withdrawn => false,
            })
    }

    fn oldest_waiting(&self) -> Option<Uuid> {
        self.grants
            .iter()
            .filter(|(id, grant)| grant.stage == Stage::Waiting && !self.is_suspended(**id))
            .min_by_key(|(_, grant)| grant.order)
            .map(|(id, _)| *id)
    }

    fn pause(&self, target: Target, at: Moment) -> Option<Timestamp> {
        let until = self.delay(target)?.next_try_at;
        at.is_before(until).then_some(until)
    }
}
