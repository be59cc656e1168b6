//! Asking for access, and the decision on it.
#![deny(clippy::wildcard_enum_match_arm)]

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

use super::{
    AccessRequest, AccountStatus, ApprovedItem, Cause, Decided, Decision, Rejection, Submission,
};

/// What people want of a request that is not granted yet. Texts are in the vault.
#[derive(Debug, Clone)]
pub enum Command {
    /// Asks for access.
    Submit(Submission),
    /// Grants it.
    Approve {
        /// One for each requested item, under the terms of now.
        items: Vec<ApprovedItem>,
        /// Shown to the developer.
        note: Option<VaultRef>,
        /// What is known of the requester's account; may be outdated by the time of the append.
        account: AccountStatus,
    },
    /// Rejects the request; final.
    Reject {
        /// Shown to the developer.
        reason: VaultRef,
    },
    /// The requester takes it back.
    Withdraw {
        /// For admins.
        reason: Option<VaultRef>,
    },
}

/// What people decided. Texts are in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A developer asked for access.
    Submitted(Submission),
    /// It was granted: the first revision.
    Approved {
        /// One for each requested item.
        items: Vec<ApprovedItem>,
        /// Shown to the developer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<VaultRef>,
    },
    /// It was refused.
    Rejected {
        /// Shown to the developer.
        reason: VaultRef,
    },
    /// The requester took it back.
    Withdrawn {
        /// For admins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<VaultRef>,
    },
}

impl AccessRequest {
    pub(super) fn decide_request(&self, command: &Command) -> Decided {
        let event = match command {
            Command::Submit(submission) => {
                if self.decision != Decision::None {
                    return Err(Rejection::AlreadySubmitted);
                }
                Event::Submitted(submission.clone())
            }
            Command::Approve {
                items,
                note,
                account,
            } => {
                self.must_be_undecided()?;
                Self::must_be_active(*account)?;
                Event::Approved {
                    items: items.clone(),
                    note: *note,
                }
            }
            Command::Reject { reason } => {
                self.must_be_undecided()?;
                Event::Rejected { reason: *reason }
            }
            Command::Withdraw { reason } => {
                self.must_not_have_ended()?;
                if self.decision != Decision::Pending {
                    return Err(Rejection::NotPending);
                }
                Event::Withdrawn { reason: *reason }
            }
        };
        Ok(vec![event.into()])
    }

    pub(super) fn evolve_request(&mut self, event: &Event) {
        match event {
            Event::Submitted(submission) => {
                self.submission = submission.clone();
                self.decision = Decision::Pending;
            }
            Event::Approved { items, .. } => {
                self.decision = Decision::Approved;
                self.items.clone_from(items);
                self.revisions.push(Cause::Approved);
            }
            Event::Rejected { reason } => {
                self.decision = Decision::Rejected;
                self.reason = Some(*reason);
            }
            Event::Withdrawn { reason } => {
                self.decision = Decision::Withdrawn;
                self.reason = *reason;
            }
        }
    }

    fn must_be_undecided(&self) -> Result<(), Rejection> {
        self.must_not_have_ended()?;
        match self.decision == Decision::Approved {
            true => Err(Rejection::AlreadyApproved),
            false => Ok(()),
        }
    }
}
