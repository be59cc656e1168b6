//! The provider's state and everything that changes it. A change is stored in the
//! data file before it is visible, so that an answer is never ahead of the file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::behaviour::{Behaviour, Fault, Faults, Operation, suffer};
use super::client::Client;
use super::error::OauthError;
use super::initial_access::InitialAccess;
use crate::clock::SandboxClock;
use crate::jws::SigningKey;
use crate::server::Hangup;
use crate::{secret, store};

/// What is kept in the data file.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) signing_key: String,
    pub(super) scopes: BTreeSet<String>,
    pub(super) clients: BTreeMap<String, Client>,
}

pub(super) struct Inner {
    pub(super) stored: Stored,
    pub(super) initial_access: InitialAccess,
    pub(super) behaviour: Behaviour,
    pub(super) faults: Faults,
    pub(super) seen: HashMap<Operation, u64>,
}

pub(super) struct Provider {
    pub(super) url: String,
    pub(super) key: SigningKey,
    pub(super) clock: SandboxClock,
    pub(super) token_lifetime_seconds: i64,
    pub(super) data_file: Option<PathBuf>,
    pub(super) inner: Mutex<Inner>,
}

impl Provider {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn registration_endpoint(&self) -> String {
        format!("{}/register", self.url)
    }

    /// Counts the request, and answers it by `work` as the fault that waits for it has it.
    pub(super) async fn serve<R: IntoResponse>(
        &self,
        operation: Operation,
        hangup: &Hangup,
        work: impl FnOnce() -> R,
    ) -> Response {
        let fault = self.arrived(operation);
        suffer(fault, hangup, async { work().into_response() }).await
    }

    fn arrived(&self, operation: Operation) -> Option<Fault> {
        let mut inner = self.lock();
        *inner.seen.entry(operation).or_default() += 1;
        inner.faults.take(operation)
    }

    /// Changes the stored state: all of it or, if the file cannot be written, nothing.
    pub(super) fn change<T>(
        &self,
        inner: &mut Inner,
        change: impl FnOnce(&mut Stored) -> T,
    ) -> Result<T, OauthError> {
        let mut next = inner.stored.clone();
        let result = change(&mut next);
        store::save(self.data_file.as_deref(), &next)
            .map_err(|error| OauthError::storage(&error))?;
        inner.stored = next;
        Ok(result)
    }
}

impl Inner {
    /// The client that this registration access token manages. A client that does not
    /// exist is 401 like a wrong token (RFC 7592 section 2.1).
    pub(super) fn managed(
        &self,
        client_id: &str,
        presented: Option<&str>,
    ) -> Result<Client, OauthError> {
        let refused =
            || OauthError::token("the registration access token is not valid for this client");
        let client = self.stored.clients.get(client_id).ok_or_else(refused)?;
        match (presented, &client.registration_access_token) {
            (Some(presented), Some(expected)) if secret::same(presented, expected) => {
                Ok(client.clone())
            }
            _ => Err(refused()),
        }
    }
}
