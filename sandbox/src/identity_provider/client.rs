//! A registered client as the provider stores it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::behaviour::Behaviour;
use super::metadata::Metadata;
use crate::secret;

/// A registered client. Its `Debug` leaves the secrets out.
#[derive(Clone, Serialize, Deserialize)]
pub struct Client {
    /// Chosen by the provider.
    pub client_id: String,
    /// `None` for a public client.
    pub client_secret: Option<String>,
    /// Manages this client and no other; `None` where management is off.
    pub registration_access_token: Option<String>,
    /// Seconds since the epoch.
    pub issued_at: i64,
    /// What was granted.
    pub metadata: Metadata,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("client_id", &self.client_id)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn register(metadata: Metadata, issued_at: i64, behaviour: &Behaviour) -> Self {
        Self {
            client_id: format!("client-{}", &secret::random(12)),
            client_secret: (metadata.token_endpoint_auth_method != "none")
                .then(|| secret::random(32)),
            registration_access_token: (!behaviour.no_management).then(|| secret::random(32)),
            issued_at,
            metadata,
        }
    }

    /// The client after a PUT (RFC 7592 section 2.2): metadata replaced as a whole,
    /// the registration access token rotated.
    pub(super) fn updated(&self, metadata: Metadata, behaviour: &Behaviour) -> Self {
        let confidential = metadata.token_endpoint_auth_method != "none";
        let keep_secret = self
            .client_secret
            .clone()
            .filter(|_| !behaviour.new_secret_on_update);
        Self {
            client_secret: confidential.then(|| keep_secret.unwrap_or_else(|| secret::random(32))),
            registration_access_token: if behaviour.keep_token_on_update {
                self.registration_access_token.clone()
            } else {
                Some(secret::random(32))
            },
            metadata,
            ..self.clone()
        }
    }

    /// The client information response (RFC 7591 section 3.2.1).
    pub(super) fn information(
        &self,
        registration_endpoint: &str,
        behaviour: &Behaviour,
    ) -> Map<String, Value> {
        let mut members = self.metadata.members();
        members.insert("client_id".to_owned(), self.client_id.clone().into());
        members.insert("client_id_issued_at".to_owned(), self.issued_at.into());
        if let Some(secret) = &self.client_secret {
            members.insert("client_secret".to_owned(), secret.clone().into());
            if !behaviour.no_secret_expiry {
                members.insert("client_secret_expires_at".to_owned(), json!(0));
            }
        }
        if let Some(ends) = &behaviour.secret_expires_at {
            members.insert("client_secret_expires_at".to_owned(), ends.clone());
        }
        if let Some(token) = self
            .registration_access_token
            .as_ref()
            .filter(|_| !behaviour.no_management)
        {
            members.insert("registration_access_token".to_owned(), token.clone().into());
            let uri = format!("{registration_endpoint}/{}", self.client_id);
            members.insert("registration_client_uri".to_owned(), uri.into());
        }
        members
    }

    /// As [`Client::information`], for a GET.
    pub(super) fn read(
        &self,
        registration_endpoint: &str,
        behaviour: &Behaviour,
    ) -> Map<String, Value> {
        let mut members = self.information(registration_endpoint, behaviour);
        if let Some(secret) = self
            .client_secret
            .as_ref()
            .filter(|_| behaviour.hide_secret_on_read)
        {
            let digest = secret::digest(secret);
            members.insert("client_secret".to_owned(), digest.into());
        }
        members
    }
}
