//! The user: signed up, let in, kept out, erased; and the API tokens they made.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use portico_eventstore::Aggregate;
use portico_proto::{Error, Kind};
use portico_runtime::Role;
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// API tokens that one user may have at a time, expired and revoked ones not counted.
pub const MOST_API_TOKENS: usize = 100;

/// Whether a user may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for an admin.
    Pending,
    /// May sign in.
    Active,
    /// Kept out by an admin.
    Suspended,
    /// Their personal data are gone for ever.
    Erased,
}

impl Status {
    /// As in REST, gRPC and the view.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Erased => "erased",
        }
    }
}

/// One person with an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// None before they signed up.
    account: Option<Account>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    role: Role,
    status: Status,
    password_ref: Option<VaultRef>,
    tokens: BTreeMap<Uuid, ApiToken>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ApiToken {
    expires_at: Timestamp,
    revoked: bool,
}

impl User {
    /// Where the hash of the password is.
    pub(crate) fn password_ref(&self) -> Option<VaultRef> {
        self.account.as_ref()?.password_ref
    }
}

/// What a user or an admin wants. References and digests stand for what must not be in an event.
#[derive(Debug, Clone)]
pub enum Command {
    /// Begin an account.
    SignUp {
        /// Pending where an admin must let them in.
        status: Status,
        /// What they may do.
        role: Role,
        /// Their name.
        name_ref: VaultRef,
        /// Their address.
        email_ref: VaultRef,
        /// The hash of their password.
        password_ref: VaultRef,
    },
    /// Let in who waits or was kept out.
    Activate,
    /// Keep out.
    Suspend {
        /// Whether there is an active admin beside this user.
        other_admins: bool,
    },
    /// Forget name, address and password for ever.
    Erase {
        /// Whether there is an active admin beside this user.
        other_admins: bool,
    },
    /// Make an API token.
    IssueApiToken {
        /// Its id.
        token_id: Uuid,
        /// SHA-256 of the token in hexadecimal; the token has 256 random bits.
        digest: String,
        /// What the user calls it.
        name: String,
        /// Until when.
        expires_at: Timestamp,
        /// The time.
        now: Timestamp,
    },
    /// End an API token.
    RevokeApiToken {
        /// Its id.
        token_id: Uuid,
    },
}

/// What happened. No name, address, password or token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// Somebody has an account.
    SignedUp {
        /// Pending or active.
        status: Status,
        /// What they may do.
        role: Role,
        /// Their name.
        name_ref: VaultRef,
        /// Their address.
        email_ref: VaultRef,
    },
    /// They may sign in from now on.
    Activated,
    /// They may not any more.
    Suspended,
    /// Nothing is known about them any more.
    Erased,
    /// They have another password.
    PasswordSet {
        /// The hash of it.
        password_ref: VaultRef,
    },
    /// They have an API token more.
    ApiTokenIssued {
        /// Its id.
        token_id: Uuid,
        /// SHA-256 in hexadecimal.
        digest: String,
        /// What the user calls it.
        name: String,
        /// Until when.
        expires_at: Timestamp,
    },
    /// An API token does not work any more.
    ApiTokenRevoked {
        /// Its id.
        token_id: Uuid,
    },
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Nobody signed up under this id.
    #[error("there is no such user")]
    NoSuchUser,
    /// The account exists.
    #[error("the e-mail address belongs to an account")]
    EmailTaken,
    /// There is nobody left to let in or keep out.
    #[error("the user is erased")]
    Erased,
    /// Nobody could administer the portal any more.
    #[error("the user is the last active admin")]
    LastAdmin,
    /// Only who may sign in may make API tokens.
    #[error("the account is not active")]
    NotActive,
    /// More than [`MOST_API_TOKENS`].
    #[error("the user has too many API tokens")]
    TooManyApiTokens,
    /// The user has no such token.
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
                "There is an account with this e-mail address; sign in instead.",
            ),
            Rejection::Erased => conflict(
                "user_erased",
                "This user is erased; they can sign up again.",
            ),
            Rejection::LastAdmin => conflict(
                "last_admin",
                "This is the last active admin; make another user an admin first.",
            ),
            Rejection::NotActive => Self::new(
                Kind::Forbidden,
                "account_not_active",
                "Only an active account can have API tokens.",
            ),
            Rejection::TooManyApiTokens => conflict(
                "too_many_api_tokens",
                "There are 100 API tokens already; revoke one first.",
            ),
        }
    }
}

impl Aggregate for User {
    const CATEGORY: &'static str = "user";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        if let Command::SignUp {
            status,
            role,
            name_ref,
            email_ref,
            password_ref,
        } = command
        {
            return self.sign_up(*status, *role, [*name_ref, *email_ref, *password_ref]);
        }
        let account = self.account.as_ref().ok_or(Rejection::NoSuchUser)?;
        match command {
            Command::SignUp { .. } => Err(Rejection::EmailTaken),
            Command::Activate => match account.status {
                Status::Active => Ok(vec![]),
                Status::Pending | Status::Suspended => Ok(vec![Event::Activated]),
                Status::Erased => Err(Rejection::Erased),
            },
            Command::Suspend { other_admins } => match account.status {
                Status::Suspended => Ok(vec![]),
                Status::Erased => Err(Rejection::Erased),
                Status::Active | Status::Pending => {
                    account.may_go(*other_admins)?;
                    Ok(vec![Event::Suspended])
                }
            },
            Command::Erase { .. } if account.status == Status::Erased => Ok(vec![]),
            Command::Erase { other_admins } => {
                account.may_go(*other_admins)?;
                Ok(vec![Event::Erased])
            }
            Command::IssueApiToken {
                token_id,
                digest,
                name,
                expires_at,
                now,
            } => {
                if !account.may_issue(*token_id, *now)? {
                    return Ok(vec![]);
                }
                Ok(vec![Event::ApiTokenIssued {
                    token_id: *token_id,
                    digest: digest.clone(),
                    name: name.clone(),
                    expires_at: *expires_at,
                }])
            }
            Command::RevokeApiToken { token_id } => match account.tokens.get(token_id) {
                None => Err(Rejection::NoSuchApiToken),
                Some(token) if token.revoked => Ok(vec![]),
                Some(_) => Ok(vec![Event::ApiTokenRevoked {
                    token_id: *token_id,
                }]),
            },
        }
    }

    fn evolve(&mut self, event: &Event) {
        if let Event::SignedUp { status, role, .. } = event {
            self.account = Some(Account {
                role: *role,
                status: *status,
                password_ref: None,
                tokens: BTreeMap::new(),
            });
        }
        let Some(account) = &mut self.account else {
            return;
        };
        match event {
            Event::SignedUp { .. } => {}
            Event::Activated => account.status = Status::Active,
            Event::Suspended => account.status = Status::Suspended,
            Event::Erased => {
                account.status = Status::Erased;
                account.password_ref = None;
                account.tokens.clear();
            }
            Event::PasswordSet { password_ref } => account.password_ref = Some(*password_ref),
            Event::ApiTokenIssued {
                token_id,
                expires_at,
                ..
            } => {
                let token = ApiToken {
                    expires_at: *expires_at,
                    revoked: false,
                };
                account.tokens.insert(*token_id, token);
            }
            Event::ApiTokenRevoked { token_id } => {
                if let Some(token) = account.tokens.get_mut(token_id) {
                    token.revoked = true;
                }
            }
        }
    }
}

impl User {
    fn sign_up(
        &self,
        status: Status,
        role: Role,
        [name_ref, email_ref, password_ref]: [VaultRef; 3],
    ) -> Result<Vec<Event>, Rejection> {
        // Not quiet for the same person twice: the second one may be somebody else with the same address.
        if self.account.is_some() {
            return Err(Rejection::EmailTaken);
        }
        Ok(vec![
            Event::SignedUp {
                status,
                role,
                name_ref,
                email_ref,
            },
            Event::PasswordSet { password_ref },
        ])
    }
}

impl Account {
    /// The last active admin must stay.
    fn may_go(&self, other_admins: bool) -> Result<(), Rejection> {
        let matters = self.role == Role::Admin && self.status == Status::Active;
        if matters && !other_admins {
            return Err(Rejection::LastAdmin);
        }
        Ok(())
    }

    /// False where the token exists.
    fn may_issue(&self, token_id: Uuid, now: Timestamp) -> Result<bool, Rejection> {
        if self.status != Status::Active {
            return Err(Rejection::NotActive);
        }
        if self.tokens.contains_key(&token_id) {
            return Ok(false);
        }
        let live = |token: &&ApiToken| !token.revoked && token.expires_at > now;
        if self.tokens.values().filter(live).count() >= MOST_API_TOKENS {
            return Err(Rejection::TooManyApiTokens);
        }
        Ok(true)
    }
}
