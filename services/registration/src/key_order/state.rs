//! What follows from the events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{Event, Granted, Place, Policies};
use crate::granted::{Application, CatalogueChange, Item};

/// What people decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Nothing yet.
    #[default]
    None,
    /// Approved.
    Granted,
    /// Revoked, for ever.
    Withdrawn,
}

/// A key at its gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// Of which attempt.
    pub(crate) attempt: u32,
    /// What the gateway calls it.
    pub(crate) hash: String,
    /// See [`Event::Created`].
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Since when.
    pub(crate) at: Timestamp,
    /// When it was shown.
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
    /// There is one.
    Made(Made),
}

/// The key of a product at a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// Of the catalogue.
    pub(crate) product_id: String,
    /// Where.
    pub(crate) gateway_id: Uuid,
    /// What it opens there.
    pub(crate) api_ids: Vec<String>,
    /// The product is (still) at this gateway. One that is not stays here, so that no attempt has the number of another.
    pub(crate) needed: bool,
    /// The last attempt.
    pub(crate) attempt: u32,
    /// What it has, or was about to get.
    pub(crate) policies: Policies,
    /// At the gateway.
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

/// A failure in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Words {
    /// A stable word.
    pub(crate) code: String,
    /// The gateway's own words.
    pub(crate) reason: String,
}

/// Tries that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delay {
    /// How many in a row.
    pub(crate) attempts: u32,
    /// When the next one is.
    pub(crate) next_try_at: Timestamp,
    /// Why.
    pub(crate) words: Words,
}

/// What was told to others last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// Nothing that holds now.
    #[default]
    Nothing,
    /// Every key is there.
    Provisioned,
    /// Nothing is left.
    Deprovisioned,
}

/// The API keys of an access request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyOrder {
    /// Whose keys they are.
    pub(crate) application_id: Uuid,
    /// Who asked.
    pub(crate) requester_id: String,
    /// The newest that is known of it.
    pub(crate) application: Application,
    /// What was asked for, as the catalogue has it now.
    pub(crate) items: Vec<Item>,
    /// What people decided.
    pub(crate) stage: Stage,
    /// Taken away for a time.
    pub(crate) suspended: bool,
    /// Position of the newest word on that.
    pub(crate) suspension_as_of: i64,
    /// It is known where keys are needed.
    pub(crate) placed: bool,
    /// The policies do not say what product and plan say.
    pub(crate) outdated: bool,
    /// By id.
    pub(crate) keys: BTreeMap<Uuid, Key>,
    /// What was told last.
    pub(crate) said: Said,
    /// A try failed.
    pub(crate) delay: Option<Delay>,
    /// Parked.
    pub(crate) failed: Option<Words>,
}

impl KeyOrder {
    /// Keys are to be there.
    pub(crate) fn is_wanted(&self) -> bool {
        self.stage == Stage::Granted && !self.is_suspended()
    }

    /// Approved, and not revoked.
    pub(crate) fn stage_is_granted(&self) -> bool {
        self.stage == Stage::Granted
    }

    /// Taken away for a time, by itself or with its application.
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended || self.application.suspended
    }

    /// The item of a product.
    pub(crate) fn item(&self, product: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.product_id == product)
    }

    /// Names of its products, for people.
    pub(crate) fn product_names(&self) -> Vec<String> {
        let names = self.items.iter().map(|item| item.product_name.clone());
        names.collect()
    }

    /// Refused at a gateway: nothing is tried until somebody says so, or something changes.
    pub(crate) fn is_parked(&self) -> bool {
        self.failed.is_some() && self.is_wanted()
    }

    /// The last failure, where it still counts.
    pub(crate) fn last_error(&self) -> Option<&Words> {
        let delayed = self.delay.as_ref().map(|delay| &delay.words);
        self.failed.as_ref().or(delayed)
    }

    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Granted(granted) => self.granted(granted),
            Event::Withdrawn { application_id } => {
                self.application_id = *application_id;
                self.stage = Stage::Withdrawn;
                self.try_anew();
            }
            Event::SuspensionChanged { suspended, as_of } => {
                self.suspended = *suspended;
                self.suspension_as_of = *as_of;
                self.try_anew();
            }
            Event::ApplicationChanged(application) => {
                if self.application.suspended != application.suspended {
                    self.try_anew();
                }
                self.application = application.clone();
            }
            Event::CatalogueChanged(change) => self.follow(change),
            Event::Placed { places } => self.place(places),
            Event::PoliciesWritten => {
                self.outdated = false;
                self.delay = None;
            }
            Event::Provisioned => self.said = Said::Provisioned,
            Event::Deprovisioned => self.said = Said::Deprovisioned,
            Event::Delayed {
                code,
                reason,
                next_try_at,
            } => {
                let attempts = self.delay.as_ref().map_or(0, |delay| delay.attempts);
                self.delay = Some(Delay {
                    attempts: attempts + 1,
                    next_try_at: *next_try_at,
                    words: words(code, reason),
                });
            }
            Event::Failed { code, reason, .. } => {
                self.delay = None;
                self.failed = Some(words(code, reason));
            }
            Event::Retried => self.try_anew(),
            of_a_key => self.take_of_key(of_a_key),
        }
    }

    fn take_of_key(&mut self, event: &Event) {
        match event {
            Event::Intended {
                key_id,
                attempt,
                policies,
                ..
            } => self.with(*key_id, |key| {
                key.attempt = *attempt;
                key.policies = policies.clone();
                key.link = Link::Intended;
            }),
            Event::Created {
                key_id,
                attempt,
                hash,
                headers,
                at,
                ..
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
                self.delay = None;
            }
            Event::Undone { key_id, .. } => self.with(*key_id, |key| key.link = Link::None),
            Event::ReplacementAsked { key_id } => {
                self.with(*key_id, |key| {
                    key.old = key.made().cloned();
                    key.link = Link::None;
                });
                self.try_anew();
            }
            Event::OldDeleted { key_id, .. } => {
                self.with(*key_id, |key| key.old = None);
                self.delay = None;
            }
            Event::Deleted { key_id, .. } => {
                self.with(*key_id, |key| key.link = Link::None);
                self.delay = None;
                self.said = Said::Nothing;
            }
            Event::Revealed { key_id, at, .. } => {
                self.with_made(*key_id, |made| made.revealed_at = Some(*at));
            }
            Event::Wiped { key_id, .. } => self.with_made(*key_id, |made| made.kept = false),
            _ => {}
        }
    }

    fn granted(&mut self, granted: &Granted) {
        self.application_id = granted.application_id;
        self.requester_id.clone_from(&granted.requester_id);
        self.items.clone_from(&granted.items);
        if self.application.as_of <= granted.application.as_of {
            self.application = granted.application.clone();
        }
        if self.stage == Stage::None {
            self.stage = Stage::Granted;
        }
    }

    /// What was in the way may not be any more.
    fn try_anew(&mut self) {
        self.delay = None;
        self.failed = None;
    }

    fn follow(&mut self, change: &CatalogueChange) {
        for item in &mut self.items {
            if let Some(after) = change.applied_to(item) {
                self.placed &= after.apis == item.apis;
                *item = after;
                self.outdated = true;
            }
        }
        self.try_anew();
    }

    fn place(&mut self, places: &[Place]) {
        self.placed = true;
        for key in self.keys.values_mut() {
            key.needed = false;
        }
        for place in places {
            let key = self.keys.entry(place.key_id).or_insert_with(|| Key {
                product_id: place.product_id.clone(),
                gateway_id: place.gateway_id,
                api_ids: Vec::new(),
                needed: true,
                attempt: 0,
                policies: Policies::default(),
                link: Link::None,
                old: None,
            });
            key.needed = true;
            key.api_ids.clone_from(&place.api_ids);
        }
    }

    fn with(&mut self, id: Uuid, change: impl FnOnce(&mut Key)) {
        if let Some(key) = self.keys.get_mut(&id) {
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

fn words(code: &str, reason: &str) -> Words {
    Words {
        code: code.to_owned(),
        reason: reason.to_owned(),
    }
}
