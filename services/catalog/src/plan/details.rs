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
