//! What a gateway would say to a call.

use serde_json::{Map, Value};

use super::Limit;

/// What comes with the call: a token whose signature is good.
#[derive(Debug, Clone, PartialEq)]
pub enum Presented {
    /// With these scopes, where the API looks for them; none: without a scope claim.
    Scopes(Vec<String>),
    /// With these claims.
    Claims(Map<String, Value>),
}

/// The answer, and how it comes about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simulation {
    /// HTTP status; 200 where the call goes through to the API.
    pub status: u16,
    /// The gateway's own message; empty where the call goes through.
    pub message: String,
    /// The policies that decide, in the order in which they are applied.
    pub policies: Vec<ResolvedPolicy>,
    /// Where the call goes through; None: no limit.
    pub rate: Option<Limit>,
    /// Where the call goes through; None: no limit.
    pub quota: Option<Limit>,
    /// Scopes of the token that lead to nothing at this API.
    pub unmapped_scopes: Vec<String>,
    /// What else is worth knowing, for people.
    pub notes: Vec<String>,
}

/// A policy that takes part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedPolicy {
    /// Its id at the gateway.
    pub id: String,
    /// Display name at the gateway.
    pub name: String,
    /// Why it takes part: "scope <name>", "default policy" or "claim <name>".
    pub because: String,
    /// Whether it is at the gateway.
    pub found: bool,
    /// Whether it opens this API.
    pub opens: bool,
    /// Whether it limits this API.
    pub limits: bool,
}
