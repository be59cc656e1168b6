//! Granted access: each change of what is wanted raises the request's revision.
#![deny(clippy::wildcard_enum_match_arm)]

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

use super::{AccessRequest, ApprovedItem, Cause, Decided, Decision, Rejection};
use crate::terms::CatalogueChange;

/// What is wanted of granted access. Texts are in the vault.
#[derive(Debug, Clone)]
pub enum Command {
    /// Takes it away for a time.
    Suspend {
        /// Shown to the developer.
        reason: Option<VaultRef>,
    },
    /// Resumes the access.
    Resume,
    /// Takes it away for ever.
    Revoke {
        /// Shown to the developer.
        reason: Option<VaultRef>,
    },
    /// Has both halves try again what has failed, giving access or taking it away.
    Retry,
    /// Takes other scopes over, where the catalogue has them. Nothing where the request is not granted.
    Follow(CatalogueChange),
}

/// What raised the revision of granted access. Texts are in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// An admin took it away for a time.
    Suspended {
        /// Shown to the developer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<VaultRef>,
    },
    /// An admin resumed the access.
    Resumed,
    /// It was taken away together with the requester's account.
    AccountSuspended,
    /// The requester's account is active again.
    AccountActivated,
    /// It was taken away for ever.
    Revoked {
        /// Shown to the developer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<VaultRef>,
    },
    /// Both halves are to try again.
    Retried,
    /// A product or plan has other scopes.
    ScopesChanged {
        /// All items from now on.
        items: Vec<ApprovedItem>,
    },
}

impl AccessRequest {
    pub(super) fn decide_access(&self, command: &Command) -> Decided {
        let event = match command {
            Command::Suspend { reason } => {
                self.must_be_granted()?;
                if self.admin_suspended() {
                    return Err(Rejection::AlreadySuspended);
                }
                Event::Suspended { reason: *reason }
            }
            Command::Resume => {
                self.must_be_granted()?;
                if !self.admin_suspended() {
                    return Err(match self.account_suspended() {
                        true => Rejection::RequesterSuspended,
                        false => Rejection::NotSuspended,
                    });
                }
                Event::Resumed
            }
            Command::Revoke { reason } => {
                self.must_be_granted()?;
                Event::Revoked { reason: *reason }
            }
            // Also what is to be taken away from somebody may have failed, and waits for an admin like anything else.
            Command::Retry => {
                if self.failure().is_none() {
                    self.must_not_have_ended()?;
                    return Err(Rejection::NotFailed);
                }
                Event::Retried
            }
            Command::Follow(change) => return Ok(self.follow(change)),
        };
        Ok(vec![event.into()])
    }

    /// API keys have no scopes: all of their product and plan is the gateway's to follow.
    fn follow(&self, change: &CatalogueChange) -> Vec<super::Event> {
        let follows = self.decision == Decision::Approved
            && self.submission.credential.oauth_client().is_some();
        let changed: Vec<_> = self
            .items
            .iter()
            .map(|item| item.with_scopes_of(change))
            .collect();
        if !follows || changed.iter().all(Option::is_none) {
            return Vec::new();
        }
        let items = changed.into_iter().zip(&self.items);
        let items = items.map(|(changed, item)| changed.unwrap_or_else(|| item.clone()));
        vec![
            Event::ScopesChanged {
                items: items.collect(),
            }
            .into(),
        ]
    }

    pub(super) fn evolve_access(&mut self, event: &Event) {
        self.revisions.push(match event {
            Event::Suspended { reason } => {
                self.reason = *reason;
                Cause::Suspended
            }
            Event::Resumed => {
                self.reason = None;
                Cause::Resumed
            }
            Event::AccountSuspended => Cause::AccountSuspended,
            Event::AccountActivated => Cause::AccountActivated,
            Event::Revoked { reason } => {
                self.decision = Decision::Revoked;
                self.reason = *reason;
                Cause::Revoked
            }
            Event::Retried => Cause::Retried,
            Event::ScopesChanged { items } => {
                self.items.clone_from(items);
                Cause::ScopesChanged
            }
        });
    }

    fn must_be_granted(&self) -> Result<(), Rejection> {
        self.must_not_have_ended()?;
        match self.decision == Decision::Approved {
            true => Ok(()),
            false => Err(Rejection::NotApproved),
        }
    }
}
