//! What is at a gateway, for people to choose from.

use super::Limit;

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

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PolicyRole {
    /// Opens APIs and limits nothing.
    Product,
    /// Limits and opens nothing.
    Plan,
    /// Does both, so it cannot be combined.
    Both,
    /// Does neither that Portico knows of.
    #[default]
    Other,
}

impl PolicyRole {
    /// As in REST and gRPC.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Plan => "plan",
            Self::Both => "both",
            Self::Other => "other",
        }
    }
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
