//! Follows the well-known documents of the identity providers: as often as HTTP caching asks for it (RFC 9111), and when a
//! call fails that may have gone to an endpoint of former times. Another issuer is never followed: tokens would be sent to
//! somebody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use jiff::Timestamp;
use portico_eventstore::Metadata;
use portico_runtime::config::Retry;
use uuid::Uuid;

use super::{WorkError, Worker};
use crate::identity_provider::{Command, IdentityProvider, Location};
use crate::providers::access::{self, Access};
use crate::providers::discovery::refresh;
use crate::providers::{DiscoveryError, Failure};

/// How long a document is taken as fresh that says nothing of it.
const UNSAID: Duration = Duration::from_secs(60 * 60);
/// The longest and the shortest time, whatever the document says.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const SHORTEST: Duration = Duration::from_secs(60);

/// When documents were looked at, by provider.
pub(super) type Documents = Arc<Mutex<HashMap<Uuid, Looked>>>;

/// The last look at a document.
#[derive(Debug, Clone)]
pub(super) struct Looked {
    well_known_url: String,
    at: Timestamp,
    fresh_until: Timestamp,
    etag: Option<HeaderValue>,
}

impl Worker {
    /// Looks at the document of a provider whose last look is not fresh any more.
    pub(super) async fn follow_document(&self, provider: Uuid) -> Result<(), WorkError> {
        let now = self.deps.clock.now();
        let looked = self.documents().get(&provider).cloned();
        if looked.is_some_and(|looked| now < looked.fresh_until) {
            return Ok(());
        }
        let loaded = self.store.load::<IdentityProvider>(provider).await?.state;
        let access = access::open(&self.deps, &self.vault, provider, &loaded).await;
        let access = access.map_err(|error| WorkError::Other(error.to_string()))?;
        self.look(&access).await.map(drop)
    }

    /// After a call failed: whether the provider has moved, so that the same call may go well now. Failures in a row ask
    /// once.
    pub(super) async fn has_moved(
        &self,
        access: &Access,
        failure: &Failure,
    ) -> Result<bool, WorkError> {
        match may_have_moved(failure) && self.begins_look(access.id) {
            true => self.look(access).await,
            false => Ok(false),
        }
    }

    /// Whether the last look was some time ago. The next one begins now, so that calls that fail together ask once.
    fn begins_look(&self, provider: Uuid) -> bool {
        let now = self.deps.clock.now();
        let mut documents = self.documents();
        let never = Looked {
            well_known_url: String::new(),
            at: Timestamp::MIN,
            fresh_until: Timestamp::MIN,
            etag: None,
        };
        let looked = documents.entry(provider).or_insert(never);
        let is_due = now >= Retry::after(looked.at, SHORTEST);
        if is_due {
            looked.at = now;
        }
        is_due
    }

    /// Looks at the document, and records what is new in it. A document that cannot be read changes nothing.
    async fn look(&self, access: &Access) -> Result<bool, WorkError> {
        let location = &access.settings.location;
        let known = self.documents().get(&access.id).cloned();
        let known = known.filter(|known| known.well_known_url == location.well_known_url);
        let etag = known.and_then(|known| known.etag);
        let (url, overrides) = (&location.well_known_url, location.endpoints.overrides());
        let found = refresh(access.fetch(), url, overrides, etag).await;
        let (fresh_for, etag) = match &found {
            Ok(found) => (found.fresh_for.unwrap_or(UNSAID), found.etag.clone()),
            Err(_) => (SHORTEST, None),
        };
        let now = self.deps.clock.now();
        let looked = Looked {
            well_known_url: url.clone(),
            at: now,
            fresh_until: Retry::after(now, fresh_for.clamp(SHORTEST, LONGEST)),
            etag,
        };
        self.documents().insert(access.id, looked);
        match found {
            Ok(found) => match found.endpoints {
                Some(endpoints) if endpoints.issuer != location.endpoints.issuer => {
                    not_followed(access.id, location, &endpoints.issuer);
                    Ok(false)
                }
                Some(endpoints) => {
                    let well_known_url = url.clone();
                    let command = Command::Follow {
                        well_known_url,
                        endpoints,
                    };
                    let followed = self.follow(access.id, &command).await;
                    if followed.is_err() {
                        // With its ETag the same document would not be told again.
                        self.documents().remove(&access.id);
                    }
                    followed
                }
                None => Ok(false),
            },
            Err(DiscoveryError::IssuerMismatch { found, .. }) => {
                not_followed(access.id, location, &found);
                Ok(false)
            }
            Err(error) => {
                tracing::warn!(identity_provider_id = %access.id, %error, "a well-known document cannot be read");
                Ok(false)
            }
        }
    }

    async fn follow(&self, provider: Uuid, command: &Command) -> Result<bool, WorkError> {
        let context = self.jobs.context(&Metadata::default());
        let followed = self
            .store
            .execute::<IdentityProvider>(provider, command, &context)
            .await
            .map_err(|error| WorkError::Other(error.to_string()))?;
        let has_moved = !followed.events.is_empty();
        if has_moved {
            tracing::info!(identity_provider_id = %provider, "the well-known document of an identity provider has changed");
        }
        Ok(has_moved)
    }

    fn documents(&self) -> MutexGuard<'_, HashMap<Uuid, Looked>> {
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_followed(provider: Uuid, location: &Location, found: &str) {
    tracing::error!(identity_provider_id = %provider, issuer = location.endpoints.issuer, found,
        "the well-known document names another issuer now, which is not followed");
}

/// Whether it may be for an endpoint that is not there any more. What is about the request itself, or its token, is not.
fn may_have_moved(failure: &Failure) -> bool {
    match failure.status {
        None => failure.outcome_unknown || failure.code.starts_with("provider_"),
        Some(status) => matches!(status, 301..=308 | 404 | 405 | 410 | 500..),
    }
}
