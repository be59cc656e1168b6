//! Why a command was refused, and how callers are told.

use portico_proto::{Error, Kind};

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It does not exist.
    #[error("there is no such access request")]
    NotFound,
    /// A request with this id exists.
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
    /// Nothing is granted to somebody who is suspended, nor resumed for them.
    #[error("the requester's account is suspended")]
    RequesterSuspended,
    /// Nothing is granted to nobody.
    #[error("the requester's account was erased")]
    RequesterErased,
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
            Rejection::RequesterSuspended => (
                "requester_suspended",
                "The account of the developer who submitted this access request is suspended; activate the account first.",
            ),
            Rejection::RequesterErased => (
                "requester_erased",
                "The account of the developer who submitted this access request was erased; there is nobody to give \
                 access to.",
            ),
            Rejection::NotFailed => (
                "not_failed",
                "This access request has not failed; only a failed one can be tried again.",
            ),
        };
        Self::new(Kind::Conflict, code, message)
    }
}
