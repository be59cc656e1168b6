//! The requester's account: access lasts as long as it is active. An admin's own suspension of the access is another
//! matter; neither ends the other.
#![deny(clippy::wildcard_enum_match_arm)]

use super::{AccessRequest, Decision, Event, Rejection, access, request};
use crate::requester::AccountStatus;

impl AccessRequest {
    /// Follows the account. Nothing where the request has ended or follows already, so that it may be said in any order
    /// and often.
    pub(super) fn decide_account(&self, status: AccountStatus) -> Result<Vec<Event>, Rejection> {
        let event: Event = match (self.decision, status) {
            (Decision::None, _) => return Err(Rejection::NotFound),
            (Decision::Rejected | Decision::Withdrawn | Decision::Revoked, _) => return Ok(vec![]),
            // A pending request of somebody who is suspended waits for their return; its approval is refused.
            (Decision::Pending, AccountStatus::Active | AccountStatus::Suspended) => {
                return Ok(vec![]);
            }
            (Decision::Pending, AccountStatus::Erased) => {
                request::Event::Withdrawn { reason: None }.into()
            }
            (Decision::Approved, AccountStatus::Erased) => {
                access::Event::Revoked { reason: None }.into()
            }
            (Decision::Approved, AccountStatus::Suspended) => match self.account_suspended() {
                true => return Ok(vec![]),
                false => access::Event::AccountSuspended.into(),
            },
            (Decision::Approved, AccountStatus::Active) => match self.account_suspended() {
                true => access::Event::AccountActivated.into(),
                false => return Ok(vec![]),
            },
        };
        Ok(vec![event])
    }

    /// Refuses to grant anything to somebody who could not use it.
    pub(super) fn must_be_active(status: AccountStatus) -> Result<(), Rejection> {
        match status {
            AccountStatus::Active => Ok(()),
            AccountStatus::Suspended => Err(Rejection::RequesterSuspended),
            AccountStatus::Erased => Err(Rejection::RequesterErased),
        }
    }
}
