//! An application: what asks for access, and whom the OAuth client at a provider is for.
//!
//! * this file: the decider; [`redirect_url`]: which redirect URLs it may have
#![deny(clippy::wildcard_enum_match_arm)]

pub mod redirect_url;
#[cfg(test)]
mod tests;

use portico_eventstore::Aggregate;
use portico_proto::{Error, Kind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use redirect_url::RedirectUrl;

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

/// What a new application is like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// 1 to 100 characters.
    pub name: String,
    /// May be empty.
    pub description: String,
    /// Exact, without duplicates.
    pub redirect_urls: Vec<RedirectUrl>,
    /// Who else it is for.
    pub visibility: Visibility,
}

/// What is to be different; `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Name, where it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Description, where it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// All redirect URLs from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_urls: Option<Vec<RedirectUrl>>,
    /// Visibility, where it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

impl Profile {
    /// What of it is different in another one.
    pub(crate) fn changes_to(&self, wanted: &Self) -> Changes {
        fn differs<T: Clone + PartialEq>(old: &T, new: &T) -> Option<T> {
            (new != old).then(|| new.clone())
        }
        Changes {
            name: differs(&self.name, &wanted.name),
            description: differs(&self.description, &wanted.description),
            redirect_urls: differs(&self.redirect_urls, &wanted.redirect_urls),
            visibility: differs(&self.visibility, &wanted.visibility),
        }
    }

    fn apply(&mut self, changes: &Changes) {
        fn set<T: Clone>(field: &mut T, new: &Option<T>) {
            if let Some(new) = new {
                field.clone_from(new);
            }
        }
        set(&mut self.name, &changes.name);
        set(&mut self.description, &changes.description);
        set(&mut self.redirect_urls, &changes.redirect_urls);
        set(&mut self.visibility, &changes.visibility);
    }
}

impl Changes {
    /// Whether registered clients have to follow.
    pub fn concern_clients(&self) -> bool {
        self.name.is_some() || self.redirect_urls.is_some()
    }
}

/// What is wanted of an application. The caller has checked who may.
#[derive(Debug, Clone)]
pub enum Command {
    /// Creates it.
    Create {
        /// Id of the owning user.
        owner_id: Uuid,
        /// Name, description, visibility and redirect URLs.
        profile: Profile,
    },
    /// Updates the fields that are given and differ.
    Update(Changes),
    /// Suspends or resumes it, on an admin's request.
    Suspend(bool),
    /// Ends it. The view refuses it while a request of it is alive.
    Delete,
}

/// What happened to an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// It was created.
    Created {
        /// Id of the owning user.
        owner_id: Uuid,
        /// Name, description, visibility and redirect URLs.
        #[serde(flatten)]
        profile: Profile,
    },
    /// Holds what really changed.
    Updated(Changes),
    /// An admin stopped it: none of its clients works.
    Suspended,
    /// An admin resumed it.
    Resumed,
    /// It was ended.
    Deleted,
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
    /// Name, description, visibility and redirect URLs.
    pub profile: Profile,
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
        }
    }
}

impl Application {
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
            (Command::Create { owner_id, profile }, Status::None) => Ok(vec![Event::Created {
                owner_id: *owner_id,
                profile: profile.clone(),
            }]),
            (Command::Create { .. }, Status::Active | Status::Deleted) => Err(Rejection::Exists),
            (
                Command::Update(_) | Command::Delete | Command::Suspend(_),
                Status::None | Status::Deleted,
            ) => Err(Rejection::NotFound),
            (Command::Update(changes), Status::Active) => {
                let mut wanted = self.profile.clone();
                wanted.apply(changes);
                let changes = self.profile.changes_to(&wanted);
                if changes == Changes::default() {
                    return Ok(Vec::new());
                }
                Ok(vec![Event::Updated(changes)])
            }
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
            Event::Created { owner_id, profile } => {
                self.owner_id = *owner_id;
                self.profile = profile.clone();
                self.status = Status::Active;
            }
            Event::Updated(changes) => self.profile.apply(changes),
            Event::Suspended => self.suspended = true,
            Event::Resumed => self.suspended = false,
            Event::Deleted => self.status = Status::Deleted,
        }
    }
}
