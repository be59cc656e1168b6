//! What an admin says about a plan.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// So many requests in so many seconds; both at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Limit {
    pub requests: u64,
    pub seconds: u64,
}

/// The details of a plan, each field already validated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// 1 to 100 characters.
    pub name: String,
    /// At most 2000 characters.
    pub description: String,
    /// Scope tokens of RFC 6749 section 3.3, at least one.
    pub scopes: BTreeSet<String>,
    /// `None`: the gateway sets no limit.
    pub rate: Option<Limit>,
    /// `None`: the gateway sets no limit.
    pub quota: Option<Limit>,
    /// Whether access requests under it are approved without an admin.
    pub auto_approve: bool,
    /// An existing policy at the gateway, or empty: Portico then creates its own.
    pub policy_id: String,
}

/// An update of [`Details`]; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of Details")]
pub struct Change {
    pub name: Option<String>,
    pub description: Option<String>,
    pub scopes: Option<BTreeSet<String>>,
    /// `Some(None)` removes the limit.
    pub rate: Option<Option<Limit>>,
    /// `Some(None)` removes the limit.
    pub quota: Option<Option<Limit>>,
    pub auto_approve: Option<bool>,
    pub policy_id: Option<String>,
}

impl Change {
    pub(super) fn apply_to(&self, old: &Details) -> Details {
        fn or<T: Clone>(new: &Option<T>, old: &T) -> T {
            new.as_ref().unwrap_or(old).clone()
        }
        Details {
            name: or(&self.name, &old.name),
            description: or(&self.description, &old.description),
            scopes: or(&self.scopes, &old.scopes),
            rate: or(&self.rate, &old.rate),
            quota: or(&self.quota, &old.quota),
            auto_approve: or(&self.auto_approve, &old.auto_approve),
            policy_id: or(&self.policy_id, &old.policy_id),
        }
    }
}
