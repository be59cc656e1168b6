//! An access request: an application asks for products, each under a plan.
//!
//! * this file: commands, events, `decide` and `evolve`
//! * [`submission`]: what was asked for, and what an approval adds
//! * [`provisioning`]: what the registration service reports, whatever order the reports come in

pub mod provisioning;
pub mod submission;

#[cfg(test)]
mod orders;
#[cfg(test)]
mod tests;

use portico_eventstore::Aggregate;
use portico_proto::{Error, Kind};
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

pub use provisioning::{ClientChange, Fact, Provisioning, Report};
pub use submission::{ApprovedItem, Credential, GatewayApi, Limit, RequestedItem, Submission};

/// What is to be done with a request. The caller has checked who may.
#[derive(Debug, Clone)]
pub enum Command {
    /// Asks for access.
    Submit(Submission),
    /// Grants it.
    Approve {
        /// What the registration needs to know, one for each requested item.
        items: Vec<ApprovedItem>,
        /// In the vault.
        note: Option<VaultRef>,
    },
    /// Refuses it.
    Reject {
        /// In the vault.
        reason: VaultRef,
    },
    /// The requester takes it back.
    Withdraw {
        /// In the vault.
        reason: Option<VaultRef>,
    },
    /// Takes granted access away.
    Revoke {
        /// In the vault.
        reason: Option<VaultRef>,
    },
    /// Has a failed registration tried again.
    Retry,
    /// Takes granted access away for a time.
    Suspend {
        /// In the vault.
        reason: Option<VaultRef>,
    },
    /// Gives it back.
    Resume,
    /// Takes in what the registration service reports.
    Report(Report),
}

/// What happened to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// Somebody asked for access.
    Submitted(Submission),
    /// It was granted.
    Approved {
        /// One for each requested item.
        items: Vec<ApprovedItem>,
        /// In the vault.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<VaultRef>,
    },
    /// It was refused.
    Rejected {
        /// In the vault.
        reason: VaultRef,
    },
    /// The requester took it back.
    Withdrawn {
        /// In the vault.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<VaultRef>,
    },
    /// Granted access was taken away.
    Revoked {
        /// In the vault.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<VaultRef>,
    },
    /// A failed registration is to be tried again.
    Retried,
    /// Granted access was taken away for a time.
    Suspended {
        /// In the vault.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<VaultRef>,
    },
    /// It was given back.
    Resumed,
    /// The registration service reported something.
    Reported(Report),
}

/// What people decided; the registration's reports do not change it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It does not exist.
    #[default]
    None,
    /// Nobody has decided yet.
    Pending,
    /// Granted.
    Approved,
    /// Refused.
    Rejected,
    /// Taken back.
    Withdrawn,
    /// Taken away.
    Revoked,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for a decision.
    Pending,
    /// Granted; the registration has not begun.
    Approved,
    /// The registration is under way.
    Provisioning,
    /// The credentials work.
    Active,
    /// Taken away for a time.
    Suspended,
    /// The registration waits for an admin.
    Failed,
    /// Refused.
    Rejected,
    /// Taken back by the requester.
    Withdrawn,
    /// Taken away.
    Revoked,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Approved,
        Self::Provisioning,
        Self::Active,
        Self::Suspended,
        Self::Failed,
        Self::Rejected,
        Self::Withdrawn,
        Self::Revoked,
    ];

    /// As in REST and gRPC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
        }
    }
}

/// An access request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequest {
    /// What was asked for.
    pub submission: Submission,
    /// What people decided.
    pub decision: Decision,
    /// Why it was refused, taken back or taken away; in the vault.
    pub reason: Option<VaultRef>,
    /// What the registration service reported.
    pub provisioning: Provisioning,
    /// Taken away for a time.
    #[serde(default)]
    pub suspended: bool,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It does not exist.
    #[error("there is no such access request")]
    NotFound,
    /// Its id is taken.
    #[error("the access request was submitted already")]
    AlreadySubmitted,
    /// It was granted before.
    #[error("the access request was approved already")]
    AlreadyApproved,
    /// It was refused before.
    #[error("the access request was rejected")]
    AlreadyRejected,
    /// The requester took it back before.
    #[error("the access request was withdrawn")]
    AlreadyWithdrawn,
    /// It was taken away before.
    #[error("the access request was revoked")]
    AlreadyRevoked,
    /// Only before the decision.
    #[error("the access request is decided already")]
    NotPending,
    /// Only after an approval.
    #[error("the access request is not approved")]
    NotApproved,
    /// It was taken away for a time before.
    #[error("the access request is suspended already")]
    AlreadySuspended,
    /// Only what is suspended.
    #[error("the access request is not suspended")]
    NotSuspended,
    /// Only after a failure.
    #[error("the access request has not failed")]
    NotFailed,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let (code, message) = match rejection {
            Rejection::NotFound => return Self::not_found("access request"),
            Rejection::AlreadySubmitted => (
                "already_submitted",
                "This access request was submitted already.",
            ),
            Rejection::AlreadyApproved => (
                "already_approved",
                "This access request was approved already; to take the access away, revoke it.",
            ),
            Rejection::AlreadyRejected => (
                "already_rejected",
                "This access request was rejected; a new one can be submitted.",
            ),
            Rejection::AlreadyWithdrawn => (
                "already_withdrawn",
                "The developer withdrew this access request; a new one can be submitted.",
            ),
            Rejection::AlreadyRevoked => (
                "already_revoked",
                "This access was revoked; a new access request can be submitted.",
            ),
            Rejection::NotPending => (
                "not_pending",
                "This access request is decided already; only a pending one can be withdrawn. Revoke it instead.",
            ),
            Rejection::NotApproved => (
                "not_approved",
                "This access request is still pending; reject it or withdraw it instead.",
            ),
            Rejection::AlreadySuspended => (
                "already_suspended",
                "This access is suspended already; resume it to give it back.",
            ),
            Rejection::NotSuspended => (
                "not_suspended",
                "This access is not suspended; only suspended access can be resumed.",
            ),
            Rejection::NotFailed => (
                "not_failed",
                "This access request has not failed; only a failed one can be tried again.",
            ),
        };
        Self::new(Kind::Conflict, code, message)
    }
}

impl AccessRequest {
    /// Where it stands; `None` where it does not exist.
    pub fn status(&self) -> Option<Status> {
        Some(match self.decision {
            Decision::None => return None,
            Decision::Pending => Status::Pending,
            Decision::Approved if self.suspended => Status::Suspended,
            Decision::Approved => self.provisioning.status(),
            Decision::Rejected => Status::Rejected,
            Decision::Withdrawn => Status::Withdrawn,
            Decision::Revoked => Status::Revoked,
        })
    }

    /// What stands in the way of `Approve` and `Reject`.
    fn must_wait_for_decision(&self) -> Result<(), Rejection> {
        match self.decision {
            Decision::Pending => Ok(()),
            Decision::Approved => Err(Rejection::AlreadyApproved),
            _ => self.must_go_on(),
        }
    }

    /// What stands in the way of taking granted access away.
    fn must_be_approved(&self) -> Result<(), Rejection> {
        self.must_go_on()?;
        match self.decision {
            Decision::Approved => Ok(()),
            _ => Err(Rejection::NotApproved),
        }
    }

    /// What stands in the way of everything: it is not there, or its end.
    fn must_go_on(&self) -> Result<(), Rejection> {
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

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let event = match command {
            Command::Submit(submission) => {
                if self.decision != Decision::None {
                    return Err(Rejection::AlreadySubmitted);
                }
                Event::Submitted(submission.clone())
            }
            Command::Approve { items, note } => {
                self.must_wait_for_decision()?;
                Event::Approved {
                    items: items.clone(),
                    note: *note,
                }
            }
            Command::Reject { reason } => {
                self.must_wait_for_decision()?;
                Event::Rejected { reason: *reason }
            }
            Command::Withdraw { reason } => {
                self.must_go_on()?;
                if self.decision != Decision::Pending {
                    return Err(Rejection::NotPending);
                }
                Event::Withdrawn { reason: *reason }
            }
            Command::Revoke { reason } => {
                self.must_be_approved()?;
                Event::Revoked { reason: *reason }
            }
            Command::Retry => {
                self.must_go_on()?;
                if self.status() != Some(Status::Failed) {
                    return Err(Rejection::NotFailed);
                }
                Event::Retried
            }
            Command::Suspend { reason } => {
                self.must_be_approved()?;
                if self.suspended {
                    return Err(Rejection::AlreadySuspended);
                }
                Event::Suspended { reason: *reason }
            }
            Command::Resume => {
                self.must_be_approved()?;
                if !self.suspended {
                    return Err(Rejection::NotSuspended);
                }
                Event::Resumed
            }
            Command::Report(report) => {
                if self.decision == Decision::None {
                    return Err(Rejection::NotFound);
                }
                Event::Reported(report.clone())
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Submitted(submission) => {
                self.submission = submission.clone();
                self.decision = Decision::Pending;
            }
            Event::Approved { .. } => self.decision = Decision::Approved,
            Event::Rejected { reason } => {
                self.decision = Decision::Rejected;
                self.reason = Some(*reason);
            }
            Event::Withdrawn { reason } => {
                self.decision = Decision::Withdrawn;
                self.reason = *reason;
            }
            Event::Revoked { reason } => {
                self.decision = Decision::Revoked;
                self.reason = *reason;
            }
            Event::Retried => self.provisioning.retry(),
            Event::Suspended { reason } => {
                self.suspended = true;
                self.reason = *reason;
            }
            Event::Resumed => {
                self.suspended = false;
                self.reason = None;
            }
            Event::Reported(report) => self.provisioning.take(report),
        }
    }
}
