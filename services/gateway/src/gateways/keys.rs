//! API keys, for products without OAuth clients.

use std::collections::BTreeMap;

use portico_vault::Secret;

/// A key to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedKey {
    /// By which it is found again where the answer got lost; not secret.
    pub marker: String,
    /// What it may do.
    pub policies: Vec<String>,
    /// The APIs that it is for; say whose organisation it is where the gateway's settings do not.
    pub api_ids: Vec<String>,
}

/// A created key.
#[derive(Debug)]
pub struct CreatedKey {
    /// What callers send.
    pub key: Secret,
    /// What the gateway calls it; not secret.
    pub hash: String,
    /// By the id of the API: the header that it wants the key in, where that is not `Authorization`.
    pub headers: BTreeMap<String, String>,
}
