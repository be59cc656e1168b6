//! Clients that a provider lists and nobody here knows, as after a restore to an earlier instant.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Orphan, OrphanReason, Resolution};
use crate::client_metadata::Marker;
use crate::oauth_client::state::OauthClient;

/// A client that a provider lists and nobody here knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownClient {
    /// What the orphan is listed under, see [`UnknownClient::listed_as`].
    pub marker: String,
    /// RFC 7591 section 3.2.1.
    pub client_id: String,
    /// Of the provider: nothing else may be known of the stream.
    pub identity_provider_id: Uuid,
    /// What it may be able to do, as far as the provider says.
    pub scopes: BTreeSet<String>,
}

impl UnknownClient {
    /// The marker with something of the client's id behind it: attempts are counted anew after a restore, so that another
    /// client may have the same marker.
    #[must_use]
    pub fn listed_as(marker: &Marker, client_id: &str) -> String {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, client_id.as_bytes());
        let id = id.simple().to_string();
        format!("{marker}.{}", &id[..12])
    }
}

impl OauthClient {
    /// Whether the client is in use, or listed and not said to be deleted.
    pub(super) fn knows(&self, unknown: &UnknownClient) -> bool {
        let is_it = |client_id: &str| client_id == unknown.client_id;
        let is_live = self
            .live()
            .is_some_and(|live| is_it(&live.answer.client_id));
        let mut orphans = self.orphans.values().filter(|one| is_it(&one.client_id));
        is_live || orphans.any(|one| one.resolution != Some(Resolution::Deleted))
    }

    /// Of an application that may not be known: a stream can begin with it.
    pub(super) fn list_unknown(&mut self, unknown: &UnknownClient) {
        if self.identity_provider_id.is_nil() {
            self.identity_provider_id = unknown.identity_provider_id;
        }
        let orphan = Orphan {
            client_id: unknown.client_id.clone(),
            scopes: unknown.scopes.clone(),
            reason: OrphanReason::UnknownClient,
            ..Orphan::default()
        };
        self.orphans.insert(unknown.marker.clone(), orphan);
    }
}
