//! Public keys of identity providers, kept for 240 seconds per API and address. Within
//! that time a key that is not among them is unknown, even if it is there by now.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::jws::KeySet;

const KEPT: SignedDuration = SignedDuration::from_secs(240);
const LARGEST_DOCUMENT: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("not a key set: {0}")]
    NotKeys(#[from] serde_json::Error),
    #[error("too long")]
    TooLong,
}

#[derive(Debug, Default)]
pub(super) struct JwksCache {
    kept: Mutex<HashMap<(String, String), (Timestamp, KeySet)>>,
    fetches: std::sync::atomic::AtomicU64,
}

impl JwksCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), (Timestamp, KeySet)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys at `url`, fetched if they are not kept. A failure is not kept.
    pub(super) async fn keys(
        &self,
        http: &reqwest::Client,
        api_id: &str,
        url: &str,
        now: Timestamp,
    ) -> Result<KeySet, FetchError> {
        let name = (api_id.to_owned(), url.to_owned());
        if let Some((since, keys)) = self.lock().get(&name)
            && now.duration_since(*since) < KEPT
        {
            return Ok(keys.clone());
        }
        self.fetches
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let body = http
            .get(url)
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?;
        if body.len() > LARGEST_DOCUMENT {
            return Err(FetchError::TooLong);
        }
        let keys: KeySet = serde_json::from_slice(&body)?;
        self.lock().insert(name, (now, keys.clone()));
        Ok(keys)
    }

    /// Forgets the keys of one API, or of all.
    pub(super) fn flush(&self, api_id: Option<&str>) {
        self.lock()
            .retain(|(owner, _), _| api_id.is_some_and(|api_id| owner != api_id));
    }

    pub(super) fn fetches(&self) -> u64 {
        self.fetches.load(std::sync::atomic::Ordering::SeqCst)
    }
}
