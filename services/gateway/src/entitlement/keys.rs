//! API keys, one for each product and gateway. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::{Failing, KeyCommand, Rejection};
use super::event::{Event, KeyEvent};
use super::marker;
use super::state::{Entitlement, WantedState};
use super::step::Step;

/// A product at a gateway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct KeyPlace {
    /// From [`super::key_id`].
    pub(crate) key_id: Uuid,
    pub(crate) product_id: String,
    pub(crate) gateway_id: Uuid,
    /// Ids of the product's APIs there.
    pub(crate) api_ids: Vec<String>,
}

/// The policies that a key has, as product and plan named them; none: Portico's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyPolicies {
    pub(crate) product: Option<String>,
    pub(crate) plan: Option<String>,
}

/// A key at its gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) attempt: u32,
    /// What the gateway calls it.
    pub(crate) hash: String,
    /// See [`KeyEvent::Created`].
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) at: Timestamp,
    pub(crate) revealed_at: Option<Timestamp>,
    /// The vault has it (still).
    pub(crate) kept: bool,
}

/// What is known of the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Link {
    /// No key is there.
    #[default]
    None,
    /// There may be one.
    Intended,
    Made(Made),
}

/// The key of a product at a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) product_id: String,
    pub(crate) gateway_id: Uuid,
    pub(crate) api_ids: Vec<String>,
    /// The product is (still) at this gateway. One that is not stays here, so that no attempt has the number of
    /// another.
    pub(crate) needed: bool,
    /// The last attempt.
    pub(crate) attempt: u32,
    /// What it has, or was about to get.
    pub(crate) policies: KeyPolicies,
    pub(crate) link: Link,
    /// The key that is being replaced.
    pub(crate) old: Option<Made>,
}

impl Key {
    /// It is at its gateway.
    pub(crate) fn made(&self) -> Option<&Made> {
        match &self.link {
            Link::Made(made) => Some(made),
            Link::None | Link::Intended => None,
        }
    }

    /// Something of it is, or may be, at the gateway.
    pub(crate) fn may_exist(&self) -> bool {
        self.link != Link::None || self.old.is_some()
    }
}

/// The API keys of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keys {
    /// It is known where keys are needed.
    pub(super) placed: bool,
    /// The policies do not say what product and plan say.
    pub(super) outdated: bool,
    /// After a revocation nothing is left, in the vault neither.
    pub(super) finished: bool,
    pub(super) by_id: BTreeMap<Uuid, Key>,
}

impl Entitlement {
    pub(crate) fn keys(&self) -> &BTreeMap<Uuid, Key> {
        &self.keys.by_id
    }

    pub(super) fn decide_key(&self, command: &KeyCommand) -> Result<Vec<Event>, Rejection> {
        let event = match command {
            KeyCommand::Reveal { key_id, at } => Some(self.revealed(*key_id, *at)?),
            KeyCommand::Replace { key_id } => self.replaced(*key_id)?,
            KeyCommand::Place { places } => Some(self.placed(places)?),
            KeyCommand::Intend { key_id } => Some(self.intended(*key_id)?),
            KeyCommand::Complete {
                key_id,
                attempt,
                hash,
                headers,
                at,
            } => Some(KeyEvent::Created {
                key_id: *key_id,
                attempt: *attempt,
                hash: hash.clone(),
                headers: headers.clone(),
                at: *at,
                replaces: self.attempted(*key_id, *attempt)?.old.is_some(),
            }),
            KeyCommand::Undo { key_id, attempt } => {
                self.attempted(*key_id, *attempt)?;
                Some(KeyEvent::Undone {
                    key_id: *key_id,
                    attempt: *attempt,
                })
            }
            KeyCommand::CompleteDelete { key_id, attempt } => self.deleted(*key_id, *attempt)?,
            KeyCommand::CompleteWipe { key_id, attempt } => self.wiped(*key_id, *attempt)?,
            KeyCommand::CompletePolicies => self.keys.outdated.then_some(KeyEvent::PoliciesWritten),
            KeyCommand::Finish if self.work() == Step::Finish => Some(KeyEvent::Finished),
            KeyCommand::Finish => return Err(Rejection::Superseded),
        };
        Ok(event.map(Event::Key).into_iter().collect())
    }

    fn revealed(&self, key_id: Uuid, at: Timestamp) -> Result<KeyEvent, Rejection> {
        let made = self.usable(key_id)?;
        if made.revealed_at.is_some() {
            return Err(Rejection::AlreadyRevealed);
        }
        Ok(KeyEvent::Revealed {
            key_id,
            attempt: made.attempt,
            at,
        })
    }

    fn replaced(&self, key_id: Uuid) -> Result<Option<KeyEvent>, Rejection> {
        // It is under way already.
        if self.is_wanted() && self.key(key_id)?.old.is_some() {
            return Ok(None);
        }
        self.usable(key_id)?;
        Ok(Some(KeyEvent::ReplacementAsked { key_id }))
    }

    /// Where keys are needed so far.
    pub(crate) fn places(&self) -> BTreeSet<KeyPlace> {
        let needed = self.keys.by_id.iter().filter(|(_, key)| key.needed);
        let place = |(id, key): (&Uuid, &Key)| KeyPlace {
            key_id: *id,
            product_id: key.product_id.clone(),
            gateway_id: key.gateway_id,
            api_ids: key.api_ids.clone(),
        };
        needed.map(place).collect()
    }

    /// Whether a product has no API any more. Its keys go, the other products' are kept up, and then the request fails.
    pub(super) fn lacks_api(&self) -> bool {
        let mut items = self.items().iter();
        items.any(|item| item.product.apis.is_empty())
    }

    fn placed(&self, places: &[KeyPlace]) -> Result<KeyEvent, Rejection> {
        if (self.keys.placed && !self.lacks_api()) || !self.is_wanted() {
            return Err(Rejection::Superseded);
        }
        Ok(KeyEvent::Placed {
            places: places.to_vec(),
        })
    }

    fn intended(&self, key_id: Uuid) -> Result<KeyEvent, Rejection> {
        let key = self.key(key_id)?;
        let item = self.item(&key.product_id).ok_or(Rejection::NotFound)?;
        if key.link != Link::None || !key.needed || !self.is_wanted() {
            return Err(Rejection::Superseded);
        }
        let attempt = key.attempt + 1;
        Ok(KeyEvent::Intended {
            key_id,
            attempt,
            marker: marker(key_id, attempt),
            policies: KeyPolicies {
                product: item.product.policy_id.clone(),
                plan: item.plan.policy_id.clone(),
            },
        })
    }

    fn deleted(&self, key_id: Uuid, attempt: u32) -> Result<Option<KeyEvent>, Rejection> {
        let key = self.key(key_id)?;
        let is = |made: Option<&Made>| made.is_some_and(|made| made.attempt == attempt);
        if is(key.old.as_ref()) {
            return Ok(Some(KeyEvent::OldDeleted { key_id, attempt }));
        }
        Ok(is(key.made()).then_some(KeyEvent::Deleted { key_id, attempt }))
    }

    fn wiped(&self, key_id: Uuid, attempt: u32) -> Result<Option<KeyEvent>, Rejection> {
        let made = self.key(key_id)?.made();
        let kept = made.is_some_and(|made| made.attempt == attempt && made.kept);
        Ok(kept.then_some(KeyEvent::Wiped { key_id, attempt }))
    }

    /// What a failed try says of its attempt.
    pub(super) fn undone(&self, failing: &Failing) -> Option<Event> {
        let key_id = failing.undone?;
        let key = self.keys.by_id.get(&key_id)?;
        (key.link == Link::Intended).then_some(Event::Key(KeyEvent::Undone {
            key_id,
            attempt: key.attempt,
        }))
    }

    fn key(&self, id: Uuid) -> Result<&Key, Rejection> {
        self.keys.by_id.get(&id).ok_or(Rejection::NotFound)
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
        if self.state() == Some(WantedState::Revoked) {
            return Err(Rejection::NotFound);
        }
        if self.is_suspended() {
            return Err(Rejection::Suspended);
        }
        key.made().filter(|_| key.needed).ok_or(Rejection::NotReady)
    }

    pub(super) fn take_key(&mut self, event: &KeyEvent) {
        match event {
            // It went on, so whatever delayed it is over.
            KeyEvent::Created { .. }
            | KeyEvent::OldDeleted { .. }
            | KeyEvent::Deleted { .. }
            | KeyEvent::PoliciesWritten => self.delay = None,
            KeyEvent::ReplacementAsked { .. } => self.try_anew(),
            KeyEvent::Placed { .. }
            | KeyEvent::Intended { .. }
            | KeyEvent::Undone { .. }
            | KeyEvent::Revealed { .. }
            | KeyEvent::Wiped { .. }
            | KeyEvent::Finished => {}
        }
        self.keys.take(event);
    }
}

impl Keys {
    fn take(&mut self, event: &KeyEvent) {
        match event {
            KeyEvent::Placed { places } => self.place(places),
            KeyEvent::Intended {
                key_id,
                attempt,
                policies,
                ..
            } => self.with(*key_id, |key| {
                key.attempt = *attempt;
                key.policies = policies.clone();
                key.link = Link::Intended;
            }),
            KeyEvent::Created {
                key_id,
                attempt,
                hash,
                headers,
                at,
                replaces: _,
            } => {
                let made = Made {
                    attempt: *attempt,
                    hash: hash.clone(),
                    headers: headers.clone(),
                    at: *at,
                    revealed_at: None,
                    kept: true,
                };
                self.with(*key_id, |key| key.link = Link::Made(made));
            }
            KeyEvent::Undone { key_id, .. } | KeyEvent::Deleted { key_id, .. } => {
                self.with(*key_id, |key| key.link = Link::None);
            }
            KeyEvent::ReplacementAsked { key_id } => self.with(*key_id, |key| {
                key.old = key.made().cloned();
                key.link = Link::None;
            }),
            KeyEvent::OldDeleted { key_id, .. } => self.with(*key_id, |key| key.old = None),
            KeyEvent::Revealed { key_id, at, .. } => {
                self.with_made(*key_id, |made| made.revealed_at = Some(*at));
            }
            KeyEvent::Wiped { key_id, .. } => self.with_made(*key_id, |made| made.kept = false),
            KeyEvent::PoliciesWritten => self.outdated = false,
            KeyEvent::Finished => self.finished = true,
        }
    }

    fn place(&mut self, places: &[KeyPlace]) {
        self.placed = true;
        for key in self.by_id.values_mut() {
            key.needed = false;
        }
        for place in places {
            let key = self.by_id.entry(place.key_id).or_insert_with(|| Key {
                product_id: place.product_id.clone(),
                gateway_id: place.gateway_id,
                api_ids: Vec::new(),
                needed: true,
                attempt: 0,
                policies: KeyPolicies::default(),
                link: Link::None,
                old: None,
            });
            key.needed = true;
            key.api_ids.clone_from(&place.api_ids);
        }
    }

    fn with(&mut self, id: Uuid, change: impl FnOnce(&mut Key)) {
        if let Some(key) = self.by_id.get_mut(&id) {
            change(key);
        }
    }

    fn with_made(&mut self, id: Uuid, change: impl FnOnce(&mut Made)) {
        self.with(id, |key| {
            if let Link::Made(made) = &mut key.link {
                change(made);
            }
        });
    }
}
