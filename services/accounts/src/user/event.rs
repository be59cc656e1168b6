//! What happened to a user. No event holds a name, an address, a password or a token.

use jiff::Timestamp;
use portico_runtime::Role;
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Status;

portico_eventstore::nested_events! {
    /// By subject. Stored without the subject, as `user.signed_up` or `user.api_token_issued`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[expect(missing_docs, reason = "their payloads have the docs")]
    pub enum Event {
        Account(AccountEvent),
        ApiToken(ApiTokenEvent),
    }
}

/// About the account itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum AccountEvent {
    /// The account exists from now on.
    SignedUp {
        /// Pending or active.
        status: Status,
        /// For as long as the account exists. Admins are let in by it.
        role: Role,
        /// Vault reference of the person's name.
        name_ref: VaultRef,
        /// Vault reference of the e-mail address.
        email_ref: VaultRef,
    },
    /// The user may sign in.
    Activated,
    /// The user may not sign in.
    Suspended,
    /// The user may see what is internal.
    LetIn,
    /// The user may no longer see what is internal.
    ShutOut,
    /// The personal data are about to be deleted from the vault; the account never comes back.
    Erased,
    /// A first or another password.
    PasswordSet {
        /// Vault reference of the password's hash.
        password_ref: VaultRef,
    },
}

/// About one of the user's API tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum ApiTokenEvent {
    /// The token works from now on.
    #[serde(rename = "api_token_issued")]
    Issued {
        /// Id of the token; never reused.
        token_id: Uuid,
        /// SHA-256 in hexadecimal.
        digest: String,
        /// Vault reference of the name that the user gave.
        name_ref: VaultRef,
        /// Time after which the token is refused.
        expires_at: Timestamp,
    },
    /// The token never works again.
    #[serde(rename = "api_token_revoked")]
    Revoked {
        /// As it was issued.
        token_id: Uuid,
    },
}
