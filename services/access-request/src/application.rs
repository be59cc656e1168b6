//! An application: what asks for access, and whom the OAuth client at a provider is for.
//!
//! * this file: the decider
//! * `profile`: what its owner wrote, which may be about people and is in the vault; events refer to it
//! * [`redirect_url`]: which redirect URLs it may have
#![deny(clippy::wildcard_enum_match_arm)]

mod profile;
pub mod redirect_url;
#[cfg(test)]
mod tests;

use portico_eventstore::Aggregate;
use portico_proto::{Error, Kind};
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use profile::Profile;

/// Who else than its owner an application is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Nobody else.
    #[default]
    Personal,
    /// The owner's team.
    Team,
    /// The owner's organisation.
    Organisation,
}

/// Where what its owner wrote of an application is: one text in the vault, see [`Profile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptProfile {
    /// In the vault, under the owner of the application.
    pub profile_ref: VaultRef,
    /// Whether it has redirect URLs: rules need to know that much.
    pub has_redirect_urls: bool,
}

/// Another profile in place of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChange {
    /// The new one.
    #[serde(flatten)]
    pub kept: KeptProfile,
    /// Registered clients and issued keys have to follow.
    pub concerns_clients: bool,
}

/// What is to be different; `None` stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Where the profile changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileChange>,
    /// Visibility, where it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// What is wanted of an application. The caller has checked who may, and compared what is written.
#[derive(Debug, Clone)]
pub enum Command {
    /// Creates it.
    Create {
        /// Id of the owning user.
        owner_id: Uuid,
        /// What they wrote.
        kept: KeptProfile,
        /// Who else it is for.
        visibility: Visibility,
    },
    /// Updates it.
    Update {
        /// What differs.
        changes: Changes,
        /// The profile that the changes were made of.
        instead_of: Option<VaultRef>,
    },
    /// Suspends or resumes it, on an admin's request.
    Suspend(bool),
    /// Ends it. The view refuses it while a request of it is alive.
    Delete,
    /// Its owner's account was erased: what they wrote is gone.
    Erase,
}

/// What happened to an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// It was created.
    Created {
        /// Id of the owning user.
        owner_id: Uuid,
        /// What they wrote.
        #[serde(flatten)]
        kept: KeptProfile,
        /// Who else it is for.
        visibility: Visibility,
    },
    /// Holds what really changed.
    Updated(Changes),
    /// An admin stopped it: none of its clients works.
    Suspended,
    /// An admin resumed it.
    Resumed,
    /// It was ended.
    Deleted,
    /// Nothing of what its owner wrote is left.
    Erased,
}

/// Lifecycle of an application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It does not exist.
    #[default]
    None,
    /// It can be used.
    Active,
    /// It was deleted.
    Deleted,
}

/// State of an application, folded from its events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Id of the owning user.
    pub owner_id: Uuid,
    /// What they wrote; `None` once it is erased.
    pub profile: Option<KeptProfile>,
    /// The profile that clients are to have: the last one of which the name or the redirect URLs were new. Stays when it is
    /// erased, so that nothing looks changed by that.
    pub client_profile: Option<VaultRef>,
    /// Who else it is for.
    pub visibility: Visibility,
    /// Whether it exists, is deleted or was never created.
    pub status: Status,
    /// An admin has stopped it.
    #[serde(default)]
    pub suspended: bool,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It does not exist, or not any more.
    #[error("there is no such application")]
    NotFound,
    /// An application with this id exists.
    #[error("the application exists")]
    Exists,
    /// The profile is another one than the changes were made of.
    #[error("the application has changed meanwhile")]
    Outdated,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotFound => Self::not_found("application"),
            Rejection::Exists => Self::new(
                Kind::Conflict,
                "application_exists",
                "This application exists already.",
            ),
            Rejection::Outdated => portico_runtime::concurrent_change(),
        }
    }
}

impl Application {
    /// Whether it existed, and what its owner wrote is erased.
    pub fn is_erased(&self) -> bool {
        self.status != Status::None && self.profile.is_none()
    }

    /// Whether it can be used, and by this user.
    pub fn is_usable_by(&self, user: Uuid) -> bool {
        self.status == Status::Active && self.owner_id == user
    }
}

impl Aggregate for Application {
    const CATEGORY: &'static str = "application";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match (command, self.status) {
            (
                Command::Create {
                    owner_id,
                    kept,
                    visibility,
                },
                Status::None,
            ) => Ok(vec![Event::Created {
                owner_id: *owner_id,
                kept: *kept,
                visibility: *visibility,
            }]),
            (Command::Create { .. }, Status::Active | Status::Deleted) => Err(Rejection::Exists),
            (Command::Erase, Status::Active | Status::Deleted) => Ok(match self.is_erased() {
                true => Vec::new(),
                false => vec![Event::Erased],
            }),
            (
                Command::Update { .. } | Command::Delete | Command::Suspend(_) | Command::Erase,
                Status::None | Status::Deleted,
            ) => Err(Rejection::NotFound),
            (
                Command::Update {
                    changes,
                    instead_of,
                },
                Status::Active,
            ) => self.decide_update(*changes, *instead_of),
            (Command::Suspend(suspended), Status::Active) => {
                Ok(match (self.suspended, suspended) {
                    (false, true) => vec![Event::Suspended],
                    (true, false) => vec![Event::Resumed],
                    (false, false) | (true, true) => Vec::new(),
                })
            }
            (Command::Delete, Status::Active) => Ok(vec![Event::Deleted]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Created {
                owner_id,
                kept,
                visibility,
            } => {
                self.owner_id = *owner_id;
                self.profile = Some(*kept);
                self.client_profile = Some(kept.profile_ref);
                self.visibility = *visibility;
                self.status = Status::Active;
            }
            Event::Updated(changes) => {
                if let Some(change) = changes.profile {
                    self.profile = Some(change.kept);
                    if change.concerns_clients {
                        self.client_profile = Some(change.kept.profile_ref);
                    }
                }
                self.visibility = changes.visibility.unwrap_or(self.visibility);
            }
            Event::Suspended => self.suspended = true,
            Event::Resumed => self.suspended = false,
            Event::Deleted => self.status = Status::Deleted,
            Event::Erased => self.profile = None,
        }
    }
}

impl Application {
    fn decide_update(
        &self,
        mut changes: Changes,
        instead_of: Option<VaultRef>,
    ) -> Result<Vec<Event>, Rejection> {
        let Some(present) = self.profile else {
            return Err(Rejection::NotFound);
        };
        if changes.profile.is_some() && instead_of != Some(present.profile_ref) {
            return Err(Rejection::Outdated);
        }
        changes.visibility = changes.visibility.filter(|new| *new != self.visibility);
        Ok(match changes == Changes::default() {
            true => Vec::new(),
            false => vec![Event::Updated(changes)],
        })
    }
}
