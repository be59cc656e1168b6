//! An identity provider: its settings, its verified endpoints, and where its tokens are in the vault.
//!
//! A provider that refuses what the portal authorizes itself with is paused: no client is registered there until an
//! admin gives something else.

mod authorization;
mod endpoints;
mod keys;
mod provider_type;
mod settings;
#[cfg(test)]
mod tests;

use portico_eventstore::Aggregate;
use portico_proto::{Error, Kind};
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

pub use authorization::{Method, Options};
pub(crate) use endpoints::has_trusted_origin;
pub use endpoints::{Endpoints, Overrides};
pub use keys::{Event as KeysEvent, Seen as SeenKeys};
pub(crate) use keys::{NoteKeys, ProviderKeys};
pub use provider_type::ProviderType;
pub use settings::{IN_BODY, Location, ManagementRef, Settings};

/// Kind of the vault owner whose id is the provider's.
pub const OWNER: &str = "identity_provider";

/// Lifecycle of an identity provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Status {
    /// It does not exist (yet).
    #[default]
    Absent,
    /// Takes registrations.
    Active,
    /// Takes none until an admin gives a new initial access token.
    Paused {
        /// The provider's own message.
        reason: String,
    },
    /// Not used any more.
    Deleted,
}

/// The state of one provider.
#[derive(Debug, Clone, Default)]
pub struct IdentityProvider {
    /// Whether it exists, takes registrations, or is deleted.
    pub status: Status,
    /// None as long as it does not exist.
    pub settings: Option<Settings>,
    /// RFC 7591 section 1.2, or the API token; none where the provider needs none.
    pub initial_access_token: Option<VaultRef>,
    /// Secrets that end are rotated so many days before; 0: they are not.
    pub rotates_days_before: u32,
}

/// What was given, and what it replaces by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenChange {
    /// Keeps the stored token.
    #[default]
    Keep,
    /// This one, or none from now on.
    Replace(Option<VaultRef>),
}

/// What can be asked of a provider.
#[derive(Debug, Clone)]
pub enum Command {
    /// Creates it; its well-known document was verified.
    Add {
        /// All settings, not only the changed ones.
        settings: Settings,
        /// In the vault already.
        initial_access_token: Option<VaultRef>,
    },
    /// Changes the settings; what was verified anew is in them.
    Change {
        /// The complete settings, changed or not.
        settings: Settings,
        /// A new one resumes a paused provider.
        initial_access_token: TokenChange,
        /// OAuth clients that are registered there.
        live_clients: u64,
    },
    /// The well-known document says this now. Another issuer is never followed.
    Follow {
        /// Where the document was read.
        well_known_url: String,
        /// Verified.
        endpoints: Endpoints,
    },
    /// Secrets that end are rotated by themselves, or not any more.
    SetRotation {
        /// 30, 7 or 1; 0: not any more.
        days_before: u32,
    },
    /// The provider refused the initial access token.
    Pause {
        /// The token that was refused: a newer one is not paused for it.
        refused: Option<VaultRef>,
        /// The provider's own message.
        reason: String,
    },
    /// Deletes it.
    Delete {
        /// Client types that refer to it.
        client_types: u64,
        /// OAuth clients that are registered there.
        live_clients: u64,
    },
}

/// What happened to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// It was created.
    Added {
        /// All settings, not only the changed ones.
        settings: Settings,
        /// Reference into the vault.
        initial_access_token: Option<VaultRef>,
    },
    /// Its settings changed.
    Changed {
        /// All settings, not only the changed ones.
        settings: Settings,
    },
    /// It got another initial access token, or none.
    TokenReplaced {
        /// Reference into the vault.
        initial_access_token: Option<VaultRef>,
    },
    /// Secrets that end are rotated by themselves, or not any more.
    RotationSet {
        /// 30, 7 or 1; 0: not any more.
        days_before: u32,
    },
    /// It takes no registrations until it gets a new token.
    Paused {
        /// The provider's own message.
        reason: String,
    },
    /// It takes registrations again.
    Resumed,
    /// It was deleted.
    Deleted,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It was never there, or is deleted.
    #[error("there is no such identity provider")]
    NotFound,
    /// The id belongs to another one.
    #[error("the identity provider exists already")]
    Exists,
    /// Client types or OAuth clients belong to it.
    #[error("{client_types} client types and {live_clients} OAuth clients belong to it")]
    InUse {
        /// Client types that refer to it.
        client_types: u64,
        /// OAuth clients that are registered there.
        live_clients: u64,
    },
    /// Clients are registered at the issuer that it had.
    #[error("{live_clients} OAuth clients are registered at the issuer {issuer}")]
    IssuerInUse {
        /// The one that it has.
        issuer: String,
        /// Number of clients registered there.
        live_clients: u64,
    },
    /// A stored token must not go to another issuer than it was given for.
    #[error("the initial access token was given for the issuer {issuer}")]
    TokenOfOtherIssuer {
        /// The one that it was given for.
        issuer: String,
    },
    /// As [`Rejection::TokenOfOtherIssuer`].
    #[error("the management credentials were given for the issuer {issuer}")]
    ManagementOfOtherIssuer {
        /// The one that they were given for.
        issuer: String,
    },
    /// As [`Rejection::TokenOfOtherIssuer`].
    #[error("the software statement was given for the issuer {issuer}")]
    StatementOfOtherIssuer {
        /// The one that it was given for.
        issuer: String,
    },
}

impl Aggregate for IdentityProvider {
    const CATEGORY: &'static str = "identity_provider";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    #[deny(clippy::wildcard_enum_match_arm)]
    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Add {
                settings,
                initial_access_token,
            } => match self.status {
                Status::Absent => Ok(vec![Event::Added {
                    settings: settings.clone(),
                    initial_access_token: *initial_access_token,
                }]),
                Status::Active | Status::Paused { .. } | Status::Deleted => Err(Rejection::Exists),
            },
            Command::Change {
                settings,
                initial_access_token,
                live_clients,
            } => self.change(settings, *initial_access_token, *live_clients),
            Command::Follow {
                well_known_url,
                endpoints,
            } => self.follow(well_known_url, endpoints),
            Command::SetRotation { days_before } => {
                self.present()?;
                let changed = *days_before != self.rotates_days_before;
                let days_before = *days_before;
                Ok(Vec::from_iter(
                    changed.then_some(Event::RotationSet { days_before }),
                ))
            }
            Command::Pause { refused, reason } => {
                let current =
                    self.status == Status::Active && *refused == self.initial_access_token;
                let reason = reason.clone();
                Ok(Vec::from_iter(current.then_some(Event::Paused { reason })))
            }
            Command::Delete {
                client_types,
                live_clients,
            } => match (&self.status, client_types + live_clients) {
                (Status::Absent, _) => Err(Rejection::NotFound),
                (Status::Deleted, _) => Ok(Vec::new()),
                (Status::Active | Status::Paused { .. }, 0) => Ok(vec![Event::Deleted]),
                (Status::Active | Status::Paused { .. }, _) => Err(Rejection::InUse {
                    client_types: *client_types,
                    live_clients: *live_clients,
                }),
            },
        }
    }

    #[deny(clippy::wildcard_enum_match_arm)]
    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Added {
                settings,
                initial_access_token,
            } => {
                self.status = Status::Active;
                self.settings = Some(settings.clone());
                self.initial_access_token = *initial_access_token;
            }
            Event::Changed { settings } => self.settings = Some(settings.clone()),
            Event::TokenReplaced {
                initial_access_token,
            } => self.initial_access_token = *initial_access_token,
            Event::Paused { reason } => {
                self.status = Status::Paused {
                    reason: reason.clone(),
                };
            }
            Event::RotationSet { days_before } => self.rotates_days_before = *days_before,
            Event::Resumed => self.status = Status::Active,
            Event::Deleted => self.status = Status::Deleted,
        }
    }
}

impl IdentityProvider {
    /// The settings of a provider that is there, paused or not.
    ///
    /// # Errors
    /// [`Rejection::NotFound`].
    pub fn present(&self) -> Result<&Settings, Rejection> {
        match (&self.status, &self.settings) {
            (Status::Active | Status::Paused { .. }, Some(settings)) => Ok(settings),
            _ => Err(Rejection::NotFound),
        }
    }

    /// The name for people; empty where it never was there.
    #[must_use]
    pub fn name(&self) -> String {
        let settings = self.settings.as_ref();
        settings.map_or_else(String::new, |settings| settings.name.clone())
    }

    /// What an admin said beside the document stays, and so does what was changed since the document was read.
    fn follow(&self, well_known_url: &str, endpoints: &Endpoints) -> Result<Vec<Event>, Rejection> {
        let before = self.present()?;
        let known = &before.location.endpoints;
        let is_its_own = before.location.well_known_url == well_known_url
            && known.issuer == endpoints.issuer
            && known.overrides() == endpoints.overrides();
        if !is_its_own || known.says_the_same(endpoints) {
            return Ok(Vec::new());
        }
        let mut settings = before.clone();
        settings.location.endpoints = endpoints.clone();
        Ok(vec![Event::Changed { settings }])
    }

    fn change(
        &self,
        settings: &Settings,
        token: TokenChange,
        live_clients: u64,
    ) -> Result<Vec<Event>, Rejection> {
        let before = self.present()?;
        if settings.issuer() != before.issuer() {
            let issuer = before.issuer().to_owned();
            if live_clients > 0 {
                return Err(Rejection::IssuerInUse {
                    issuer,
                    live_clients,
                });
            }
            if token == TokenChange::Keep && self.initial_access_token.is_some() {
                return Err(Rejection::TokenOfOtherIssuer { issuer });
            }
            if settings.management.is_some() && settings.management == before.management {
                return Err(Rejection::ManagementOfOtherIssuer { issuer });
            }
            if settings.software_statement.is_some()
                && settings.software_statement == before.software_statement
            {
                return Err(Rejection::StatementOfOtherIssuer { issuer });
            }
        }
        let mut events = Vec::new();
        if settings != before {
            events.push(Event::Changed {
                settings: settings.clone(),
            });
        }
        if let TokenChange::Replace(initial_access_token) = token
            && (initial_access_token.is_some() || self.initial_access_token.is_some())
        {
            events.push(Event::TokenReplaced {
                initial_access_token,
            });
        }
        let reauthorized = settings.authorizes_otherwise(before)
            || events
                .iter()
                .any(|event| matches!(event, Event::TokenReplaced { .. }));
        if reauthorized && matches!(self.status, Status::Paused { .. }) {
            events.push(Event::Resumed);
        }
        Ok(events)
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let conflict = |code, message: String| Self::new(Kind::Conflict, code, message);
        match rejection {
            Rejection::NotFound => Self::not_found("identity provider"),
            Rejection::Exists => conflict(
                "already_exists",
                "This identity provider exists already.".into(),
            ),
            Rejection::InUse {
                client_types,
                live_clients,
            } => conflict(
                "provider_in_use",
                format!(
                    "Delete its client types ({client_types}) first, and revoke the access of its OAuth clients \
                     ({live_clients})."
                ),
            ),
            Rejection::IssuerInUse {
                issuer,
                live_clients,
            } => conflict(
                "provider_in_use",
                format!(
                    "{live_clients} OAuth clients are registered at the issuer {issuer}. `well_known_url` must \
                     belong to it; add another identity provider for another issuer."
                ),
            ),
            Rejection::TokenOfOtherIssuer { issuer } => Self::field(
                "initial_access_token",
                "initial_access_token_missing",
                format!(
                    "The stored `initial_access_token` was given for {issuer}. Give one for the new issuer, or an \
                     empty one for none."
                ),
            ),
            Rejection::StatementOfOtherIssuer { issuer } => Self::field(
                "software_statement",
                "software_statement_missing",
                format!(
                    "The stored `software_statement` was given for {issuer}. Give one for the new issuer, or an empty \
                     one for none."
                ),
            ),
            Rejection::ManagementOfOtherIssuer { issuer } => Self::field(
                "management_client_secret",
                "management_client_secret_missing",
                format!(
                    "The stored management credentials were given for {issuer}. Give those of the new issuer, or \
                     an empty `management_client_id` for none."
                ),
            ),
        }
    }
}
