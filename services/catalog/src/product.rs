//! A product: APIs that developers ask access to, opened by scopes of its own.
//!
//! Draft -> published -> draft ...; deleted at the end. With dynamic client registration it has at least one
//! scope from the beginning, and at least one client type while it is published.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_eventstore::Aggregate;
use portico_proto::{Error, Kind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who may see a published product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Visitors too.
    Public,
    /// Everybody signed in.
    #[default]
    Internal,
}

impl Visibility {
    /// As in REST and gRPC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
        }
    }
}

/// An API at the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    /// The gateway's id of it.
    pub api_id: String,
    /// For people.
    pub name: String,
    /// Absolute http(s) URL, or empty.
    pub url: String,
    /// Portico's id of the gateway; `None`: the only one there is.
    pub gateway_id: Option<Uuid>,
}

/// What an admin says about a product, checked field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// 1 to 100 characters.
    pub name: String,
    /// At most 2000 characters.
    pub description: String,
    /// Whether clients are registered for it (RFC 7591).
    pub dcr_enabled: bool,
    /// Scope tokens of RFC 6749 section 3.3.
    pub scopes: BTreeSet<String>,
    /// Client types of the registration service, in the admin's order.
    pub client_type_ids: Vec<Uuid>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Lower case.
    pub tags: BTreeSet<String>,
    /// What it opens.
    pub apis: Vec<Api>,
    /// A policy that exists at the gateway, or empty.
    pub policy_id: String,
    /// Markdown.
    pub documentation: String,
}

/// New values; `None` leaves what is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of Details")]
pub struct Change {
    pub name: Option<String>,
    pub description: Option<String>,
    pub dcr_enabled: Option<bool>,
    pub scopes: Option<BTreeSet<String>>,
    pub client_type_ids: Option<Vec<Uuid>>,
    pub visibility: Option<Visibility>,
    pub tags: Option<BTreeSet<String>>,
    pub apis: Option<Vec<Api>>,
    pub policy_id: Option<String>,
    pub documentation: Option<String>,
}

impl Change {
    fn apply_to(&self, old: &Details) -> Details {
        fn or<T: Clone>(new: &Option<T>, old: &T) -> T {
            new.as_ref().unwrap_or(old).clone()
        }
        Details {
            name: or(&self.name, &old.name),
            description: or(&self.description, &old.description),
            dcr_enabled: or(&self.dcr_enabled, &old.dcr_enabled),
            scopes: or(&self.scopes, &old.scopes),
            client_type_ids: or(&self.client_type_ids, &old.client_type_ids),
            visibility: or(&self.visibility, &old.visibility),
            tags: or(&self.tags, &old.tags),
            apis: or(&self.apis, &old.apis),
            policy_id: or(&self.policy_id, &old.policy_id),
            documentation: or(&self.documentation, &old.documentation),
        }
    }
}

/// Where a product stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Only admins see it.
    Draft,
    /// In the catalogue.
    Published,
    /// Gone; its scopes are free.
    Deleted,
}

impl Status {
    /// As in REST and gRPC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Deleted => "deleted",
        }
    }
}

/// State of a product's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    /// `None` where there is no such product.
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
    Publish { at: Timestamp },
    Unpublish { at: Timestamp },
    Delete { at: Timestamp },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Event {
    Created { details: Details, at: Timestamp },
    Changed { details: Details, at: Timestamp },
    Published { at: Timestamp },
    Unpublished { at: Timestamp },
    Deleted { at: Timestamp },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Never created, or deleted.
    #[error("there is no such product")]
    NotFound,
    /// The id is taken.
    #[error("the product exists already")]
    Exists,
    /// Dynamic client registration without a scope.
    #[error("a product with dynamic client registration needs a scope")]
    ScopesMissing,
    /// Published with dynamic client registration, but without a client type.
    #[error("a published product with dynamic client registration needs a client type")]
    ClientTypesMissing,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotFound => Self::not_found("product"),
            Rejection::Exists => Self::new(
                Kind::Conflict,
                "product_exists",
                "This product exists already; change it instead.",
            ),
            Rejection::ScopesMissing => Self::field("scopes", SCOPES_MISSING.0, SCOPES_MISSING.1),
            Rejection::ClientTypesMissing => Self::field(
                "client_type_ids",
                "client_types_missing",
                "`client_type_ids` must name at least one client type when a product with dynamic client \
                 registration is published.",
            ),
        }
    }
}

/// Code and message of a product that needs scopes.
pub(crate) const SCOPES_MISSING: (&str, &str) = (
    "product_scopes_missing",
    "`scopes` must have at least one scope when dynamic client registration is enabled.",
);

impl Aggregate for Product {
    const CATEGORY: &'static str = "product";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Create { details, at } => {
                if self.status.is_some() {
                    return Err(Rejection::Exists);
                }
                check(details, Status::Draft)?;
                let details = details.clone();
                Ok(vec![Event::Created { details, at: *at }])
            }
            Command::Change { change, at } => {
                let status = self.present()?;
                let details = change.apply_to(&self.details);
                if details == self.details {
                    return Ok(Vec::new());
                }
                check(&details, status)?;
                Ok(vec![Event::Changed { details, at: *at }])
            }
            Command::Publish { at } => match self.present()? {
                Status::Published => Ok(Vec::new()),
                _ => {
                    check(&self.details, Status::Published)?;
                    Ok(vec![Event::Published { at: *at }])
                }
            },
            Command::Unpublish { at } => match self.present()? {
                Status::Published => Ok(vec![Event::Unpublished { at: *at }]),
                _ => Ok(Vec::new()),
            },
            Command::Delete { at } => match self.status {
                None => Err(Rejection::NotFound),
                Some(Status::Deleted) => Ok(Vec::new()),
                Some(_) => Ok(vec![Event::Deleted { at: *at }]),
            },
        }
    }

    fn evolve(&mut self, event: &Event) {
        let (status, at) = match event {
            Event::Created { details, at } => {
                self.details = details.clone();
                self.created_at = *at;
                (Some(Status::Draft), *at)
            }
            Event::Changed { details, at } => {
                self.details = details.clone();
                (self.status, *at)
            }
            Event::Published { at } => (Some(Status::Published), *at),
            Event::Unpublished { at } => (Some(Status::Draft), *at),
            Event::Deleted { at } => (Some(Status::Deleted), *at),
        };
        self.status = status;
        self.updated_at = at;
    }
}

impl Product {
    /// The status of a product that is there.
    fn present(&self) -> Result<Status, Rejection> {
        self.status
            .filter(|status| *status != Status::Deleted)
            .ok_or(Rejection::NotFound)
    }
}

/// What must go together.
fn check(details: &Details, status: Status) -> Result<(), Rejection> {
    if !details.dcr_enabled {
        return Ok(());
    }
    if details.scopes.is_empty() {
        return Err(Rejection::ScopesMissing);
    }
    if status == Status::Published && details.client_type_ids.is_empty() {
        return Err(Rejection::ClientTypesMissing);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
