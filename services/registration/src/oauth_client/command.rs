//! What can be asked of an OAuth client, and why it is refused.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_proto::Error;
use portico_vault::VaultRef;
use uuid::Uuid;

use url::Url;

use super::event::{Answered, Granted, Target, Wanted};
use super::old_secret::OldSecret;
use super::orphan::Resolution;
use crate::granted::{Application, CatalogueChange};

/// What the client types of a client make it. Grant and response types are the union of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kind {
    /// RFC 7591 section 2.
    pub grant_types: BTreeSet<String>,
    /// RFC 7591 section 2.
    pub response_types: BTreeSet<String>,
    /// RFC 7591 section 2; of the client type that came first.
    pub token_endpoint_auth_method: String,
    /// As [`Kind::token_endpoint_auth_method`]; used by Okta only.
    pub okta_application_type: String,
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// A stable word.
    pub code: String,
    /// The provider's own words.
    pub reason: String,
    /// The attempt has an outcome: nothing came of it.
    pub attempt_over: bool,
}

/// What can be asked. From outside up to [`Command::Reveal`]; the rest is the worker's.
#[derive(Debug, Clone)]
pub enum Command {
    /// An access request was approved.
    Grant(Granted),
    /// It was revoked.
    Withdraw {
        /// Which one.
        request_id: Uuid,
        /// Whose client.
        application_id: Uuid,
        /// Where.
        identity_provider_id: Uuid,
    },
    /// Try again what failed or waits.
    Retry {
        /// Which request.
        request_id: Uuid,
    },
    /// The application has another name or other redirect URLs.
    ChangeApplication(Application),
    /// A product or a plan was changed in the catalogue.
    FollowCatalogue(CatalogueChange),
    /// The provider was changed, or takes registrations again.
    Resume,
    /// Give the client a new secret.
    Rotate {
        /// The chosen one, in the vault.
        secret_ref: VaultRef,
    },
    /// Somebody looks at the credentials.
    Reveal,

    /// A registration is about to be tried.
    IntendRegistration {
        /// As it was when the step was decided.
        wanted: Wanted,
        /// Of its client types.
        kind: Kind,
        /// The first one.
        client_type_id: Uuid,
        /// Chosen.
        client_id: String,
        /// Chosen, in the vault.
        secret_ref: VaultRef,
        /// The client gets its scopes by an update, once it is known here.
        without_scopes: bool,
    },
    /// The client is registered.
    CompleteRegistration {
        /// Which attempt.
        attempt: u32,
        /// By the provider.
        answer: Answered,
    },
    /// Nothing can be found out about an attempt.
    SuspectOrphan {
        /// Which attempt.
        attempt: u32,
        /// Suspicions in a row before it is parked.
        cap: u32,
        /// As in [`Command::Refuse`].
        again_at: Timestamp,
        /// Now.
        at: Timestamp,
    },
    /// An update is about to be tried.
    IntendUpdate {
        /// As it was when the step was decided.
        wanted: Wanted,
        /// Of its client types.
        kind: Kind,
    },
    /// The client is as it was wanted.
    CompleteUpdate {
        /// Which attempt.
        attempt: u32,
        /// By the provider.
        answer: Answered,
    },
    /// An answer brought a new registration access token, and nothing else.
    ReplaceToken {
        /// Which attempt.
        attempt: u32,
        /// The new one, in the vault.
        rat_ref: VaultRef,
    },
    /// A deletion is about to be tried.
    IntendDelete,
    /// The client is not at the provider.
    CompleteDelete {
        /// Which client.
        client_id: String,
    },
    /// The secret was replaced.
    CompleteRotation {
        /// Which attempt.
        attempt: u32,
        /// By the provider.
        answer: Answered,
        /// The one before, where it still works.
        old_secret: Option<OldSecret>,
    },
    /// The secret cannot be replaced.
    RefuseRotation {
        /// Which attempt.
        attempt: u32,
        /// Why.
        failing: Failing,
    },
    /// Gateways have what was wanted.
    CompleteMapping {
        /// Which ones.
        gateway_ids: Vec<String>,
        /// Up to this revision.
        revision: u64,
        /// There is no gateway that this could be written to.
        skipped: bool,
    },
    /// A gateway refused for good.
    RefuseMapping {
        /// Which ones.
        gateway_ids: Vec<String>,
        /// Up to this revision.
        revision: u64,
        /// Why.
        failing: Failing,
        /// When to try again, if something is to be taken away.
        again_at: Timestamp,
        /// Now.
        at: Timestamp,
    },
    /// Somebody looked at the provider: the client is not there any more.
    FindMissing {
        /// Which client.
        client_id: String,
    },
    /// Somebody looked at the provider: the client was changed there.
    FindChanged {
        /// Which client.
        client_id: String,
        /// Members of RFC 7591 section 2.
        members: Vec<String>,
    },
    /// Looking brought a new registration access token.
    KeepToken {
        /// Which client.
        client_id: String,
        /// The new one, in the vault.
        rat_ref: VaultRef,
    },
    /// Say what has come to its end.
    Announce,
    /// A try failed and will be repeated.
    Delay {
        /// Who failed.
        target: Target,
        /// Why.
        failing: Failing,
        /// When to try again.
        next_try_at: Timestamp,
    },
    /// The provider refused for good.
    Refuse {
        /// Why.
        failing: Failing,
        /// When to try again, if something is to be taken away: that is never given up.
        again_at: Timestamp,
        /// Now.
        at: Timestamp,
    },
    /// The provider takes no registrations.
    Hold(Failing),
    /// An admin takes a request's access away for a time, or gives it back.
    SuspendGrant {
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
    /// A client type was changed: clients of it follow.
    FollowType {
        /// Which one.
        client_type_id: Uuid,
    },
    /// Delete the client and register another one.
    Replace,
    /// An admin wants everything tried now that waits at the provider.
    RetryNow,
    /// It is time to say that the secret ends.
    NoticeExpiry {
        /// One of [`super::NOTICES`].
        days_left: u32,
        /// It is rotated now.
        rotates: bool,
        /// It was so near already when the secret was given.
        silent: bool,
    },
    /// Somebody wants the secret before the last rotation to end before its time.
    EndOldSecret {
        /// Now.
        at: Timestamp,
    },
    /// The secret before the last rotation does not work any more.
    RetireSecret,
    /// The provider has not ended the secret before the last rotation.
    KeepOldSecret {
        /// Why.
        failing: Failing,
        /// When to try again: that is never given up.
        again_at: Timestamp,
    },
    /// The provider does not delete the client.
    RefuseDelete {
        /// Which client.
        client_id: String,
        /// Why.
        failing: Failing,
        /// Its scopes were taken away instead.
        powerless: bool,
        /// What it is managed with, in the vault under [`super::ORPHAN_OWNER`].
        rat_ref: Option<VaultRef>,
    },
    /// A client was registered after its attempt had been given up.
    FindOrphan {
        /// What it is marked with.
        marker: String,
        /// Which client.
        client_id: String,
        /// As in [`Command::RefuseDelete`].
        rat_ref: Option<VaultRef>,
        /// Where it is managed.
        uri: Option<Url>,
    },
    /// Somebody says which client an orphan is.
    ClaimOrphan {
        /// What it is marked with.
        marker: String,
        /// Which client.
        client_id: String,
        /// As in [`Command::RefuseDelete`].
        rat_ref: Option<VaultRef>,
        /// Where it is managed.
        uri: Option<Url>,
    },
    /// Somebody has seen to an orphan.
    ResolveOrphan {
        /// What it is marked with.
        marker: String,
        /// How.
        how: Resolution,
        /// Why, in the vault.
        note: Option<VaultRef>,
    },
    /// An orphan becomes the client.
    Adopt {
        /// What it is marked with.
        marker: String,
        /// As the provider has it, with a new secret.
        answer: Answered,
        /// Of the first request.
        client_type_id: Uuid,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Things have changed since the step was decided: decide it anew.
    #[error("the OAuth client has changed meanwhile")]
    Superseded,
    /// Nothing is registered that could be rotated or revealed.
    #[error("there is no registered OAuth client")]
    NotRegistered,
    /// Only the newest secret works.
    #[error("the OAuth client has no old secret")]
    NoOldSecret,
    /// Something is under way at the provider.
    #[error("the OAuth client is being changed")]
    Busy,
    /// An admin has taken it away for a time.
    #[error("the OAuth client is suspended")]
    Suspended,
    /// There is no such orphan.
    #[error("there is no such orphan")]
    OrphanUnknown,
    /// Somebody has seen to it before.
    #[error("the orphan was seen to already")]
    OrphanResolved,
    /// The application has a client.
    #[error("the application has an OAuth client")]
    HasClient,
    /// No access is granted that a client would be for.
    #[error("no OAuth client is wanted")]
    NotWanted,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let conflict = |code: &'static str, words: &str| {
            Self::new(portico_proto::Kind::Conflict, code, words.to_owned())
        };
        match rejection {
            Rejection::NotRegistered => conflict(
                "client_not_registered",
                "The application has no OAuth client at this identity provider yet; wait until its access request \
                 is active.",
            ),
            Rejection::NoOldSecret => conflict(
                "no_old_secret",
                "Only the newest client secret works; there is no old one to end.",
            ),
            Rejection::Suspended => conflict(
                "client_suspended",
                "An admin has suspended this access; its credentials work again when it is resumed.",
            ),
            Rejection::OrphanUnknown => Self::not_found("orphan"),
            Rejection::OrphanResolved => conflict(
                "orphan_resolved",
                "This orphan was adopted, deleted or dismissed already.",
            ),
            Rejection::HasClient => conflict(
                "application_has_client",
                "The application has another OAuth client at this identity provider by now; delete the orphan instead.",
            ),
            Rejection::NotWanted => conflict(
                "client_not_wanted",
                "No access of the application needs an OAuth client at this identity provider; delete the orphan \
                 instead.",
            ),
            Rejection::Superseded | Rejection::Busy => conflict(
                "client_busy",
                "The OAuth client is being changed right now; try again in a moment.",
            ),
        }
    }
}
