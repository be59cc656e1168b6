//! A client type: what type of OAuth client developers may choose at an identity provider.

mod definition;
#[cfg(test)]
mod tests;

use portico_eventstore::Aggregate;
use portico_proto::{Error, Kind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use definition::{Definition, Draft};

/// The state of one client type.
#[derive(Debug, Clone, Default)]
pub struct ClientType {
    /// Never changes.
    pub identity_provider_id: Uuid,
    /// None as long as it does not exist.
    pub definition: Option<Definition>,
    /// Not used any more.
    pub deleted: bool,
}

/// What can be asked of a client type.
#[derive(Debug, Clone)]
pub enum Command {
    /// Creates it.
    Add {
        /// Identity provider that the type belongs to.
        identity_provider_id: Uuid,
        /// The complete definition.
        definition: Definition,
    },
    /// Changes it. Registered clients stay as they are until they are updated next.
    Change {
        /// The complete definition, changed or not.
        definition: Definition,
    },
    /// Deletes it.
    Delete {
        /// OAuth clients of this type.
        live_clients: u64,
    },
}

/// What happened to a client type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// It was created.
    Added {
        /// Identity provider that the type belongs to.
        identity_provider_id: Uuid,
        /// The complete definition.
        definition: Definition,
    },
    /// It changed.
    Changed {
        /// The complete definition.
        definition: Definition,
    },
    /// It was deleted.
    Deleted,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It was never there, or is deleted.
    #[error("there is no such client type")]
    NotFound,
    /// The id belongs to another one.
    #[error("the client type exists already")]
    Exists,
    /// Something needs it.
    #[error("{live_clients} OAuth clients are of this type")]
    InUse {
        /// Number of clients of this type.
        live_clients: u64,
    },
}

impl Aggregate for ClientType {
    const CATEGORY: &'static str = "client_type";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    #[deny(clippy::wildcard_enum_match_arm)]
    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Add {
                identity_provider_id,
                definition,
            } => match self.definition {
                None => Ok(vec![Event::Added {
                    identity_provider_id: *identity_provider_id,
                    definition: definition.clone(),
                }]),
                Some(_) => Err(Rejection::Exists),
            },
            Command::Change { definition } => {
                let changed = self.present()? != definition;
                let definition = definition.clone();
                Ok(Vec::from_iter(
                    changed.then_some(Event::Changed { definition }),
                ))
            }
            Command::Delete { .. } if self.deleted => Ok(Vec::new()),
            Command::Delete { live_clients } => {
                self.present()?;
                match live_clients {
                    0 => Ok(vec![Event::Deleted]),
                    _ => Err(Rejection::InUse {
                        live_clients: *live_clients,
                    }),
                }
            }
        }
    }

    #[deny(clippy::wildcard_enum_match_arm)]
    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Added {
                identity_provider_id,
                definition,
            } => {
                self.identity_provider_id = *identity_provider_id;
                self.definition = Some(definition.clone());
            }
            Event::Changed { definition } => self.definition = Some(definition.clone()),
            Event::Deleted => self.deleted = true,
        }
    }
}

impl ClientType {
    /// The definition of a client type that is there.
    ///
    /// # Errors
    /// [`Rejection::NotFound`].
    pub fn present(&self) -> Result<&Definition, Rejection> {
        let definition = self.definition.as_ref().filter(|_| !self.deleted);
        definition.ok_or(Rejection::NotFound)
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotFound => Self::not_found("client type"),
            Rejection::Exists => Self::new(
                Kind::Conflict,
                "already_exists",
                "This client type exists already.",
            ),
            Rejection::InUse { live_clients } => Self::new(
                Kind::Conflict,
                "client_type_in_use",
                format!(
                    "{live_clients} OAuth clients are of this type; revoke their access first."
                ),
            ),
        }
    }
}
