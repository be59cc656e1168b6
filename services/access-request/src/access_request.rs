//! An access request: an application asks for products, each under a plan. Only this aggregate says what is wanted of
//! granted access, and it joins what registration and gateway make of it.
//!
//! * this file: the state, its revisions, and where a request stands
//! * [`request`]: asking for access, and the decision on it
//! * [`access`]: granted access is suspended, resumed, revoked, retried, or follows the catalogue
//! * `account`: access follows the requester's account
//! * [`join`]: reports of the two halves, and what they amount to
//! * [`credential`]: what happens to the OAuth client or an API key meanwhile
//! * [`submission`]: what was asked for; `status`, `rejection`: the words for callers
#![deny(clippy::wildcard_enum_match_arm)]

pub mod access;
mod account;
pub mod credential;
pub mod join;
mod rejection;
pub mod request;
mod status;
pub mod submission;

#[cfg(test)]
mod tests;

use portico_eventstore::{Aggregate, nested_events};
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

pub use crate::{requester::AccountStatus, terms::ApprovedItem};
pub use join::{Half, Outcome, Report};
pub use rejection::Rejection;
pub use status::Status;
pub use submission::{Credential, OauthClient, RequestedItem, Submission};

use join::{Announcements, Halves, Standing};

/// What is wanted of a request, or known of it. The caller has checked who may.
#[derive(Debug, Clone)]
pub enum Command {
    /// Asking for access, and the decision on it.
    Request(request::Command),
    /// What is wanted of granted access.
    Access(access::Command),
    /// What the requester's account is now.
    Account(AccountStatus),
    /// A half has reported.
    Join(Report),
    /// Something happened to the OAuth client or an API key.
    Credential(credential::Change),
}

nested_events! {
    /// What happened to a request.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Event {
        /// Submission, approval, rejection or withdrawal.
        Request(request::Event),
        /// Something else is wanted of granted access.
        Access(access::Event),
        /// A half reported, or the reports amount to something.
        Join(join::Event),
        /// The OAuth client or an API key changed.
        Credential(credential::Event),
    }
}

/// What people decided; reports do not change it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The request does not exist.
    #[default]
    None,
    /// None yet.
    Pending,
    /// Granted.
    Approved,
    /// Refused.
    Rejected,
    /// Taken back by the requester.
    Withdrawn,
    /// Taken away.
    Revoked,
}

/// Cause of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// An approval; always the first.
    Approved,
    /// An admin retried what had failed.
    Retried,
    /// An admin suspended the access.
    Suspended,
    /// An admin ended their suspension.
    Resumed,
    /// The requester's account was suspended.
    AccountSuspended,
    /// The requester's account is active again.
    AccountActivated,
    /// A revocation; only retries follow.
    Revoked,
    /// Other scopes of a product or plan.
    ScopesChanged,
}

/// What the outside world is to be like at a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The credentials are to work.
    Granted,
    /// Taken away until it is resumed.
    Suspended,
    /// Taken away for ever.
    Revoked,
}

/// State of an access request: what was asked for, what people decided, and how far both halves have come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequest {
    /// Application, items and credential as they were submitted.
    pub submission: Submission,
    /// Decisions of the requester and of admins.
    pub decision: Decision,
    /// Why it was rejected, withdrawn, suspended or revoked; in the vault.
    pub reason: Option<VaultRef>,
    /// What is granted, as of the present revision; empty before the approval.
    pub items: Vec<ApprovedItem>,
    /// What raised each revision, the first one from 0 to 1.
    pub revisions: Vec<Cause>,
    pub(crate) halves: Halves,
    pub(crate) announced: Announcements,
}

type Decided = Result<Vec<Event>, Rejection>;

/// Who holds granted access back. Each ends only their own suspension.
#[derive(Default)]
struct Suspensions {
    by_admin: bool,
    by_account: bool,
}

impl Suspensions {
    fn of(causes: &[Cause]) -> Self {
        let mut now = Self::default();
        for cause in causes {
            match cause {
                Cause::Suspended => now.by_admin = true,
                Cause::Resumed => now.by_admin = false,
                Cause::AccountSuspended => now.by_account = true,
                Cause::AccountActivated => now.by_account = false,
                Cause::Approved | Cause::Retried | Cause::Revoked | Cause::ScopesChanged => {}
            }
        }
        now
    }
}

impl AccessRequest {
    /// Counts what was wanted of granted access; 0 before the approval.
    pub fn revision(&self) -> u64 {
        self.revisions.len() as u64
    }

    /// What is wanted now; `None` before the approval.
    pub fn wanted(&self) -> Option<Wanted> {
        self.wanted_at(self.revision())
    }

    /// What was wanted at a revision; `None` where there was none such.
    pub fn wanted_at(&self, revision: u64) -> Option<Wanted> {
        let until = usize::try_from(revision).ok()?;
        let causes = self.revisions.get(..until)?;
        let suspensions = Suspensions::of(causes);
        Some(match causes {
            [] => return None,
            _ if causes.contains(&Cause::Revoked) => Wanted::Revoked,
            _ if suspensions.by_admin || suspensions.by_account => Wanted::Suspended,
            _ => Wanted::Granted,
        })
    }

    /// Whether an admin has suspended the access itself.
    pub fn admin_suspended(&self) -> bool {
        Suspensions::of(&self.revisions).by_admin
    }

    /// Whether the access is suspended with the requester's account.
    pub fn account_suspended(&self) -> bool {
        Suspensions::of(&self.revisions).by_account
    }

    /// Where it stands; `None` where it does not exist.
    pub fn status(&self) -> Option<Status> {
        Some(match self.decision {
            Decision::None => return None,
            Decision::Pending => Status::Pending,
            Decision::Approved if self.wanted() == Some(Wanted::Suspended) => Status::Suspended,
            Decision::Approved => match self.standing() {
                Standing::Silent => Status::Approved,
                Standing::UnderWay { .. } => Status::Provisioning,
                Standing::Finished { .. } => Status::Active,
                Standing::Failed(_) => Status::Failed,
            },
            Decision::Rejected => Status::Rejected,
            Decision::Withdrawn => Status::Withdrawn,
            Decision::Revoked => Status::Revoked,
        })
    }

    fn must_not_have_ended(&self) -> Result<(), Rejection> {
        match self.decision {
            Decision::None => Err(Rejection::NotFound),
            Decision::Rejected => Err(Rejection::AlreadyRejected),
            Decision::Withdrawn => Err(Rejection::AlreadyWithdrawn),
            Decision::Revoked => Err(Rejection::AlreadyRevoked),
            Decision::Pending | Decision::Approved => Ok(()),
        }
    }
}

impl Aggregate for AccessRequest {
    const CATEGORY: &'static str = "access_request";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Decided {
        match command {
            Command::Request(command) => self.decide_request(command),
            Command::Access(command) => self.decide_access(command),
            Command::Account(status) => self.decide_account(*status),
            Command::Join(report) => self.decide_join(report),
            Command::Credential(change) => self.decide_credential(change),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Request(event) => self.evolve_request(event),
            Event::Access(event) => self.evolve_access(event),
            Event::Join(event) => self.evolve_join(event),
            // It says nothing about where the request stands.
            Event::Credential(credential::Event::CredentialChanged(_)) => {}
        }
    }
}
