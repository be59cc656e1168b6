//! A **double** of the Tyk open-source gateway. It is not Tyk and holds none of its code: it was written from the
//! contract that Portico's driver relies on and from reading how Tyk 5 behaves, so that the driver can be tested and
//! the demo can run where the gateway itself is not to be had. What passes here must still be tried against a real one.
//!
//! | part | what it does as Tyk does |
//! |---|---|
//! | control API, `/tyk/` | reads and writes definitions and policies, which take effect at a reload |
//! | `/hello` | liveness |
//! | data plane, everything else | proxies by listen path: JWT, policies by scope, rate, quota |
//!
//! | call with | answer |
//! |---|---|
//! | both scopes | 200 |
//! | product scope only | 200 with the default policy's limits |
//! | plan scope only | 403 `key not authorized: could not apply several policies` |
//! | no scope claim | 403 `Access to this API has been disallowed` |
//! | scopes, none mapped | 403 `key not authorized: no matching policy found in scope claim` |
//! | no token | 400 `Authorization field missing` |
//! | bad signature, unknown key | 403 `Key not authorized` |
//! | expired | 401 `Key not authorized: token has expired` |
//! | rate, quota exceeded | 429 `Rate Limit Exceeded`, 403 `Quota exceeded` |
//!
//! | API key on an API with `use_standard_auth` | as its policies say; unknown: 403 |
//!
//! With [`Settings::dashboard`] the API of the Dashboard stands under `/api/` beside it.
//!
//! Left out: everything but RS256 and JWKS, OAS definitions, versions by request, throttling, plugins.

mod claims;
mod control;
mod dashboard;
mod data_plane;
mod definition;
mod jwks;
mod keys;
mod limits;
mod policies;
pub mod seed;
mod state;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use dashboard::DashboardSettings;
pub use state::ControlCall;

use crate::clock::SandboxClock;
use crate::outgoing::http_client;
use crate::server::{Bound, Server, StartError, free_port};
use crate::{secret, store};
use state::{Gateway, Loaded, Written, lock};

/// How to start it. `Default` is an empty gateway on a free port with the secret `sandbox-secret`.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What `X-Tyk-Authorization` must carry.
    pub secret: String,
    /// Definitions that are there from the start; one of the data file wins over one with the same `api_id` here.
    pub apis: Vec<Value>,
    /// Policies that are there from the start, likewise by `id`.
    pub policies: Vec<Value>,
    /// As before Tyk 5.11: an API without a default policy admits nobody by scopes.
    pub default_policy_needed: bool,
    /// When a reload that does not block takes effect.
    pub reload_delay: Duration,
    /// Whether the API of a Dashboard is there too.
    pub dashboard: Option<DashboardSettings>,
    /// `enable_hashed_keys_listing`.
    pub key_listing: bool,
    /// Where definitions and policies are kept.
    pub data_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: free_port(),
            secret: "sandbox-secret".to_owned(),
            apis: Vec::new(),
            policies: Vec::new(),
            default_policy_needed: true,
            reload_delay: Duration::from_millis(200),
            dashboard: None,
            key_listing: true,
            data_file: None,
        }
    }
}

/// The running gateway. Dropping it stops it.
pub struct Handle {
    server: Server,
    gateway: Arc<Gateway>,
}

/// Starts the gateway with its seeds loaded. Fails when the address is taken or the data file is not one.
pub async fn start(settings: Settings) -> Result<Handle, StartError> {
    let mut written: Written = store::load(settings.data_file.as_deref())?.unwrap_or_default();
    seed_documents(&mut written.apis, settings.apis, "api_id");
    seed_documents(&mut written.policies, settings.policies, "id");
    let bound = Bound::bind(settings.listen).await?;
    let gateway = Arc::new(Gateway {
        secret: settings.secret,
        clock: SandboxClock::default(),
        http: http_client()?,
        default_policy_needed: settings.default_policy_needed,
        reload_delay: settings.reload_delay,
        data_file: settings.data_file,
        loaded: RwLock::new(Arc::new(Loaded::from_written(written.clone()))),
        written: Mutex::new(written),
        dashboard: settings.dashboard.clone(),
        keys: Mutex::default(),
        key_listing: settings.key_listing,
        limits: Mutex::default(),
        jwks: jwks::JwksCache::default(),
        calls: Mutex::default(),
        faults: Mutex::default(),
        lost_keys: Mutex::default(),
        stop: CancellationToken::new(),
    });
    let mut router = control::router(&gateway);
    if let Some(settings) = &settings.dashboard {
        router = router.merge(dashboard::router(&gateway, settings));
    }
    let router = router.fallback(data_plane::serve);
    let server = bound.serve(router.with_state(Arc::clone(&gateway)));
    Ok(Handle { server, gateway })
}

fn seed_documents(
    into: &mut std::collections::BTreeMap<String, Value>,
    seeds: Vec<Value>,
    id: &str,
) {
    for seed in seeds {
        if let Some(id) = seed[id].as_str().map(str::to_owned) {
            into.entry(id).or_insert(seed);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.gateway.stop.cancel();
    }
}

impl Handle {
    /// `http://127.0.0.1:port`, without a slash at the end; control API and data plane.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Where it listens; start again there to play a restart.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The secret of the control API.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.gateway.secret
    }

    /// Stops, and returns when the port is free.
    pub async fn stop(&self) {
        self.gateway.stop.cancel();
        self.server.stop().await;
    }

    /// The definition that is in force.
    #[must_use]
    pub fn api(&self, api_id: &str) -> Option<Value> {
        self.gateway.loaded().documents.apis.get(api_id).cloned()
    }

    /// The definition as written, loaded or not.
    #[must_use]
    pub fn written_api(&self, api_id: &str) -> Option<Value> {
        lock(&self.gateway.written).apis.get(api_id).cloned()
    }

    /// The policy that is in force.
    #[must_use]
    pub fn policy(&self, id: &str) -> Option<Value> {
        self.gateway.loaded().documents.policies.get(id).cloned()
    }

    /// Writes definitions and policies (replacing those of the same id) and loads everything, behind Portico's back.
    pub fn load(&self, apis: Vec<Value>, policies: Vec<Value>) -> std::io::Result<()> {
        self.gateway.write(|written| {
            let id = |document: &Value, name: &str| document[name].as_str().map(str::to_owned);
            written.apis.extend(
                apis.into_iter()
                    .filter_map(|api| Some((id(&api, "api_id")?, api))),
            );
            written.policies.extend(
                policies
                    .into_iter()
                    .filter_map(|one| Some((id(&one, "id")?, one))),
            );
        })?;
        self.gateway.reload();
        Ok(())
    }

    /// Deletes an API and loads, behind Portico's back. `false` if there was none.
    pub fn remove_api(&self, api_id: &str) -> std::io::Result<bool> {
        let removed = self
            .gateway
            .write(|written| written.apis.remove(api_id).is_some())?;
        self.gateway.reload();
        Ok(removed)
    }

    /// Deletes a policy and loads, behind Portico's back. `false` if there was none.
    pub fn remove_policy(&self, id: &str) -> std::io::Result<bool> {
        let removed = self
            .gateway
            .write(|written| written.policies.remove(id).is_some())?;
        self.gateway.reload();
        Ok(removed)
    }

    /// Hashes of the keys that are there.
    #[must_use]
    pub fn key_hashes(&self) -> Vec<String> {
        lock(&self.gateway.keys).keys().cloned().collect()
    }

    /// Creates a key behind Portico's back; its hash.
    pub fn add_key(&self, session: Value) -> String {
        let hash = secret::digest(&secret::random(8));
        lock(&self.gateway.keys).insert(hash.clone(), session);
        hash
    }

    /// Records of the Dashboard's registry that are in force, by `client_idp_id`.
    #[must_use]
    pub fn client_idps(&self) -> std::collections::BTreeMap<String, Value> {
        self.gateway.loaded().documents.client_idps.clone()
    }

    /// The calls of the control API with the right secret, oldest first; the last ten thousand.
    #[must_use]
    pub fn control_calls(&self) -> Vec<ControlCall> {
        lock(&self.gateway.calls).iter().cloned().collect()
    }

    /// Forgets the calls so far.
    pub fn clear_control_calls(&self) {
        lock(&self.gateway.calls).clear();
    }

    /// The next `times` calls of the control API are answered with this status.
    pub fn fail_next_control(&self, times: usize, status: u16) {
        lock(&self.gateway.faults).extend(std::iter::repeat_n(status, times));
    }

    /// Takes back what [`Handle::fail_next_control`] still has to do.
    pub fn clear_faults(&self) {
        lock(&self.gateway.faults).clear();
    }

    /// The next `times` keys are made, but the answer is this status.
    pub fn lose_next_keys(&self, times: usize, status: u16) {
        lock(&self.gateway.lost_keys).extend(std::iter::repeat_n(status, times));
    }

    /// Deletes a key behind Portico's back. `false` if there was none.
    pub fn remove_key(&self, hash: &str) -> bool {
        lock(&self.gateway.keys).remove(hash).is_some()
    }

    /// How often the gateway read a provider's keys.
    #[must_use]
    pub fn jwks_fetches(&self) -> u64 {
        self.gateway.jwks.fetches()
    }

    /// Forgets every rate and quota used.
    pub fn clear_limits(&self) {
        lock(&self.gateway.limits).clear();
    }

    /// The gateway's clock; move it to renew quotas and age the JWKS cache.
    #[must_use]
    pub fn clock(&self) -> SandboxClock {
        self.gateway.clock.clone()
    }
}
