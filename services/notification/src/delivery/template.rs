//! The messages that Portico sends.

use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoEnumIterator as _, IntoStaticStr};

/// Names a message; also the name of its template files. [`Template::description`] says when it is sent and to whom.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "described below")]
pub enum Template {
    AccessSubmitted,
    AccessProvisioned,
    AccessRejected,
    AccessRevoked,
    RegistrationFailed,
    AccessSuspended,
    ClientSecretExpiring,
    CredentialsChanged,
}

impl Template {
    /// Every template.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// As in events, gRPC and file names.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The template of that name.
    pub fn find(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// When it is sent and to whom, for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::AccessSubmitted => "To every admin, when a developer asks for access.",
            Self::AccessProvisioned => {
                "To the developer, when access was approved and the credentials work. Never holds the secret."
            }
            Self::AccessRejected => "To the developer, when access was not approved.",
            Self::AccessRevoked => "To the developer, when access was revoked.",
            Self::RegistrationFailed => {
                "To every admin, when the identity provider or the gateway refused."
            }
            Self::AccessSuspended => "To the developer, when access was suspended.",
            Self::ClientSecretExpiring => {
                "To the developers, 30, 7 and 1 days before a client secret expires, and when it has expired."
            }
            Self::CredentialsChanged => {
                "To the developers, when a client got a new secret or was replaced without their doing. Never holds \
                 the secret."
            }
        }
    }
}
