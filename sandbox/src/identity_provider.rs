//! A small OAuth 2.0 identity provider that keeps strictly to the RFCs, until a test
//! tells it not to ([`Behaviour`], [`Fault`]).
//!
//! | path | what |
//! |---|---|
//! | `/.well-known/openid-configuration` | OpenID Connect Discovery 1.0 |
//! | `/register` | RFC 7591, with an initial access token or open |
//! | `/register/{client_id}` | RFC 7592; the registration access token rotates on PUT |
//! | `/token` | RFC 6749, `client_credentials` by Basic or in the body |
//! | `/jwks` | RFC 7517, one RSA key |
//! | `/authorize` | refuses: there are no users |
//!
//! A registration without `scope` is granted none. State is in memory, and in
//! [`Settings::data_file`] where one is named, so that a restarted demo finds its
//! clients and its key again.

mod behaviour;
mod client;
mod discovery;
mod error;
mod initial_access;
mod metadata;
mod provider;
mod register;
#[cfg(test)]
mod tests;
mod token;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use serde_json::Value;

pub use behaviour::{Answer, Behaviour, Fault, Operation};
pub use client::Client;
pub use metadata::Metadata;

use crate::clock::SandboxClock;
use crate::jws::{KeyError, SigningKey};
use crate::server::{Bound, Server, StartError, free_port};
use crate::store;
use behaviour::Faults;
use initial_access::InitialAccess;
use provider::{Inner, Provider, Stored};

/// How to start it. `Default` is an open provider on a free port without scopes.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Scopes that the provider knows; those in the data file are added.
    pub scopes: Vec<String>,
    /// Needed to register, as Bearer; `None` leaves registration open.
    pub initial_access_token: Option<String>,
    /// How many registrations the token is good for; `None` is any number. Counted anew at each start.
    pub initial_access_token_uses: Option<u32>,
    /// Life of an access token.
    pub token_lifetime: Duration,
    /// Where clients, scopes and the signing key are kept, in clear.
    pub data_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: free_port(),
            scopes: Vec::new(),
            initial_access_token: None,
            initial_access_token_uses: None,
            token_lifetime: Duration::from_secs(300),
            data_file: None,
        }
    }
}

/// The running provider. Dropping it stops it.
pub struct Handle {
    server: Server,
    provider: Arc<Provider>,
}

/// Starts the provider. Fails when the address is taken or the data file is not one.
pub async fn start(settings: Settings) -> Result<Handle, StartError> {
    let bound = Bound::bind(settings.listen).await?;
    let stored: Option<Stored> = store::load(settings.data_file.as_deref())?;
    let (mut stored, key) = with_key(stored.unwrap_or_default()).await?;
    stored.scopes.extend(settings.scopes);
    let data_file_failed = |error: std::io::Error| StartError::DataFile {
        path: settings
            .data_file
            .as_ref()
            .map(|path| path.display().to_string())
            .unwrap_or_default(),
        reason: error.to_string(),
    };
    store::save(settings.data_file.as_deref(), &stored).map_err(data_file_failed)?;
    let provider = Arc::new(Provider {
        url: bound.url(),
        key,
        clock: SandboxClock::default(),
        token_lifetime_seconds: i64::try_from(settings.token_lifetime.as_secs())
            .unwrap_or(i64::MAX),
        data_file: settings.data_file,
        inner: Mutex::new(Inner {
            stored,
            initial_access: InitialAccess {
                token: settings.initial_access_token,
                uses_left: settings.initial_access_token_uses,
            },
            behaviour: Behaviour::default(),
            faults: Faults::default(),
            seen: HashMap::new(),
        }),
    });
    let router = Router::new()
        .merge(discovery::router())
        .merge(register::router())
        .merge(token::router());
    let server = bound.serve(router.with_state(Arc::clone(&provider)));
    Ok(Handle { server, provider })
}

/// Reads the key from the stored state, or makes one and puts it there.
async fn with_key(stored: Stored) -> Result<(Stored, SigningKey), StartError> {
    if !stored.signing_key.is_empty() {
        let key = SigningKey::from_pem(&stored.signing_key)?;
        return Ok((stored, key));
    }
    let made = tokio::task::spawn_blocking(SigningKey::generate).await;
    let key = made.map_err(|error| KeyError::from(error.to_string()))??;
    Ok((
        Stored {
            signing_key: key.to_pem()?,
            ..stored
        },
        key,
    ))
}

impl Handle {
    /// The issuer: `http://127.0.0.1:port`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Where it listens; start again there to play a restart.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The address of the discovery document.
    #[must_use]
    pub fn well_known_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.url())
    }

    /// The address of the public keys.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.url())
    }

    /// Stops, and returns when the port is free.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// How many clients are live.
    #[must_use]
    pub fn client_count(&self) -> usize {
        self.provider.lock().stored.clients.len()
    }

    /// All live clients, in the order of their ids.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.provider
            .lock()
            .stored
            .clients
            .values()
            .cloned()
            .collect()
    }

    /// The registered client with this id.
    #[must_use]
    pub fn client(&self, client_id: &str) -> Option<Client> {
        self.provider.lock().stored.clients.get(client_id).cloned()
    }

    /// Deletes a client behind Portico's back. `false` if there is none, or if the data file cannot be written.
    pub fn delete_client(&self, client_id: &str) -> bool {
        let deleted = self.change(|stored| stored.clients.remove(client_id).is_some());
        deleted.unwrap_or(false)
    }

    /// Changes a client behind Portico's back. `false` as for `delete_client`.
    pub fn edit_client(&self, client_id: &str, edit: impl FnOnce(&mut Client)) -> bool {
        let edited = self.change(|stored| stored.clients.get_mut(client_id).map(edit).is_some());
        edited.unwrap_or(false)
    }

    /// `None` if the data file cannot be written.
    fn change<T>(&self, change: impl FnOnce(&mut Stored) -> T) -> Option<T> {
        let mut inner = self.provider.lock();
        self.provider.change(&mut inner, change).ok()
    }

    /// The scopes that the provider knows.
    #[must_use]
    pub fn scopes(&self) -> BTreeSet<String> {
        self.provider.lock().stored.scopes.clone()
    }

    /// Makes a scope known. `false` if the data file cannot be written.
    pub fn add_scope(&self, scope: &str) -> bool {
        self.change(|stored| stored.scopes.insert(scope.to_owned()))
            .is_some()
    }

    /// Makes a scope unknown; clients keep it. `false` as for `add_scope`.
    pub fn remove_scope(&self, scope: &str) -> bool {
        self.change(|stored| stored.scopes.remove(scope)).is_some()
    }

    /// Replaces the initial access token and its count; `None` opens registration.
    pub fn set_initial_access_token(&self, token: Option<&str>, uses: Option<u32>) {
        self.provider.lock().initial_access = InitialAccess {
            token: token.map(str::to_owned),
            uses_left: uses,
        };
    }

    /// From now on the initial access token is used up.
    pub fn use_up_initial_access_token(&self) {
        self.provider.lock().initial_access.uses_left = Some(0);
    }

    /// Changes the lasting switches.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.provider.lock().behaviour);
    }

    /// The next `times` requests of that kind suffer the fault, after those that are already waiting.
    pub fn fail_next(&self, operation: Operation, times: usize, fault: Fault) {
        self.provider.lock().faults.add(operation, times, &fault);
    }

    /// Forgets the faults that nobody has met yet.
    pub fn clear_faults(&self) {
        self.provider.lock().faults.clear();
    }

    /// How many requests of that kind arrived, failed ones included.
    #[must_use]
    pub fn requests(&self, operation: Operation) -> u64 {
        let seen = self.provider.lock().seen.get(&operation).copied();
        seen.unwrap_or_default()
    }

    /// Signs any claims with the provider's key, for tokens it would not issue.
    pub fn sign(&self, claims: &Value) -> Result<String, KeyError> {
        self.provider.key.sign(claims)
    }

    /// The provider's clock; move it to let tokens expire.
    #[must_use]
    pub fn clock(&self) -> SandboxClock {
        self.provider.clock.clone()
    }
}
