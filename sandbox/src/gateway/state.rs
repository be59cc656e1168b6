//! What the gateway knows: what was written through the control API, and what was
//! loaded from it at the last reload. Only the latter has any effect.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::dashboard::DashboardSettings;
use super::definition::{Api, Policy, read};
use super::jwks::JwksCache;
use super::keys::Keys;
use super::limits::Limits;
use super::policies::Policies;
use crate::clock::SandboxClock;
use crate::store;

/// Documents as they were given, unknown members included.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) apis: BTreeMap<String, Value>,
    pub(super) policies: BTreeMap<String, Value>,
    /// The Dashboard's registry, by `client_idp_id`.
    #[serde(default)]
    pub(super) client_idps: BTreeMap<String, Value>,
}

/// Calls that are remembered; a demo may run for days.
const MOST_CALLS: usize = 10_000;

/// What takes part in decisions.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) documents: Written,
    /// Longest listen path first.
    pub(super) apis: Vec<Api>,
    pub(super) policies: Policies,
}

impl Loaded {
    /// Reads the documents; one that does not parse is left out, the others load.
    pub(super) fn from_written(documents: Written) -> Self {
        let mut apis: Vec<Api> = documents.apis.values().filter_map(parsed::<Api>).collect();
        for api in &mut apis {
            for record in documents.client_idps.values() {
                api.trust(record);
            }
        }
        apis.retain(|api| !api.proxy.listen_path.is_empty());
        apis.sort_by_key(|api| std::cmp::Reverse(api.proxy.listen_path.len()));
        let policies = documents.policies.values().filter_map(parsed::<Policy>);
        Self {
            policies: policies.map(|policy| (policy.id.clone(), policy)).collect(),
            apis,
            documents,
        }
    }

    /// The API whose listen path fits best.
    pub(super) fn api_at(&self, path: &str) -> Option<(&Api, String)> {
        self.apis
            .iter()
            .find_map(|api| api.rest_of(path).map(|rest| (api, rest.to_owned())))
    }
}

fn parsed<T: DeserializeOwned>(document: &Value) -> Option<T> {
    read(document)
        .inspect_err(|error| tracing::warn!(%error, "a document is not loaded"))
        .ok()
}

/// One call of the control API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlCall {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// The path with its query, from `/tyk/` or `/api/` on.
    pub path: String,
}

pub(super) struct Gateway {
    pub(super) secret: String,
    pub(super) clock: SandboxClock,
    pub(super) http: reqwest::Client,
    pub(super) default_policy_needed: bool,
    pub(super) reload_delay: Duration,
    pub(super) data_file: Option<PathBuf>,
    pub(super) written: Mutex<Written>,
    pub(super) loaded: RwLock<Arc<Loaded>>,
    /// None: there is no Dashboard.
    pub(super) dashboard: Option<DashboardSettings>,
    /// Sessions by the hash of their key; gone with the process.
    pub(super) keys: Mutex<Keys>,
    /// `enable_hashed_keys_listing`.
    pub(super) key_listing: bool,
    pub(super) limits: Mutex<Limits>,
    pub(super) jwks: JwksCache,
    pub(super) calls: Mutex<VecDeque<ControlCall>>,
    pub(super) faults: Mutex<VecDeque<u16>>,
    /// Statuses that stand for the answers of the next keys, which are made all the same.
    pub(super) lost_keys: Mutex<VecDeque<u16>>,
    pub(super) stop: CancellationToken,
}

/// A lock that a panic elsewhere does not take away.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    pub(super) fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records a call of the API under this path; the status where it is to fail.
    pub(super) fn arrived(&self, under: &str, request: &Request) -> Option<StatusCode> {
        let path = request.uri().path_and_query().map(ToString::to_string);
        let call = ControlCall {
            method: request.method().to_string(),
            path: format!("{under}{}", path.unwrap_or_default()),
        };
        let mut calls = lock(&self.calls);
        if calls.len() == MOST_CALLS {
            calls.pop_front();
        }
        calls.push_back(call);
        let status = lock(&self.faults).pop_front()?;
        StatusCode::from_u16(status).ok()
    }

    /// Makes what was written take effect.
    pub(super) fn reload(&self) {
        let loaded = Arc::new(Loaded::from_written(lock(&self.written).clone()));
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    /// Changes what is written: all of it or, if the file cannot be written, nothing.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Written) -> T) -> std::io::Result<T> {
        let mut written = lock(&self.written);
        let mut next = written.clone();
        let result = change(&mut next);
        store::save(self.data_file.as_deref(), &next)?;
        *written = next;
        Ok(result)
    }
}
