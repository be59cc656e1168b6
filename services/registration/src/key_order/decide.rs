//! Which command is taken, and which refused. A command repeated gives no event.

use uuid::Uuid;

use super::command::{Command, Failing, Rejection};
use super::event::{Event, Place, Policies};
use super::marker;
use super::state::{Key, KeyOrder, Link, Made, Said, Stage};
use super::step::Step;

type Decided = Result<Vec<Event>, Rejection>;

impl KeyOrder {
    pub(super) fn decided(&self, command: &Command) -> Decided {
        match command {
            Command::Grant(granted) if self.items.is_empty() => {
                Ok(vec![Event::Granted(granted.clone())])
            }
            Command::Withdraw { application_id } if self.stage != Stage::Withdrawn => {
                Ok(vec![Event::Withdrawn {
                    application_id: *application_id,
                }])
            }
            Command::Retry if self.last_error().is_some() => Ok(vec![Event::Retried]),
            Command::Suspend { suspended, as_of } => Ok(self.suspend(*suspended, *as_of)),
            Command::ChangeApplication(application)
                if application.as_of > self.application.as_of =>
            {
                Ok(vec![Event::ApplicationChanged(application.clone())])
            }
            Command::FollowCatalogue(change) => {
                let concerned = self.stage == Stage::Granted
                    && self
                        .items
                        .iter()
                        .any(|item| change.applied_to(item).is_some());
                let event = concerned.then(|| Event::CatalogueChanged(change.clone()));
                Ok(event.into_iter().collect())
            }
            Command::Grant(_)
            | Command::Withdraw { .. }
            | Command::Retry
            | Command::ChangeApplication(_) => Ok(Vec::new()),
            Command::Reveal { key_id, at } => {
                let made = self.usable(*key_id)?;
                if made.revealed_at.is_some() {
                    return Err(Rejection::AlreadyRevealed);
                }
                Ok(vec![Event::Revealed {
                    key_id: *key_id,
                    attempt: made.attempt,
                    at: *at,
                }])
            }
            Command::Replace { key_id } => self.replace(*key_id),
            _ => self.worked(command),
        }
    }

    /// The worker's.
    fn worked(&self, command: &Command) -> Decided {
        match command {
            Command::Place { places } => self.placed(places),
            Command::Intend { key_id } => self.intend(*key_id),
            Command::Complete {
                key_id,
                attempt,
                hash,
                headers,
                at,
            } => {
                let key = self.attempted(*key_id, *attempt)?;
                Ok(vec![Event::Created {
                    key_id: *key_id,
                    attempt: *attempt,
                    hash: hash.clone(),
                    headers: headers.clone(),
                    at: *at,
                    replaces: key.old.is_some(),
                }])
            }
            Command::Undo { key_id, attempt } => {
                self.attempted(*key_id, *attempt)?;
                Ok(vec![Event::Undone {
                    key_id: *key_id,
                    attempt: *attempt,
                }])
            }
            Command::CompleteDelete { key_id, attempt } => self.deleted(*key_id, *attempt),
            Command::CompleteWipe { key_id, attempt } => {
                let kept = self
                    .key(*key_id)?
                    .made()
                    .is_some_and(|made| made.attempt == *attempt && made.kept);
                let event = kept.then_some(Event::Wiped {
                    key_id: *key_id,
                    attempt: *attempt,
                });
                Ok(event.into_iter().collect())
            }
            Command::CompletePolicies if self.outdated => Ok(vec![Event::PoliciesWritten]),
            Command::Announce => match self.next_step(jiff::Timestamp::MAX) {
                Step::Announce => Ok(vec![Event::Provisioned]),
                Step::Finish => Ok(vec![Event::Deprovisioned]),
                _ => Err(Rejection::Superseded),
            },
            Command::Delay {
                failing,
                next_try_at,
            } => {
                let delayed = Event::Delayed {
                    code: failing.code.clone(),
                    reason: failing.reason.clone(),
                    next_try_at: *next_try_at,
                };
                Ok(self
                    .outcome_of(failing)
                    .into_iter()
                    .chain([delayed])
                    .collect())
            }
            Command::Refuse(failing) => {
                if !self.is_wanted() {
                    return Err(Rejection::Superseded);
                }
                let failed = Event::Failed {
                    code: failing.code.clone(),
                    reason: failing.reason.clone(),
                    gateway_id: failing.gateway_id,
                };
                Ok(self
                    .outcome_of(failing)
                    .into_iter()
                    .chain([failed])
                    .collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Messages come in any order: the highest position is the newest.
    fn suspend(&self, suspended: bool, as_of: i64) -> Vec<Event> {
        if as_of <= self.suspension_as_of {
            return Vec::new();
        }
        vec![Event::SuspensionChanged { suspended, as_of }]
    }

    fn replace(&self, key_id: Uuid) -> Decided {
        let key = self.key(key_id)?;
        // It is under way already.
        if self.is_wanted() && key.old.is_some() {
            return Ok(Vec::new());
        }
        self.usable(key_id)?;
        Ok(vec![Event::ReplacementAsked { key_id }])
    }

    fn placed(&self, places: &[Place]) -> Decided {
        if self.placed || !self.is_wanted() {
            return Err(Rejection::Superseded);
        }
        Ok(vec![Event::Placed {
            places: places.to_vec(),
        }])
    }

    fn intend(&self, key_id: Uuid) -> Decided {
        let key = self.key(key_id)?;
        let item = self.item(&key.product_id).ok_or(Rejection::NotFound)?;
        if key.link != Link::None || !key.needed || !self.is_wanted() {
            return Err(Rejection::Superseded);
        }
        let attempt = key.attempt + 1;
        Ok(vec![Event::Intended {
            key_id,
            attempt,
            marker: marker(key_id, attempt),
            policies: Policies {
                product: item.product_policy_id.clone(),
                plan: item.plan_policy_id.clone(),
            },
        }])
    }

    fn deleted(&self, key_id: Uuid, attempt: u32) -> Decided {
        let key = self.key(key_id)?;
        let is = |made: Option<&Made>| made.is_some_and(|made| made.attempt == attempt);
        if is(key.old.as_ref()) {
            return Ok(vec![Event::OldDeleted { key_id, attempt }]);
        }
        let event = is(key.made()).then_some(Event::Deleted { key_id, attempt });
        Ok(event.into_iter().collect())
    }

    fn outcome_of(&self, failing: &Failing) -> Option<Event> {
        let key_id = failing.undone?;
        let key = self.keys.get(&key_id)?;
        (key.link == Link::Intended).then_some(Event::Undone {
            key_id,
            attempt: key.attempt,
        })
    }

    fn key(&self, id: Uuid) -> Result<&Key, Rejection> {
        self.keys.get(&id).ok_or(Rejection::NotFound)
    }

    /// A key whose attempt has no outcome yet.
    fn attempted(&self, id: Uuid, attempt: u32) -> Result<&Key, Rejection> {
        let key = self.key(id)?;
        if key.link == Link::Intended && key.attempt == attempt {
            Ok(key)
        } else {
            Err(Rejection::Superseded)
        }
    }

    /// A key that its owner may look at or replace.
    fn usable(&self, id: Uuid) -> Result<&Made, Rejection> {
        let key = self.key(id)?;
        if self.stage == Stage::Withdrawn {
            return Err(Rejection::NotFound);
        }
        if self.is_suspended() {
            return Err(Rejection::Suspended);
        }
        key.made().filter(|_| key.needed).ok_or(Rejection::NotReady)
    }

    /// Whether something is to be told.
    pub(super) fn is_untold(&self, what: Said) -> bool {
        self.said != what
    }
}
