//! What a user or an admin asks for. References and digests stand for what must not be in an event.

use jiff::Timestamp;
use portico_runtime::Role;
use portico_vault::VaultRef;
use uuid::Uuid;

use super::Status;

/// Commands of a user, nested by subject.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "their payloads have the docs")]
pub enum Command {
    Account(AccountCommand),
    ApiToken(ApiTokenCommand),
}

/// About the account itself.
#[derive(Debug, Clone)]
pub enum AccountCommand {
    /// Begins an account.
    SignUp {
        /// Pending where an admin must activate it first.
        status: Status,
        /// Developer, except for the first admin.
        role: Role,
        /// Vault reference of the person's name.
        name_ref: VaultRef,
        /// Vault reference of the e-mail address.
        email_ref: VaultRef,
        /// The hash of the password.
        password_ref: VaultRef,
    },
    /// Lets a pending or suspended user sign in.
    Activate,
    /// Stops the user from signing in, until they are activated again.
    Suspend {
        /// Whether there is an active admin other than this user.
        other_admins: bool,
    },
    /// Lets the user see what is internal.
    LetIn,
    /// Takes that back.
    ShutOut,
    /// Deletes name, address and password for ever.
    Erase {
        /// Whether there is an active admin other than this user.
        other_admins: bool,
    },
}

/// About one of the user's API tokens.
#[derive(Debug, Clone)]
pub enum ApiTokenCommand {
    /// Records a token that was generated for the user.
    Issue {
        /// Chosen by the caller; the same id again is a repetition.
        token_id: Uuid,
        /// SHA-256 of the token in hexadecimal; the token has 256 random bits.
        digest: String,
        /// Vault reference of the name that the user gave.
        name_ref: VaultRef,
        /// Time after which the token is refused.
        expires_at: Timestamp,
        /// Time of the call.
        now: Timestamp,
    },
    /// Stops a token from working, for ever.
    Revoke {
        /// As it was issued.
        token_id: Uuid,
    },
}
