//! What happened to the keys of an access request. Private; the public events are made of these in `publish`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::granted::{Application, CatalogueChange, Item};

/// An approved access request for products without OAuth clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Granted {
    /// Whose keys they are.
    pub(crate) application_id: Uuid,
    /// Who asked.
    pub(crate) requester_id: String,
    /// As of the approval.
    pub(crate) application: Application,
    /// What was asked for.
    pub(crate) items: Vec<Item>,
}

/// A product at a gateway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// From [`super::key_id`].
    pub(crate) key_id: Uuid,
    /// Of the catalogue.
    pub(crate) product_id: String,
    /// Where a key of it is needed.
    pub(crate) gateway_id: Uuid,
    /// Ids of the product's APIs there.
    pub(crate) api_ids: Vec<String>,
}

/// The policies that a key has, as product and plan named them; empty: Portico's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policies {
    /// Opens the product's APIs.
    pub(crate) product: String,
    /// Limits.
    pub(crate) plan: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Event {
    /// The request was approved.
    Granted(Granted),
    /// It was revoked. May come before the approval.
    Withdrawn {
        /// Whose keys they are.
        application_id: Uuid,
    },
    /// An admin took the access away for a time, or gave it back.
    SuspensionChanged {
        /// Away, or back.
        suspended: bool,
        /// Position in the log of the access-request service.
        as_of: i64,
    },
    /// The application has another name, or was suspended or resumed.
    ApplicationChanged(Application),
    /// A product or a plan was changed in the catalogue.
    CatalogueChanged(CatalogueChange),
    /// It is known at which gateways keys are needed; those elsewhere go.
    Placed {
        /// All of them.
        places: Vec<Place>,
    },
    /// A key is about to be created: from now on it may be at the gateway.
    Intended {
        /// Which key.
        key_id: Uuid,
        /// Counts the attempts of this key, from 1.
        attempt: u32,
        /// What it is found by.
        marker: String,
        /// What it may do.
        policies: Policies,
    },
    /// The gateway has created it.
    Created {
        /// Which key.
        key_id: Uuid,
        /// Of which attempt.
        attempt: u32,
        /// What the gateway calls it; not secret.
        hash: String,
        /// By the id of the API: the header that it wants the key in, where that is not `Authorization`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// When.
        at: Timestamp,
        /// The key before it is still there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replaces: bool,
    },
    /// Nothing of an attempt is at the gateway (any more).
    Undone {
        /// Which key.
        key_id: Uuid,
        /// Of which attempt.
        attempt: u32,
    },
    /// Its owner wants another key in its place.
    ReplacementAsked {
        /// Which key.
        key_id: Uuid,
    },
    /// The replaced key is not at the gateway any more.
    OldDeleted {
        /// Which key.
        key_id: Uuid,
        /// Of which attempt.
        attempt: u32,
    },
    /// The key is not at the gateway any more.
    Deleted {
        /// Which key.
        key_id: Uuid,
        /// Of which attempt.
        attempt: u32,
    },
    /// Its owner was shown the key.
    Revealed {
        /// Which key.
        key_id: Uuid,
        /// Of which attempt.
        attempt: u32,
        /// When.
        at: Timestamp,
    },
    /// The key that was shown is not kept here any more.
    Wiped {
        /// Which key.
        key_id: Uuid,
        /// Of which attempt.
        attempt: u32,
    },
    /// The gateways' policies say what product and plan say now.
    PoliciesWritten,
    /// Every key is there.
    Provisioned,
    /// Nothing is left at any gateway.
    Deprovisioned,
    /// A try failed and will be repeated.
    Delayed {
        /// A stable word.
        code: String,
        /// The gateway's own words.
        reason: String,
        /// When.
        next_try_at: Timestamp,
    },
    /// Parked until something changes or an admin retries.
    Failed {
        /// A stable word.
        code: String,
        /// The gateway's own words.
        reason: String,
        /// Which gateway said it; none: it is not known at which one a key is needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway_id: Option<Uuid>,
    },
    /// An admin wants it tried again.
    Retried,
}
