//! What happened to an OAuth client. Private: the public events are made of these in `publish`.
//!
//! No event holds a secret: secrets and tokens are references into the vault, whose owner is the OAuth client.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::old_secret::OldSecret;
use super::orphan::Resolution;
use crate::granted::{Application, CatalogueChange, Item};
use crate::providers::{Difference, Metadata, WantedClient};

/// An approved access request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Of the access-request service.
    pub request_id: Uuid,
    /// Whose client it is.
    pub application_id: Uuid,
    /// Where it is registered.
    pub identity_provider_id: Uuid,
    /// What kind of client the developer chose.
    pub client_type_id: Uuid,
    /// Who asked.
    pub requester_id: String,
    /// As of the approval.
    pub application: Application,
    /// What was asked for.
    pub items: Vec<Item>,
}

/// What the client is to be, as the grants and the application want it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Of the application.
    pub name: String,
    /// Of the application.
    pub redirect_urls: Vec<String>,
    /// Of all grants. Grant and response types are the union; the first one of the client decides the rest.
    pub client_type_ids: BTreeSet<Uuid>,
    /// Of all products and plans granted.
    pub scopes: BTreeSet<String>,
    /// Nothing of it works for a time: it has no scopes, and is switched off where the provider can.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
}

/// A registration is about to be tried: from now on a client may exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationIntended {
    /// Counts every attempt of this client, of any kind, from 1.
    pub attempt: u32,
    /// Chosen; what providers make of it is the driver's matter.
    pub client_id: String,
    /// The chosen secret.
    pub secret_ref: VaultRef,
    /// Decides how the client authenticates, as long as it lives.
    pub client_type_id: Uuid,
    /// What the client will be after it.
    pub wanted: Wanted,
    /// What is sent, with the marker; kept so that the very same attempt can be repeated.
    pub client: WantedClient,
}

/// What an answer of the provider says about the client. Without any secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// RFC 7591 section 3.2.1.
    pub client_id: String,
    /// None for a public client.
    pub secret_ref: Option<VaultRef>,
    /// The latest registration access token (RFC 7592 section 3); none where the provider gave none.
    pub rat_ref: Option<VaultRef>,
    /// Used verbatim.
    pub registration_client_uri: Option<Url>,
    /// Unix seconds, 0: never.
    pub secret_expires_at: u64,
    /// The metadata as granted.
    pub granted: Metadata,
    /// Where it differs from what was asked.
    pub differences: Vec<Difference>,
    /// What an admin should know beyond that.
    pub warnings: Vec<String>,
}

/// Who refused, or does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The identity provider.
    Provider,
    /// An API gateway.
    Gateway,
}

/// A try failed and will be repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delayed {
    /// The request that waits; none where only something is to be taken away. Of several events of one try, all
    /// but this are the same.
    pub request_id: Option<Uuid>,
    /// Who failed.
    pub target: Target,
    /// A stable word.
    pub code: String,
    /// The provider's own words.
    pub reason: String,
    /// With back-off and jitter, and not before the provider said.
    pub next_try_at: Timestamp,
    /// Failed tries in a row.
    pub attempts: u32,
    /// The attempt has an outcome: nothing came of it.
    pub attempt_over: bool,
    /// Something is to be taken away and cannot be: it is tried from time to time, for ever.
    pub stuck_since: Option<Timestamp>,
}

/// Trying again changes nothing: parked until something changes or an admin retries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// A stable word.
    pub code: String,
    /// The provider's own words.
    pub reason: String,
    /// The attempt has an outcome: nothing came of it.
    pub attempt_over: bool,
    /// It may be due to one of several requests: from now on they are tried one at a time.
    pub one_at_a_time: bool,
    /// When it was parked.
    pub at: Timestamp,
}

/// A request that came to nothing until it is retried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Which one.
    pub request_id: Uuid,
    /// For the public event.
    pub application_id: Uuid,
    /// For the public event.
    pub application_name: String,
    /// For the public event.
    pub identity_provider_id: Uuid,
    /// Who refused.
    pub target: Target,
    /// A stable word.
    pub code: String,
    /// The provider's own words.
    pub reason: String,
}

/// The credentials work for everything that the request asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioned {
    /// Which one.
    pub request_id: Uuid,
    /// Whose client.
    pub application_id: Uuid,
    /// For the public event.
    pub application_name: String,
    /// Where.
    pub identity_provider_id: Uuid,
    /// RFC 7591 section 3.2.1.
    pub client_id: String,
    /// Of this request.
    pub scopes: BTreeSet<String>,
    /// For the public event.
    pub product_names: Vec<String>,
    /// Who asked.
    pub requester_id: String,
}

/// What happened to an OAuth client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// An access request was approved.
    Granted(Granted),
    /// It was revoked. It may never have been granted here: messages come in any order.
    GrantWithdrawn {
        /// Which one.
        request_id: Uuid,
        /// Whose client.
        application_id: Uuid,
        /// Where.
        identity_provider_id: Uuid,
    },
    /// An admin wants a failed or waiting request tried again, now.
    Retried {
        /// Which one.
        request_id: Uuid,
    },
    /// The application has another name or other redirect URLs.
    ApplicationChanged(Application),
    /// A product or a plan that is granted was changed in the catalogue.
    CatalogueChanged(CatalogueChange),
    /// The first attempt for a request begins.
    Started {
        /// Which one.
        request_id: Uuid,
        /// For the public event.
        application_id: Uuid,
        /// For the public event.
        identity_provider_id: Uuid,
    },
    /// See [`RegistrationIntended`].
    RegistrationIntended(RegistrationIntended),
    /// The client is registered.
    Registered {
        /// Which attempt.
        attempt: u32,
        /// By the provider.
        answer: Answered,
        /// The requests that have their scopes by it.
        request_ids: Vec<Uuid>,
    },
    /// The registration has no outcome, and none can be found out: a client may exist that nobody knows.
    OrphanSuspected {
        /// Which attempt.
        attempt: u32,
        /// What the client is marked with, where the provider keeps it.
        marker: String,
    },
    /// The client is about to be changed.
    UpdateIntended {
        /// Which attempt.
        attempt: u32,
        /// What the client will be after it.
        wanted: Wanted,
        /// What is sent.
        client: WantedClient,
    },
    /// The client is as it was wanted.
    Updated {
        /// Which attempt.
        attempt: u32,
        /// By the provider.
        answer: Answered,
        /// The requests that have their scopes by it.
        request_ids: Vec<Uuid>,
    },
    /// A new registration access token came with an answer that brought nothing else.
    TokenReplaced {
        /// The new one.
        rat_ref: VaultRef,
    },
    /// The client is about to be deleted.
    DeleteIntended {
        /// Which attempt.
        attempt: u32,
    },
    /// The client is not at the provider any more.
    Deleted {
        /// By somebody else, against what is wanted.
        unexpected: bool,
    },
    /// The secret is about to be replaced.
    RotationIntended {
        /// Which attempt.
        attempt: u32,
        /// The chosen secret.
        secret_ref: VaultRef,
    },
    /// The secret was replaced.
    SecretRotated {
        /// Which attempt.
        attempt: u32,
        /// By the provider.
        answer: Answered,
        /// The one before, where it still works.
        #[serde(default)]
        old_secret: Option<OldSecret>,
    },
    /// The secret was not replaced.
    RotationRefused {
        /// Which attempt.
        attempt: u32,
        /// A stable word.
        code: String,
        /// The provider's own words.
        reason: String,
    },
    /// Gateways have what is wanted.
    GatewayMapped {
        /// Which ones.
        gateway_ids: Vec<String>,
        /// What was wanted up to this revision.
        revision: u64,
        /// The requests that work at the gateways by it.
        request_ids: Vec<Uuid>,
    },
    /// A gateway refused.
    MappingRefused {
        /// Which ones were to be written.
        gateway_ids: Vec<String>,
        /// What was wanted up to this revision.
        revision: u64,
        /// A stable word.
        code: String,
        /// The gateway's own words.
        reason: String,
    },
    /// See [`Provisioned`].
    Provisioned(Provisioned),
    /// Nothing of a revoked request is left.
    Deprovisioned {
        /// Which one.
        request_id: Uuid,
        /// For the public event.
        application_id: Uuid,
        /// It was the last one.
        client_deleted: bool,
    },
    /// See [`Delayed`].
    Delayed(Delayed),
    /// See [`Refused`].
    Refused(Refused),
    /// See [`Failed`].
    Failed(Failed),
    /// The provider takes no registrations: this one waits, and is not counted.
    Held {
        /// The waiting request that this is said for, if there is one; each gets an event of its own.
        #[serde(default)]
        request_id: Option<Uuid>,
        /// A stable word.
        code: String,
        /// The provider's own words.
        reason: String,
        /// The attempt has an outcome: nothing came of it.
        attempt_over: bool,
    },
    /// The client is not at the provider any more, and is wanted: it is registered again, for everybody it served.
    FoundMissing {
        /// Which client.
        client_id: String,
    },
    /// The client was changed at the provider by somebody else: it is made again what is wanted.
    FoundChanged {
        /// Members of RFC 7591 section 2.
        members: Vec<String>,
    },
    /// The provider was changed, or takes registrations again.
    Resumed,
    /// Somebody looked at the secret; who is in the metadata.
    CredentialsRevealed,
    /// A request's access is taken away for a time, or given back. It may not be granted here yet: messages come in
    /// any order.
    GrantSuspended {
        /// Which one.
        request_id: Uuid,
        /// Whose client.
        application_id: Uuid,
        /// Where.
        identity_provider_id: Uuid,
        /// Away, or back.
        suspended: bool,
        /// Position in the log of the access-request service.
        as_of: i64,
    },
    /// The client is switched off at the provider, or on again.
    SuspensionApplied {
        /// Off, or on.
        suspended: bool,
    },
    /// A client type of the client was changed.
    ClientTypeChanged {
        /// Which one.
        client_type_id: Uuid,
    },
    /// The client is to be deleted and another one registered; who wants it is in the metadata.
    ReplacementIntended,
    /// The secret ends soon, or has ended.
    SecretExpiring {
        /// Unix seconds.
        expires_at: u64,
        /// One of [`super::NOTICES`].
        days_left: u32,
        /// It is rotated now.
        rotates: bool,
        /// It was so near already when the secret was given: nobody is told.
        silent: bool,
    },
    /// The secret before the last rotation is to end before its time; who wants it is in the metadata.
    OldSecretEndAsked {
        /// At once.
        at: Timestamp,
    },
    /// The secret before the last rotation does not work any more.
    OldSecretRetired,
    /// The provider has not ended the secret before the last rotation.
    OldSecretNotEnded {
        /// When it is asked again.
        again_at: Timestamp,
        /// A stable word.
        code: String,
        /// The provider's own words.
        reason: String,
    },
    /// The provider does not delete the client.
    DeleteRefused {
        /// What it is marked with.
        marker: String,
        /// Which client.
        client_id: String,
        /// A stable word.
        code: String,
        /// The provider's own words.
        reason: String,
        /// Its scopes were taken away instead, and it is given up.
        powerless: bool,
        /// What it is managed with.
        rat_ref: Option<VaultRef>,
    },
    /// A client was registered after its attempt had been given up.
    OrphanFound {
        /// What it is marked with.
        marker: String,
        /// Which client.
        client_id: String,
        /// What it is managed with.
        rat_ref: Option<VaultRef>,
        /// Where it is managed.
        uri: Option<Url>,
    },
    /// Somebody said which client an orphan is.
    OrphanClaimed {
        /// What it is marked with.
        marker: String,
        /// Which client.
        client_id: String,
        /// What it is managed with.
        rat_ref: Option<VaultRef>,
        /// Where it is managed.
        uri: Option<Url>,
    },
    /// Somebody has seen to an orphan; who is in the metadata.
    OrphanResolved {
        /// What it is marked with.
        marker: String,
        /// How.
        how: Resolution,
        /// Why, in the vault.
        note: Option<VaultRef>,
    },
    /// An orphan is the client now.
    Adopted {
        /// What it is marked with.
        marker: String,
        /// As the provider has it, with a new secret.
        answer: Answered,
        /// Of the first request.
        client_type_id: Uuid,
    },
}

/// Gateways that an item's APIs are behind, as they stand there: an empty one is found out by who maps.
pub(super) fn gateways(items: &[Item]) -> BTreeSet<String> {
    items
        .iter()
        .flat_map(|item| &item.apis)
        .map(|api| api.gateway_id.clone())
        .collect()
}

/// Gateways that have yet to be written, with the revision that asked for it.
pub(super) type Unmapped = BTreeMap<String, u64>;
