//! Where a request stands.

use serde::{Deserialize, Serialize};

/// Status of an access request in REST, gRPC and the views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
