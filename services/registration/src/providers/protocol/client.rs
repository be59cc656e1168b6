//! An OAuth client in the calls of a driver: what is sent, what is stored of it, what an answer says.

use std::collections::BTreeSet;

use portico_vault::Secret;
use serde_json::{Map, Value};
use url::Url;

pub use crate::client_metadata::{Marker, Metadata, WantedClient};

/// What stands for a secret where people look.
pub(crate) const REDACTED: &str = "[redacted]";

/// Chosen before the attempt and stored with its intent, so that the attempt can
/// be repeated: the id in the event, the secret in the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenIds {
    /// Unguessable and never used before; a UUID is right.
    pub client_id: String,
    /// At least 32 random bytes, base64url.
    pub client_secret: Secret,
}

/// A registration request.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Where it is sent.
    pub endpoint: Url,
    /// What was wanted.
    pub wanted: WantedClient,
    /// Where the driver chooses the client's id and secret.
    pub chosen: Option<ChosenIds>,
    /// The body, without any secret.
    pub(crate) body: Map<String, Value>,
}

impl Prepared {
    /// The request as an admin may see it.
    #[must_use]
    pub fn preview(&self) -> Preview {
        let mut body = self.body.clone();
        if self.chosen.is_some() && !self.wanted.is_public() {
            body.insert("secret".into(), REDACTED.into());
        }
        Preview {
            action: "register",
            ..Preview::update("POST", self.endpoint.clone(), body)
        }
    }

    /// A request by which the provider chooses the client's id and secret.
    pub(crate) fn new(endpoint: Url, wanted: &WantedClient, body: Map<String, Value>) -> Self {
        Self {
            endpoint,
            wanted: wanted.clone(),
            chosen: None,
            body,
        }
    }
}

/// A request as an admin may see it before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// `register` or `update`.
    pub action: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// Where it would be sent.
    pub endpoint: Url,
    /// What would be sent, secrets redacted.
    pub body: Value,
}

impl Preview {
    /// Of a change of a client.
    pub(crate) fn update(method: &'static str, endpoint: Url, body: Map<String, Value>) -> Self {
        Self {
            action: "update",
            method,
            endpoint,
            body: Value::Object(body),
        }
    }
}

/// What is stored of a registered client, with its secrets out of the vault.
#[derive(Debug, Clone, Default)]
pub struct KnownClient {
    /// RFC 7591 section 3.2.1.
    pub client_id: String,
    /// None for a public client.
    pub client_secret: Option<Secret>,
    /// The latest one; none where no answer ever brought one, or it got lost.
    pub registration_access_token: Option<Secret>,
    /// Used verbatim.
    pub registration_client_uri: Option<Url>,
    /// As of the last answer.
    pub granted: Metadata,
    /// The scopes that Portico asked for last. Others at the client are not ours.
    pub scopes: BTreeSet<String>,
}

/// What an answer says about a client.
#[derive(Debug, Clone, Default)]
pub struct RegisteredClient {
    /// RFC 7591 section 3.2.1.
    pub client_id: String,
    /// None: keep the stored one.
    pub client_secret: Option<Secret>,
    /// None: keep the stored one.
    pub registration_access_token: Option<Secret>,
    /// None: keep the stored one.
    pub registration_client_uri: Option<Url>,
    /// Unix seconds, 0: never (RFC 7591 section 3.2.1).
    pub client_secret_expires_at: u64,
    /// The metadata as granted, without any secret or token.
    pub granted: Metadata,
    /// What an admin should know about the answer beyond the metadata.
    pub warnings: Vec<String>,
    /// What it is marked with, where the answer says so.
    pub marker: Option<Marker>,
    /// After a rotation: the secret before it works, too, until [`crate::providers::Driver::retire_old_secret`].
    pub keeps_old_secret: bool,
}

impl RegisteredClient {
    /// What is known of a client after this answer; nothing stored is lost where the answer brings none.
    #[must_use]
    pub fn merge_into(self, known: KnownClient, scopes: BTreeSet<String>) -> KnownClient {
        KnownClient {
            client_id: self.client_id,
            client_secret: self.client_secret.or(known.client_secret),
            registration_access_token: self
                .registration_access_token
                .or(known.registration_access_token),
            registration_client_uri: self
                .registration_client_uri
                .or(known.registration_client_uri),
            granted: self.granted,
            scopes,
        }
    }

    /// What is known of a client after its registration.
    #[must_use]
    pub fn into_known(self, scopes: BTreeSet<String>) -> KnownClient {
        self.merge_into(KnownClient::default(), scopes)
    }
}

/// What became of an attempt without an outcome.
#[derive(Debug, Clone)]
pub enum Reconciled {
    /// The client is there and it is ours. Without a registration access token
    /// in it and without management credentials it works but cannot be managed.
    Registered(Box<RegisteredClient>),
    /// Nothing is there: register again.
    NotThere,
    /// It cannot be found out. Record the suspicion, then try again within a cap.
    Unknown,
}

/// How a deletion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// By this call.
    Deleted,
    /// It was gone before.
    AlreadyGone,
}
