//! API keys, for products without OAuth clients.

use std::collections::BTreeMap;

use portico_vault::Secret;

/// A key to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedKey {
    /// By which it is found again where the answer got lost; not secret.
    pub marker: String,
    /// Ids of the policies that the key is granted.
    pub policies: Vec<String>,
    /// The APIs that it is for; say whose organisation it is where the gateway's settings do not.
    pub api_ids: Vec<String>,
}

/// A key as the gateway created it.
#[derive(Debug)]
pub struct CreatedKey {
    /// The key itself, which callers send in a header.
    pub key: Secret,
    /// What the gateway calls it; not secret.
    pub hash: String,
    /// By the id of the API: the header that it wants the key in, where that is not `Authorization`.
    pub headers: BTreeMap<String, String>,
}
