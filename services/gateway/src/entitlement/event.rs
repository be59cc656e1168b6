//! What happened to an entitlement. Private; the public events are made of these in `publish`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use portico_eventstore::nested_events;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keys::{KeyPlace, KeyPolicies};
use super::report::{Nothing, Report};
use super::scopes::ClaimOf;
use super::state::{Prospect, Reason, Wanted};
use crate::item::CatalogueChange;
use crate::known::Application;

nested_events! {
    /// By subject; see [`super::Command`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) enum Event {
        /// What other services and people said.
        Access(AccessEvent),
        /// Scopes that may go to others.
        Scopes(ScopesEvent),
        /// Scopes at gateways.
        Mapping(MappingEvent),
        /// API keys.
        Key(KeyEvent),
        /// Tries that failed.
        Try(TryEvent),
        /// What the access-request service is told.
        Report(ReportEvent),
    }
}

/// What the access-request service is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum ReportEvent {
    Reported(Report),
}

/// What other services and people said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum AccessEvent {
    /// A higher revision than the one before.
    Wanted(Box<Wanted>),
    /// A lower one that came late, with scopes that registration may have given out because of it.
    Overtaken(Box<Wanted>),
    ApplicationChanged(Application),
    CatalogueChanged(CatalogueChange),
    /// What it waited for may be there.
    Woken,
    /// There is a gateway now, after it was answered that there is none.
    GatewayFound,
}

/// Scopes that may go to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum ScopesEvent {
    /// Nobody holds them any more because of this request.
    Freed { claims: Vec<ClaimOf> },
    /// An admin said so.
    Released { claims: Vec<ClaimOf> },
}

/// Scopes at gateways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum MappingEvent {
    /// The gateways are as was asked up to this count.
    Mapped {
        asked: u64,
        /// Nothing was to be mapped, and why.
        nothing: Option<Nothing>,
    },
}

/// One of the request's API keys, or all of them. No event holds a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum KeyEvent {
    /// It is known at which gateways keys are needed; those elsewhere go.
    Placed { places: Vec<KeyPlace> },
    /// A key is about to be created: from now on it may be at the gateway.
    Intended {
        key_id: Uuid,
        /// Counts the attempts of this key, from 1.
        attempt: u32,
        /// By which it is found.
        marker: String,
        policies: KeyPolicies,
    },
    /// The gateway has created it.
    Created {
        key_id: Uuid,
        attempt: u32,
        /// What the gateway calls it; not secret.
        hash: String,
        /// By the id of the API: the header that it wants the key in, where that is not `Authorization`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        at: Timestamp,
        /// The key before it is still there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replaces: bool,
    },
    /// Nothing of an attempt is at the gateway (any more).
    Undone { key_id: Uuid, attempt: u32 },
    /// Its owner wants another key in its place.
    ReplacementAsked { key_id: Uuid },
    /// The replaced key is not at the gateway any more.
    OldDeleted { key_id: Uuid, attempt: u32 },
    /// The key is not at the gateway any more.
    Deleted { key_id: Uuid, attempt: u32 },
    /// Its owner was shown the key.
    Revealed {
        key_id: Uuid,
        attempt: u32,
        at: Timestamp,
    },
    /// The key that was shown is not kept here any more.
    Wiped { key_id: Uuid, attempt: u32 },
    /// The gateways' policies say what product and plan say now.
    PoliciesWritten,
    /// Nothing is left of a revoked request's keys.
    Finished,
}

/// Tries that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum TryEvent {
    /// It will be repeated.
    Delayed {
        reason: Reason,
        next_try_at: Timestamp,
        prospect: Prospect,
    },
    /// Parked until something changes or an admin retries.
    Failed { reason: Reason },
}
