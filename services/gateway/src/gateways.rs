//! API gateways: which scope opens what, written to where it is enforced.
//!
//! A [`Gateway`] driver reads, merges only the entries that Portico owns, writes, reloads, reads back and says what it
//! wrote. It never drops or changes an entry that Portico did not make, and one stale policy does not stop the rest.
//!
//! Whether an entry is Portico's cannot be seen at the gateway, so the caller
//! keeps that: [`Gateway::plan`] says what would be owned, the caller stores
//! [`Owned::with`] of it, calls [`Gateway::apply`] with that in
//! [`WantedApi::owned`], and then stores what that says is owned. A process that
//! dies in between has recorded too much, never too little, and doing it all again
//! ends the same. Calls for one gateway must not overlap: a definition is written as a whole.
//!
//! - [`tyk`]: the Tyk gateway, by its open-source control API or by its Dashboard's
//! - `keys`, `inventory`, `simulation`: what else is asked of a gateway
//! - `failure`: what went wrong with a call
//!
//! A driver for another gateway is one file or folder here, and one line in [`DRIVERS`].

pub(crate) mod failure;
mod inventory;
mod keys;
mod simulation;
pub mod tyk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use portico_runtime::outgoing::Outgoing;
use portico_vault::Secret;
use serde::{Deserialize, Serialize};
use url::Url;

pub use crate::item::Limit;
pub use crate::mapping::Owned;
pub use failure::{Disposition, Failure};
pub use inventory::{FoundApi, FoundPolicy, Inventory};
pub use keys::{CreatedKey, WantedKey};
pub use portico_proto::catalog::v1::PolicyRole;
pub use simulation::{Presented, ResolvedPolicy, Simulation};

/// The No-Operation policy that Portico makes where an admin names none. Limited, for a token with a product's scope
/// and no plan's gets its limits.
pub const NO_OPERATION: &str = "portico-noop";

/// One gateway as a worker sees it for one piece of work.
pub struct GatewaySession<'a> {
    /// HTTP client for addresses that admins enter.
    pub outgoing: &'a Outgoing,
    /// Base URL of the control API.
    pub url: &'a Url,
    /// Secret of the gateway's control API.
    pub secret: &'a Secret,
    /// The organisation of policies that Portico makes; empty: the API's own.
    pub org_id: &'a str,
    /// The No-Operation policy; empty: APIs are left without a default policy.
    pub default_policy_id: &'a str,
    /// The hard deadline of each single call.
    pub deadline: Duration,
}

/// Scopes and the policies that they give, by scope.
pub type Mapping = BTreeMap<String, String>;

/// What one API should have from Portico.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedApi {
    /// Its id at the gateway.
    pub api_id: String,
    /// All entries that Portico wants there; those owned but not wanted go.
    pub entries: Mapping,
    /// The keys that tokens are signed with.
    pub jwks_uri: String,
    /// The claim that carries the scopes, usually `scope`.
    pub scope_claim: String,
    /// What Portico wrote there before, or is about to.
    pub owned: Owned,
    /// Also the source of keys goes back to what Portico once made it.
    pub restore: bool,
}

/// How a policy of Portico's stands at a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyState {
    /// As it is wanted.
    AsWanted,
    /// Not there.
    Missing,
    /// These members differ.
    Differs(Vec<String>),
}

/// What a policy of Portico's says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyKind {
    /// Of a product: opens exactly its APIs, limits nothing.
    Product,
    /// The default policy: opens an API that leads nowhere, and limits.
    NoOperation,
    /// Of a plan: limits, opens nothing. An absent limit is no limit.
    Plan {
        /// Requests in a number of seconds.
        rate: Option<Limit>,
        /// Requests in a number of seconds.
        quota: Option<Limit>,
    },
}

/// A policy that Portico makes for a product or a plan that names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedPolicy {
    /// From [`product_policy_id`] or [`plan_policy_id`].
    pub id: String,
    /// Display name at the gateway.
    pub name: String,
    /// Ids of APIs; those of a plan are added to what its policy has. Those of the default policy only say whose
    /// organisation it is.
    pub api_ids: Vec<String>,
    /// Whether it opens APIs or sets limits.
    pub kind: PolicyKind,
}

impl WantedPolicy {
    /// A plan's policy with these of its APIs only; the others keep theirs.
    pub(crate) fn named(mut self, is_here: impl Fn(&String) -> bool) -> Self {
        if matches!(self.kind, PolicyKind::Plan { .. }) {
            self.api_ids.retain(is_here);
        }
        self
    }
}

/// The id of the policy that Portico makes for a product; always the same.
#[must_use]
pub fn product_policy_id(product_id: &str) -> String {
    format!("portico-product-{product_id}")
}

/// The id of the policy that Portico makes for a plan; always the same.
#[must_use]
pub fn plan_policy_id(plan_id: &str) -> String {
    format!("portico-plan-{plan_id}")
}

/// Everything that a gateway should have for one piece of work.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Written first.
    pub policies: Vec<WantedPolicy>,
    /// Each by itself: a failure of one does not stop the others.
    pub apis: Vec<WantedApi>,
}

/// One change to one API, for people to read before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// An entry is added.
    Add {
        /// Scope of the mapping entry.
        scope: String,
        /// Id of the policy that the scope maps to.
        policy: String,
    },
    /// An entry of Portico's gets another policy.
    Replace {
        /// Scope of the mapping entry.
        scope: String,
        /// Id of the policy that the scope maps to.
        policy: String,
        /// The policy that it has.
        #[serde(default)]
        before: String,
    },
    /// An entry of Portico's goes.
    Remove {
        /// Scope of the mapping entry.
        scope: String,
    },
    /// A member of the definition is filled in.
    Set {
        /// Name of the member in the API definition.
        member: String,
        /// Value that is written.
        value: String,
        /// Value before the change.
        #[serde(default)]
        before: String,
    },
}

/// For people, after the name of the API.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { scope, policy } => write!(f, "adds scope {scope} with policy {policy}"),
            Self::Replace { scope, policy, .. } => {
                write!(f, "gives scope {scope} the policy {policy}")
            }
            Self::Remove { scope } => write!(f, "removes scope {scope}"),
            Self::Set { member, value, .. } => write!(f, "sets {member} to {value}"),
        }
    }
}

/// What would be, or was, done to one API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiChanges {
    /// Empty: it is as wanted already.
    pub changes: Vec<Change>,
    /// Wanted entries that were there and are not Portico's; they stay for ever.
    pub foreign: Mapping,
    /// Wanted entries that are left out, because the policy that they lead to is not at the gateway: such an entry
    /// locks callers out. All others are as wanted.
    pub stale: Mapping,
    /// What Portico owns there after the changes.
    pub owned: Owned,
}

/// Result for each API, by its id at the gateway.
pub type PerApi = BTreeMap<String, Result<ApiChanges, Failure>>;

/// One kind of gateway.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Whether it answers and takes the secret.
    async fn check(&self, session: &GatewaySession<'_>) -> Result<(), Failure>;

    /// What [`Gateway::apply`] would do. Writes nothing.
    async fn plan(&self, session: &GatewaySession<'_>, wanted: &Wanted) -> PerApi;

    /// How policies that Portico makes stand at the gateway. Writes nothing.
    async fn compare_policies(
        &self,
        session: &GatewaySession<'_>,
        policies: &[WantedPolicy],
    ) -> BTreeMap<String, Result<PolicyState, Failure>>;

    /// Writes policies and entries, reloads, and reads back. Idempotent.
    async fn apply(&self, session: &GatewaySession<'_>, wanted: &Wanted) -> PerApi;

    /// Removes policies that Portico made and that no entry leads to any more, each
    /// by itself. One that is not there, or that Portico did not make, is a success.
    async fn remove_policies(
        &self,
        session: &GatewaySession<'_>,
        ids: &BTreeSet<String>,
    ) -> BTreeMap<String, Result<(), Failure>>;

    /// Makes the gateway fetch the keys of these APIs anew. `false` where it cannot be told to: it keeps them for some
    /// minutes then.
    async fn flush_keys(
        &self,
        session: &GatewaySession<'_>,
        api_ids: &BTreeSet<String>,
    ) -> Result<bool, Failure>;

    /// All APIs and policies that are there.
    async fn inventory(&self, session: &GatewaySession<'_>) -> Result<Inventory, Failure>;

    /// What the gateway would say to a token, by what is configured there now. `None`: there is no such API. Writes
    /// nothing.
    async fn simulate(
        &self,
        session: &GatewaySession<'_>,
        api_id: &str,
        presented: &Presented,
        now_seconds: i64,
    ) -> Result<Option<Simulation>, Failure>;

    /// Writes policies without mapping any scope, reloads. Idempotent.
    async fn write_policies(
        &self,
        session: &GatewaySession<'_>,
        policies: &[WantedPolicy],
    ) -> Result<(), Failure>;

    /// Creates an API key. Not idempotent: after a lost answer look for it first.
    async fn create_key(
        &self,
        session: &GatewaySession<'_>,
        wanted: &WantedKey,
    ) -> Result<CreatedKey, Failure>;

    /// Hashes of the keys that were created with a marker. Code `key_listing_unavailable` where the gateway does not
    /// list keys.
    async fn find_keys(
        &self,
        session: &GatewaySession<'_>,
        marker: &str,
    ) -> Result<Vec<String>, Failure>;

    /// Whether a key is there, by its hash.
    async fn has_key(&self, session: &GatewaySession<'_>, hash: &str) -> Result<bool, Failure>;

    /// Deletes a key by its hash. One that is not there is a success.
    async fn delete_key(&self, session: &GatewaySession<'_>, hash: &str) -> Result<(), Failure>;
}

/// Every type of gateway that can be configured, and its driver.
pub const DRIVERS: &[(&str, &dyn Gateway)] = &[
    ("tyk", &tyk::OPEN_SOURCE),
    ("tyk_dashboard", &tyk::DASHBOARD),
];

/// The driver for a type of gateway.
#[must_use]
pub fn driver_for(kind: &str) -> Option<&'static dyn Gateway> {
    let found = DRIVERS.iter().find(|(name, _)| *name == kind);
    found.map(|(_, driver)| *driver)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portico_proto::{gateway::v1::GatewayType, rest::Enumeration as _};

    use super::*;

    /// A driver is its own file or folder here, its line in [`DRIVERS`] and its word in the contract: nothing else names
    /// a type of gateway.
    #[test]
    fn a_driver_is_one_file_and_one_line() {
        let words = GatewayType::words().words.iter().map(|one| one.word);
        assert!(words.eq(DRIVERS.iter().map(|(kind, _)| *kind)));
        assert!(driver_for("unheard-of").is_none());
        let mut named = Vec::new();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        naming(&sources, &mut named);
        assert_eq!(named, [sources.join("gateways.rs")]);
    }

    /// Files outside the drivers, tests left out, that name a type of gateway.
    fn naming(folder: &Path, named: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "gateways" && name != "tests" {
                    naming(&path, named);
                }
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let names = DRIVERS
                .iter()
                .any(|(kind, _)| text.contains(&format!("\"{kind}\"")));
            if name != "tests.rs" && names {
                named.push(path);
            }
        }
    }
}
