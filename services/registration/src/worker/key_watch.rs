//! Watches the signing keys of the identity providers in use. A gateway keeps what it fetched for some minutes, in
//! which it refuses every token that a new key signed; so a change is recorded and published.
//! Registration does it because nobody else calls providers.

use std::collections::BTreeSet;
use std::time::Duration;

use portico_eventstore::{Metadata, sqlx};
use serde_json::Value;
use uuid::Uuid;

use super::{WorkError, Worker};
use crate::identity_provider::{IdentityProvider, NoteKeys, ProviderKeys, SeenKeys};
use crate::providers::access;
use crate::views::identity_providers as view;

/// How often the keys are fetched.
const PERIOD: Duration = Duration::from_secs(60);
/// How long a provider has to answer.
const DEADLINE: Duration = Duration::from_secs(10);

impl Worker {
    /// Runs until shutdown.
    pub(crate) async fn watch_keys(self) {
        let shutdown = self.deps.shutdown.clone();
        while !shutdown.is_cancelled() {
            if let Err(error) = self.check_keys().await {
                tracing::warn!(%error, "the keys of identity providers are not watched");
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// One look at all of them. What fails is tried again at the next one.
    pub(super) async fn check_keys(&self) -> Result<(), sqlx::Error> {
        for provider in view::in_use(self.store.database().pool()).await? {
            // First, for the keys may be elsewhere from now on.
            if let Err(error) = self.follow_document(provider).await {
                tracing::warn!(%provider, %error, "the well-known document of an identity provider is not followed");
            }
            if let Err(error) = self.note_keys(provider).await {
                tracing::warn!(%provider, %error, "the keys of an identity provider cannot be read");
            }
        }
        Ok(())
    }

    async fn note_keys(&self, id: Uuid) -> Result<(), WorkError> {
        let other = |error: &dyn std::fmt::Display| WorkError::Other(error.to_string());
        let provider = self.store.load::<IdentityProvider>(id).await?.state;
        let access = access::open(&self.deps, &self.vault, id, &provider).await;
        let access = access.map_err(|error| other(&error))?;
        let Some(url) = &access.settings.location.endpoints.jwks_uri else {
            return Ok(());
        };
        let answer = access.fetch().get(url, DEADLINE).await;
        let (status, body) = answer.map_err(|error| other(&error))?;
        let digest = digest(&body).filter(|_| status == 200);
        let digest = digest.ok_or_else(|| other(&format!("status {status}, no key set")))?;
        let note = NoteKeys(SeenKeys {
            jwks_uri: url.to_string(),
            digest,
        });
        let context = self.jobs.context(&Metadata::default());
        let noted = self.store.execute::<ProviderKeys>(id, &note, &context);
        noted.await.map_err(|error| other(&error))?;
        Ok(())
    }
}

/// RFC 7517 section 5. A key is compared as a whole, because its id may stay; their order says nothing.
fn digest(body: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let keys = document.get("keys")?.as_array()?;
    let keys: BTreeSet<String> = keys.iter().map(Value::to_string).collect();
    let text: Vec<&str> = keys.iter().map(String::as_str).collect();
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.join("\n").as_bytes());
    Some(digest.simple().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_whatever_their_order() {
        let one = digest(br#"{"keys": [{"kid": "1", "n": "a"}, {"kid": "2"}]}"#);
        assert!(one.is_some());
        let reordered = br#"{"keys": [{"kid": "2"}, {"n": "a", "kid": "1"}]}"#;
        assert_eq!(digest(reordered), one);
        let same_id = br#"{"keys": [{"kid": "1", "n": "b"}, {"kid": "2"}]}"#;
        assert_ne!(digest(same_id), one);
        assert_eq!(digest(b"<html>"), None);
    }
}
