//! One API gateway and how it is reached.

#![deny(clippy::wildcard_enum_match_arm)]

use portico_eventstore::Aggregate;
use portico_proto::{Error, Kind};
use portico_vault::{Owner, VaultRef};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an admin says about a gateway, beside its secret. Checked before it gets here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) name: String,
    /// A name that [`crate::gateways::driver_for`] knows.
    pub(crate) kind: String,
    /// Base URL of the control API.
    pub(crate) url: String,
    /// The organisation of policies that Portico makes; empty: the API's own.
    pub(crate) org_id: String,
    /// The No-Operation policy.
    pub(crate) default_policy_id: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Add {
        settings: Settings,
        secret: VaultRef,
    },
    /// To these settings as a whole; `None` leaves the secret.
    Change {
        settings: Settings,
        secret: Option<VaultRef>,
    },
    /// `grants`: how many use it.
    Delete { grants: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Event {
    Added {
        settings: Settings,
        secret: VaultRef,
    },
    Changed {
        settings: Settings,
        /// Where there is a new one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<VaultRef>,
    },
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("there is no such gateway")]
    NotThere,
    #[error("a gateway with this id is there already")]
    Taken,
    #[error("{0} approved products are mapped at this gateway")]
    InUse(u64),
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotThere => Self::not_found("gateway"),
            Rejection::Taken => Self::new(
                Kind::Conflict,
                "gateway_exists",
                "A gateway with this id is there already.",
            ),
            Rejection::InUse(grants) => Self::new(
                Kind::Conflict,
                "gateway_in_use",
                format!(
                    "{grants} approved items of access requests are mapped at this gateway; revoke them first."
                ),
            ),
        }
    }
}

/// A gateway as its events tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    /// None where the gateway is not there (any more).
    pub(crate) secret: Option<VaultRef>,
    was_there: bool,
}

impl Gateway {
    /// Whose the secret is in the vault.
    pub(crate) fn vault_owner(id: Uuid) -> Owner {
        Owner::new("gateway", id)
    }

    /// Whether it is there and can be used.
    pub(crate) fn is_active(&self) -> bool {
        self.secret.is_some()
    }
}

impl Aggregate for Gateway {
    const CATEGORY: &'static str = "gateway";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Add { .. } if self.was_there => Err(Rejection::Taken),
            Command::Add { settings, secret } => Ok(vec![Event::Added {
                settings: settings.clone(),
                secret: *secret,
            }]),
            Command::Delete { .. } if self.was_there && !self.is_active() => Ok(Vec::new()),
            Command::Change { .. } | Command::Delete { .. } if !self.is_active() => {
                Err(Rejection::NotThere)
            }
            Command::Change { settings, secret } => {
                let secret = secret.filter(|secret| self.secret != Some(*secret));
                if *settings == self.settings && secret.is_none() {
                    return Ok(Vec::new());
                }
                Ok(vec![Event::Changed {
                    settings: settings.clone(),
                    secret,
                }])
            }
            Command::Delete { grants: 0 } => Ok(vec![Event::Deleted]),
            Command::Delete { grants } => Err(Rejection::InUse(*grants)),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Added { settings, secret } => {
                self.was_there = true;
                self.settings = settings.clone();
                self.secret = Some(*secret);
            }
            Event::Changed { settings, secret } => {
                self.settings = settings.clone();
                self.secret = secret.or(self.secret);
            }
            Event::Deleted => self.secret = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::given;

    use super::*;

    const SECRET: VaultRef = VaultRef(Uuid::from_u128(1));
    const NEW: VaultRef = VaultRef(Uuid::from_u128(2));

    fn settings(name: &str) -> Settings {
        Settings {
            name: name.into(),
            kind: "tyk".into(),
            url: "https://gateway.example/".into(),
            org_id: String::new(),
            default_policy_id: "noop".into(),
        }
    }

    fn added() -> Event {
        Event::Added {
            settings: settings("a"),
            secret: SECRET,
        }
    }

    fn change(name: &str, secret: Option<VaultRef>) -> Command {
        Command::Change {
            settings: settings(name),
            secret,
        }
    }

    #[test]
    fn is_added_changed_and_deleted() {
        let add = Command::Add {
            settings: settings("a"),
            secret: SECRET,
        };
        given::<Gateway>([]).when(&add).then([added()]);
        assert_eq!(
            given::<Gateway>([added()]).when(&add).then_refused(),
            Rejection::Taken
        );
        given::<Gateway>([added()])
            .when(&change("b", None))
            .then([Event::Changed {
                settings: settings("b"),
                secret: None,
            }]);
        let changed = Event::Changed {
            settings: settings("a"),
            secret: Some(NEW),
        };
        given::<Gateway>([added()])
            .when(&change("a", Some(NEW)))
            .then([changed.clone()]);
        let state = given::<Gateway>([added(), changed]).state();
        assert_eq!(state.secret, Some(NEW));
        given::<Gateway>([added()])
            .when(&Command::Delete { grants: 0 })
            .then([Event::Deleted]);
    }

    #[test]
    fn stays_quiet_where_nothing_changes() {
        given::<Gateway>([added()])
            .when(&change("a", None))
            .then_nothing();
        given::<Gateway>([added()])
            .when(&change("a", Some(SECRET)))
            .then_nothing();
        given::<Gateway>([added(), Event::Deleted])
            .when(&Command::Delete { grants: 0 })
            .then_nothing();
    }

    #[test]
    fn refuses_what_is_not_there_or_in_use() {
        let refused = |events: Vec<Event>, command: Command| {
            given::<Gateway>(events).when(&command).then_refused()
        };
        let delete = Command::Delete { grants: 0 };
        assert_eq!(refused(vec![], delete), Rejection::NotThere);
        assert_eq!(refused(vec![], change("a", None)), Rejection::NotThere);
        let gone = vec![added(), Event::Deleted];
        assert_eq!(refused(gone, change("b", None)), Rejection::NotThere);
        assert_eq!(
            refused(vec![added()], Command::Delete { grants: 3 }),
            Rejection::InUse(3)
        );
    }

    #[test]
    fn events_are_stored_like_this() {
        let stored = serde_json::to_value(added()).unwrap();
        assert_eq!(
            stored,
            serde_json::json!({"type": "added", "data": {
                "settings": {"name": "a", "kind": "tyk", "url": "https://gateway.example/",
                    "org_id": "", "default_policy_id": "noop"},
                "secret": "00000000-0000-0000-0000-000000000001",
            }})
        );
    }
}
