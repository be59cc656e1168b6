//! A plan: limits that a developer chooses, with scopes of its own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_eventstore::Aggregate;
use portico_proto::{Error, Kind};
use serde::{Deserialize, Serialize};

/// So many requests in so many seconds; both at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Requests.
    pub requests: u64,
    /// Seconds.
    pub seconds: u64,
}

/// What an admin says about a plan, checked field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// 1 to 100 characters.
    pub name: String,
    /// At most 2000 characters.
    pub description: String,
    /// Scope tokens of RFC 6749 section 3.3, at least one.
    pub scopes: BTreeSet<String>,
    /// `None`: the gateway sets no limit.
    pub rate: Option<Limit>,
    /// `None`: the gateway sets no limit.
    pub quota: Option<Limit>,
    /// Whether requests for it need no admin.
    pub auto_approve: bool,
    /// A policy that exists at the gateway, or empty.
    pub policy_id: String,
}

/// New values; `None` leaves what is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of Details")]
pub struct Change {
    pub name: Option<String>,
    pub description: Option<String>,
    pub scopes: Option<BTreeSet<String>>,
    /// `Some(None)` takes the limit away.
    pub rate: Option<Option<Limit>>,
    /// `Some(None)` takes the limit away.
    pub quota: Option<Option<Limit>>,
    pub auto_approve: Option<bool>,
    pub policy_id: Option<String>,
}

impl Change {
    fn apply_to(&self, old: &Details) -> Details {
        fn or<T: Clone>(new: &Option<T>, old: &T) -> T {
            new.as_ref().unwrap_or(old).clone()
        }
        Details {
            name: or(&self.name, &old.name),
            description: or(&self.description, &old.description),
            scopes: or(&self.scopes, &old.scopes),
            rate: or(&self.rate, &old.rate),
            quota: or(&self.quota, &old.quota),
            auto_approve: or(&self.auto_approve, &old.auto_approve),
            policy_id: or(&self.policy_id, &old.policy_id),
        }
    }
}

/// Where a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// May be chosen.
    Active,
    /// Gone; its scopes are free.
    Deleted,
}

impl Status {
    /// As in REST and gRPC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }
}

/// State of a plan's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// `None` where there is no such plan.
    pub status: Option<Status>,
    /// As last said.
    pub details: Details,
    /// Of the creation.
    pub created_at: Timestamp,
    /// Of the last event.
    pub updated_at: Timestamp,
}

/// What an admin wants; `at` is the time.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "imperatives of the events")]
pub enum Command {
    Create { details: Details, at: Timestamp },
    Change { change: Change, at: Timestamp },
    Delete { at: Timestamp },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Event {
    Created { details: Details, at: Timestamp },
    Changed { details: Details, at: Timestamp },
    Deleted { at: Timestamp },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Never created, or deleted.
    #[error("there is no such plan")]
    NotFound,
    /// The id is taken.
    #[error("the plan exists already")]
    Exists,
    /// No scope.
    #[error("a plan needs a scope")]
    ScopesMissing,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotFound => Self::not_found("plan"),
            Rejection::Exists => Self::new(
                Kind::Conflict,
                "plan_exists",
                "This plan exists already; change it instead.",
            ),
            Rejection::ScopesMissing => Self::field("scopes", SCOPES_MISSING.0, SCOPES_MISSING.1),
        }
    }
}

/// Code and message of a plan without scopes.
pub(crate) const SCOPES_MISSING: (&str, &str) = (
    "plan_scopes_missing",
    "`scopes` must have at least one scope.",
);

impl Aggregate for Plan {
    const CATEGORY: &'static str = "plan";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Create { details, at } => {
                if self.status.is_some() {
                    return Err(Rejection::Exists);
                }
                check(details)?;
                let details = details.clone();
                Ok(vec![Event::Created { details, at: *at }])
            }
            Command::Change { change, at } => {
                if self.status != Some(Status::Active) {
                    return Err(Rejection::NotFound);
                }
                let details = change.apply_to(&self.details);
                if details == self.details {
                    return Ok(Vec::new());
                }
                check(&details)?;
                Ok(vec![Event::Changed { details, at: *at }])
            }
            Command::Delete { at } => match self.status {
                None => Err(Rejection::NotFound),
                Some(Status::Deleted) => Ok(Vec::new()),
                Some(Status::Active) => Ok(vec![Event::Deleted { at: *at }]),
            },
        }
    }

    fn evolve(&mut self, event: &Event) {
        let (status, at) = match event {
            Event::Created { details, at } => {
                self.details = details.clone();
                self.created_at = *at;
                (Status::Active, *at)
            }
            Event::Changed { details, at } => {
                self.details = details.clone();
                (Status::Active, *at)
            }
            Event::Deleted { at } => (Status::Deleted, *at),
        };
        self.status = Some(status);
        self.updated_at = at;
    }
}

fn check(details: &Details) -> Result<(), Rejection> {
    if details.scopes.is_empty() {
        return Err(Rejection::ScopesMissing);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
