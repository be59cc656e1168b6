//! Why a command on a user was refused.

use portico_proto::{Error, Kind};

/// The rules that commands can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Nobody signed up under this id.
    #[error("there is no such user")]
    NoSuchUser,
    /// Another account has this e-mail address.
    #[error("the e-mail address belongs to an account")]
    EmailTaken,
    /// Erasure is final.
    #[error("the user is erased")]
    Erased,
    /// Nobody could administer the portal any more.
    #[error("the user is the last active admin")]
    LastAdmin,
    /// Admins see everything, whether somebody let them in or not.
    #[error("the user is an admin, who is let in by their role")]
    LetInByRole,
    /// Only a user who may sign in may have API tokens.
    #[error("the account is not active")]
    NotActive,
    /// More than [`MOST_API_TOKENS`](super::MOST_API_TOKENS).
    #[error("the user has too many API tokens")]
    TooManyApiTokens,
    /// Another user's token is not found either.
    #[error("there is no such API token")]
    NoSuchApiToken,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let conflict = |code, message| Self::new(Kind::Conflict, code, message);
        match rejection {
            Rejection::NoSuchUser => Self::not_found("user"),
            Rejection::NoSuchApiToken => Self::not_found("API token"),
            Rejection::EmailTaken => conflict(
                "email_taken",
                "An account with this e-mail address exists already; sign in instead.",
            ),
            Rejection::Erased => conflict(
                "user_erased",
                "This user has been erased; they can sign up again.",
            ),
            Rejection::LastAdmin => conflict(
                "last_admin",
                "This is the last active admin; make another user an admin first.",
            ),
            Rejection::LetInByRole => conflict(
                "let_in_by_role",
                "An admin is let in by their role and cannot be shut out; suspend them instead.",
            ),
            Rejection::NotActive => Self::new(
                Kind::Forbidden,
                "account_not_active",
                "Only an active account can have API tokens.",
            ),
            Rejection::TooManyApiTokens => conflict(
                "too_many_api_tokens",
                "This account has 100 API tokens already; revoke one first.",
            ),
        }
    }
}
