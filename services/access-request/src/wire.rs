//! What the aggregates know, in the words of the contract.

use portico_proto::access::v1::{
    AccessRequestStatus, ApplicationVisibility, CredentialKind, TimelineStep,
};

use crate::{
    access_request::{Credential, Status, credential::ChangeKind},
    application::Visibility,
};

impl From<Status> for AccessRequestStatus {
    fn from(from: Status) -> Self {
        match from {
            Status::Pending => Self::Pending,
            Status::Approved => Self::Approved,
            Status::Provisioning => Self::Provisioning,
            Status::Active => Self::Active,
            Status::Suspended => Self::Suspended,
            Status::Failed => Self::Failed,
            Status::Rejected => Self::Rejected,
            Status::Withdrawn => Self::Withdrawn,
            Status::Revoked => Self::Revoked,
        }
    }
}

impl From<Credential> for CredentialKind {
    fn from(from: Credential) -> Self {
        match from {
            Credential::OauthClient(_) => Self::OauthClient,
            Credential::ApiKey => Self::ApiKey,
        }
    }
}

impl From<ChangeKind> for TimelineStep {
    fn from(from: ChangeKind) -> Self {
        match from {
            ChangeKind::ClientSuspended => Self::ClientSuspended,
            ChangeKind::ClientResumed => Self::ClientResumed,
            ChangeKind::ClientReplaced => Self::ClientReplaced,
            ChangeKind::ClientMissing => Self::ClientMissing,
            ChangeKind::ClientEdited => Self::ClientEdited,
            ChangeKind::ClientAdopted => Self::ClientAdopted,
            ChangeKind::SecretRotated => Self::SecretRotated,
            ChangeKind::KeyCreated => Self::KeyCreated,
            ChangeKind::KeyReplaced => Self::KeyReplaced,
            ChangeKind::KeyRevealed => Self::KeyRevealed,
            ChangeKind::KeyDeleted => Self::KeyDeleted,
            ChangeKind::ClientChanged => Self::ClientChanged,
        }
    }
}

impl From<Visibility> for ApplicationVisibility {
    fn from(from: Visibility) -> Self {
        match from {
            Visibility::Personal => Self::Personal,
            Visibility::Team => Self::Team,
            Visibility::Organisation => Self::Organisation,
        }
    }
}
