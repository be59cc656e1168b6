//! The state of an OAuth client, folded from its events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::RegistrationIntended;
use super::event::{Answered, Target, Unmapped, Wanted};
use super::lifecycle::{Notice, Suspension};
use super::old_secret::OldSecret;
use super::orphan::Orphan;
use crate::granted::{Application, Item};
use crate::providers::WantedClient;

/// One application's OAuth client at one identity provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OauthClient {
    /// Nil as long as nothing happened.
    pub application_id: Uuid,
    /// Nil as long as nothing happened.
    pub identity_provider_id: Uuid,
    /// The newest that is known.
    pub application: Application,
    /// Requests that are not over.
    pub grants: BTreeMap<Uuid, Grant>,
    /// Requests that are over; a late approval of one has no effect.
    pub ended: BTreeSet<Uuid>,
    /// Grows with everything that changes what is wanted at gateways.
    pub revision: u64,
    /// Of any kind.
    pub attempt: u32,
    /// What is at the provider.
    pub link: Link,
    /// Gateways that have yet to be written, with the revision that asked for it.
    pub unmapped: Unmapped,
    /// The provider's pause before the next try.
    pub provider_delay: Option<Delay>,
    /// The gateways' pause before the next try.
    pub gateway_delay: Option<Delay>,
    /// What the provider refused last, for good.
    pub refused: Option<Refusal>,
    /// The provider takes no registrations.
    pub held: Option<Words>,
    /// One of several waiting requests spoils it for the others: each on its own.
    pub one_at_a_time: bool,
    /// Suspected in a row.
    pub orphans: u32,
    /// It was registered at least once.
    pub was_live: bool,
    /// How the last rotation ended, where it was refused.
    pub rotation_refused: Option<(u32, Words)>,
    /// Requests whose access was taken away for a time, or given back.
    #[serde(default)]
    pub suspensions: BTreeMap<Uuid, Suspension>,
    /// The client is to be deleted and another one registered.
    #[serde(default)]
    pub replacing: bool,
    /// Clients at the provider that nobody uses, by their markers.
    #[serde(default)]
    pub listed: BTreeMap<String, Orphan>,
}

/// A code and the words that go with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// A stable word.
    pub code: String,
    /// For people; the provider's own where it had some.
    pub reason: String,
}

/// An approved request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The order in which they came.
    pub order: u64,
    /// What kind of client the developer chose.
    pub client_type_id: Uuid,
    /// Who asked.
    pub requester_id: String,
    /// What was asked for.
    pub items: Vec<Item>,
    /// Where it stands.
    pub stage: Stage,
    /// An attempt was made for it.
    pub started: bool,
    /// It was said that it cannot be taken away.
    pub stuck: bool,
    /// It works, but gateways have yet to follow a change of its product or plan.
    #[serde(default)]
    pub outdated: bool,
}

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// To be provisioned.
    Waiting,
    /// Provisioned.
    Active,
    /// Parked until it is retried. What a gateway refused stays wanted at the provider.
    Failed {
        /// Who refused.
        target: Target,
        /// Why.
        words: Words,
    },
    /// To be taken away.
    Withdrawn,
}

/// What is at the provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Nothing of ours, save for suspected orphans.
    #[default]
    None,
    /// Perhaps a client: the attempt has no outcome yet.
    Intended(Box<RegistrationIntended>),
    /// A client.
    Live(Box<Live>),
}

/// A registered client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The latest that is known.
    pub answer: Answered,
    /// Decides how the client authenticates.
    pub client_type_id: Uuid,
    /// What the provider made it.
    pub applied: Wanted,
    /// What has no outcome yet.
    pub operation: Option<Operation>,
    /// Scopes of updates without an outcome, also of those that another operation has taken the place of. They may be
    /// there, until an update is known to have been done.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub perhaps: BTreeSet<String>,
    /// Somebody else changed it at the provider, or its client type has changed.
    #[serde(default)]
    pub drifted: bool,
    /// What it is marked with at the provider; empty where that was not kept.
    #[serde(default)]
    pub marker: String,
    /// The secret before the last rotation, as long as it works.
    #[serde(default)]
    pub old_secret: Option<OldSecret>,
    /// What was said of the end of its secret.
    #[serde(default)]
    pub notice: Option<Notice>,
}

impl Live {
    /// The scopes at the provider that are Portico's; any other is somebody else's and stays.
    #[must_use]
    pub fn own_scopes(&self) -> BTreeSet<String> {
        self.applied.scopes.union(&self.perhaps).cloned().collect()
    }
}

/// What may have been done at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Which attempt.
    pub attempt: u32,
    /// What.
    pub kind: OperationKind,
}

/// See [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// RFC 7592 section 2.2.
    Update {
        /// What the client will be after it.
        wanted: Wanted,
        /// What is sent.
        client: Box<WantedClient>,
    },
    /// A new secret.
    Rotate {
        /// The chosen one.
        secret_ref: VaultRef,
    },
    /// RFC 7592 section 2.3.
    Delete,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// Why.
    pub words: Words,
    /// How long.
    pub next_try_at: Timestamp,
    /// Failed tries in a row.
    pub attempts: u32,
    /// See [`super::Delayed`].
    pub stuck_since: Option<Timestamp>,
}

/// What was refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// While just this is wanted, nothing is tried.
    pub wanted: Option<Wanted>,
    /// Why.
    pub words: Words,
    /// Since when.
    pub at: Timestamp,
}

impl Grant {
    /// All scopes of its products and plans.
    #[must_use]
    pub fn scopes(&self) -> BTreeSet<String> {
        let of = |item: &Item| {
            item.product_scopes
                .union(&item.plan_scopes)
                .cloned()
                .collect()
        };
        self.items
            .iter()
            .flat_map(|item| -> Vec<String> { of(item) })
            .collect()
    }

    /// Whether gateways are to let it through.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        match &self.stage {
            Stage::Waiting | Stage::Active => true,
            Stage::Failed { target, .. } => *target == Target::Gateway,
            Stage::Withdrawn => false,
        }
    }

    /// Names of its products, for people.
    #[must_use]
    pub fn product_names(&self) -> Vec<String> {
        self.items
            .iter()
            .map(|item| item.product_name.clone())
            .collect()
    }
}

impl OauthClient {
    /// The client of an application at a provider.
    #[must_use]
    pub fn id(application_id: Uuid, identity_provider_id: Uuid) -> Uuid {
        Uuid::new_v5(&application_id, identity_provider_id.as_bytes())
    }

    /// The registered client.
    #[must_use]
    pub fn live(&self) -> Option<&Live> {
        match &self.link {
            Link::Live(live) => Some(live),
            Link::None | Link::Intended(_) => None,
        }
    }

    /// The attempt to register that has no outcome yet.
    #[must_use]
    pub fn intended(&self) -> Option<&RegistrationIntended> {
        match &self.link {
            Link::Intended(intended) => Some(intended),
            Link::None | Link::Live(_) => None,
        }
    }

    pub(super) fn delay(&self, target: Target) -> Option<&Delay> {
        match target {
            Target::Provider => self.provider_delay.as_ref(),
            Target::Gateway => self.gateway_delay.as_ref(),
        }
    }
}
