//! What is at a gateway, for people to choose from.

use super::{Limit, PolicyRole};

/// Everything that products and plans can be made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// In the gateway's order.
    pub apis: Vec<FoundApi>,
    /// In the gateway's order.
    pub policies: Vec<FoundPolicy>,
}

/// An API definition as read from the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundApi {
    /// Its id at the gateway.
    pub api_id: String,
    /// Display name at the gateway.
    pub name: String,
    /// Where the gateway serves it, a path.
    pub listen_path: String,
    /// Whether it is open to everybody.
    pub keyless: bool,
}

/// A policy as read from the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundPolicy {
    /// Its id at the gateway.
    pub id: String,
    /// Display name at the gateway.
    pub name: String,
    /// Whether it opens APIs or sets limits.
    pub role: PolicyRole,
    /// APIs that it names.
    pub api_ids: Vec<String>,
    /// None: no limit.
    pub rate: Option<Limit>,
    /// None: no limit.
    pub quota: Option<Limit>,
    /// Scopes that lead to it at any API.
    pub scopes: Vec<String>,
    /// Whether it is in force.
    pub active: bool,
    /// Portico made it.
    pub ours: bool,
}
