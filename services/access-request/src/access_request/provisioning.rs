//! What the registration service reports of a request.
//!
//! Reports may come late, twice or in any order. Each carries its place in the registration's log, and the state
//! keeps the latest of each kind only, so that every order of arrival ends in the same state.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Status;

/// A fact, and where it stands in the registration's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Position in the log of the service that reports.
    pub order: i64,
    /// When it happened there.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What happened at the provider or the gateway. Nothing personal and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The registration has begun.
    Started,
    /// The client was made or changed.
    ClientRegistered {
        /// RFC 7591 section 3.2.1; not a secret.
        client_id: String,
    },
    /// The gateway accepts the scopes.
    GatewayMapped,
    /// The credentials work.
    Provisioned,
    /// A try failed; there will be another one.
    Delayed {
        /// The provider's words.
        reason: String,
        /// RFC 3339, or empty.
        next_try_at: String,
    },
    /// No more tries until an admin wants one.
    Failed {
        /// A stable word.
        code: String,
        /// The provider's words.
        reason: String,
    },
    /// The access was taken away at the provider.
    Deprovisioned {
        /// Whether nothing was left to keep the client for.
        client_deleted: bool,
    },
    /// Something happened to the client that says nothing about where the request stands.
    ClientChanged {
        /// What.
        change: ClientChange,
        /// For people; nothing personal and no secret.
        detail: String,
        /// A user's id, or the service that did it.
        by: String,
    },
}

/// What happened to the client at the provider, or to an API key at a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientChange {
    /// Disabled, or without scopes for a time.
    ClientSuspended,
    /// As before again.
    ClientResumed,
    /// Deleted and registered anew.
    ClientReplaced,
    /// Somebody else has deleted it.
    ClientMissing,
    /// Somebody else has changed it.
    ClientEdited,
    /// A client that nobody knew is the application's now.
    ClientAdopted,
    /// It has a new secret.
    SecretRotated,
    /// Its secret ends soon, or has ended.
    SecretExpiring,
    /// An API key was made.
    KeyCreated,
    /// Its owner has another API key in place of one.
    KeyReplaced,
    /// Its owner was shown an API key.
    KeyRevealed,
    /// An API key is not at the gateway any more.
    KeyDeleted,
    /// What a later version knows.
    ClientChanged,
}

impl ClientChange {
    /// As in the timeline.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSuspended => "client_suspended",
            Self::ClientResumed => "client_resumed",
            Self::ClientReplaced => "client_replaced",
            Self::ClientMissing => "client_missing",
            Self::ClientEdited => "client_edited",
            Self::ClientAdopted => "client_adopted",
            Self::SecretRotated => "secret_rotated",
            Self::SecretExpiring => "secret_expiring",
            Self::KeyCreated => "key_created",
            Self::KeyReplaced => "key_replaced",
            Self::KeyRevealed => "key_revealed",
            Self::KeyDeleted => "key_deleted",
            Self::ClientChanged => "client_changed",
        }
    }

    /// The change of this name; of one that is not known here, that there was one.
    pub fn parse(text: &str) -> Self {
        [
            Self::ClientSuspended,
            Self::ClientResumed,
            Self::ClientReplaced,
            Self::ClientMissing,
            Self::ClientEdited,
            Self::ClientAdopted,
            Self::SecretRotated,
            Self::SecretExpiring,
            Self::KeyCreated,
            Self::KeyReplaced,
            Self::KeyRevealed,
            Self::KeyDeleted,
        ]
        .into_iter()
        .find(|change| change.as_str() == text)
        .unwrap_or(Self::ClientChanged)
    }
}

/// The latest reports. A report counts where it is later than the failure that the last retry answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioning {
    /// Place of the failure that was last retried; what is not after it belongs to an earlier attempt.
    retried: i64,
    provisioned: Option<i64>,
    progress: Option<Progress>,
    failure: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    order: i64,
    next_try_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Failure {
    order: i64,
    code: String,
    reason: String,
}

impl Provisioning {
    pub(super) fn take(&mut self, report: &Report) {
        let order = report.order;
        let progress = |next_try_at: &str| Progress {
            order,
            next_try_at: next_try_at.to_owned(),
        };
        match &report.fact {
            Fact::Started => later(&mut self.progress, progress(""), |p| p.order),
            Fact::Delayed { next_try_at, .. } => {
                later(&mut self.progress, progress(next_try_at), |p| p.order);
            }
            Fact::Provisioned => later(&mut self.provisioned, order, |order| *order),
            Fact::Failed { code, reason } => {
                let failure = Failure {
                    order,
                    code: code.clone(),
                    reason: reason.clone(),
                };
                later(&mut self.failure, failure, |f| f.order);
            }
            // Another request of the same application changes the same client and mapping: these say nothing
            // about where this one stands.
            Fact::ClientRegistered { .. }
            | Fact::GatewayMapped
            | Fact::Deprovisioned { .. }
            | Fact::ClientChanged { .. } => {}
        }
    }

    pub(super) fn retry(&mut self) {
        let failed = self.failure.as_ref().map_or(0, |failure| failure.order);
        self.retried = self.retried.max(failed);
    }

    /// Where an approved request stands.
    pub(super) fn status(&self) -> Status {
        let progress = self.progress().map(|p| p.order);
        match (self.provisioned(), self.failure().map(|f| f.order)) {
            // What works stays so while its client is worked at for another request.
            (Some(done), failed) if failed.is_none_or(|failed| failed < done) => Status::Active,
            (_, Some(failed)) if progress.is_none_or(|progress| progress < failed) => {
                Status::Failed
            }
            _ if progress.is_some() => Status::Provisioning,
            _ => Status::Approved,
        }
    }

    /// The code and the reason of the failure that counts.
    pub fn failed(&self) -> Option<(&str, &str)> {
        (self.status() == Status::Failed)
            .then(|| self.failure())
            .flatten()
            .map(|failure| (failure.code.as_str(), failure.reason.as_str()))
    }

    /// When the next try is, RFC 3339; empty where none is planned.
    pub fn next_try_at(&self) -> &str {
        match self.progress() {
            Some(progress) if self.status() == Status::Provisioning => &progress.next_try_at,
            _ => "",
        }
    }

    fn provisioned(&self) -> Option<i64> {
        self.provisioned.filter(|order| *order > self.retried)
    }

    fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref().filter(|p| p.order > self.retried)
    }

    fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref().filter(|f| f.order > self.retried)
    }
}

/// Keeps the later one of two.
fn later<T>(kept: &mut Option<T>, new: T, order: impl Fn(&T) -> i64) {
    if kept.as_ref().is_none_or(|kept| order(kept) < order(&new)) {
        *kept = Some(new);
    }
}
