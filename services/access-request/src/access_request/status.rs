//! Where a request stands.

/// Status of an access request in REST, gRPC and the views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Waits for a decision.
    Pending,
    /// Granted; no half has reported on the present revision.
    Approved,
    /// A half that is needed has not finished.
    Provisioning,
    /// The credentials work.
    Active,
    /// Taken away for a time.
    Suspended,
    /// A half waits for an admin.
    Failed,
    /// Refused.
    Rejected,
    /// Taken back by the requester.
    Withdrawn,
    /// Taken away.
    Revoked,
}
