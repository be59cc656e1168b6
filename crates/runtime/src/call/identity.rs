//! The signed identity of a caller. The edge makes it from a session or API token; every service verifies it.
//!
//! The identity is a compact JWS (RFC 7515, HS256) in the metadata `x-portico-identity`, valid for seconds.
//!
//! - [`key`]: signs it, and verifies it under the present key and the others that are known while it is changed
//! - [`verification`]: in front of every service; what is said of an identity that is not taken

mod key;
mod verification;

use portico_proto::{Error, Kind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use key::{IdentityKey, LIFETIME, Refusal};
pub use verification::verify;

/// Metadata key of the signed identity.
pub const HEADER: &str = "x-portico-identity";

/// Role of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Configures, approves, revokes; sees all.
    Admin,
    /// Asks for access; sees what is theirs.
    Developer,
}

impl Role {
    /// As in REST and gRPC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Developer => "developer",
        }
    }
}

/// The verified caller of a gRPC method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody has signed in.
    Anonymous,
    /// A person or their program.
    User {
        /// Id of the user at accounts.
        id: Uuid,
        /// Role of the user when the identity was signed.
        role: Role,
        /// Whether they may see what is internal. Admins do by their role, whatever it says here.
        let_in: bool,
    },
    /// Another service, on its own account.
    Service(String),
}

impl Caller {
    /// A service of this installation.
    pub fn service(name: &str) -> Self {
        Self::Service(name.to_owned())
    }

    /// The caller that the middleware verified; anonymous where there is none.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .unwrap_or(Self::Anonymous)
    }

    /// For event metadata: the user's id, `service:<name>` or `anonymous`.
    pub fn actor(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::User { id, .. } => id.to_string(),
            Self::Service(name) => format!("service:{name}"),
        }
    }

    /// Whether it is an admin or a service.
    pub fn sees_all(&self) -> bool {
        matches!(
            self,
            Self::User {
                role: Role::Admin,
                ..
            } | Self::Service(_)
        )
    }

    /// The user's id; anonymous callers are told to sign in, services that this is for users.
    pub fn require_user(&self) -> Result<(Uuid, Role), Error> {
        match self {
            Self::User { id, role, .. } => Ok((*id, *role)),
            Self::Anonymous => Err(unauthenticated()),
            Self::Service(_) => Err(forbidden("This is for users, not for services.")),
        }
    }

    /// An admin's id.
    pub fn require_admin(&self) -> Result<Uuid, Error> {
        match self.require_user()? {
            (id, Role::Admin) => Ok(id),
            _ => Err(forbidden("Only an admin may do this.")),
        }
    }

    /// An admin, or another service.
    pub fn require_admin_or_service(&self) -> Result<(), Error> {
        match self {
            Self::Service(_) => Ok(()),
            _ => self.require_admin().map(|_| ()),
        }
    }

    /// Somebody: a user or a service.
    pub fn require_known(&self) -> Result<(), Error> {
        match self {
            Self::Anonymous => Err(unauthenticated()),
            _ => Ok(()),
        }
    }

    /// Another service.
    pub fn require_service(&self) -> Result<(), Error> {
        match self {
            Self::Service(_) => Ok(()),
            Self::Anonymous => Err(unauthenticated()),
            Self::User { .. } => Err(forbidden("Only a service may do this.")),
        }
    }
}

pub(crate) fn unauthenticated() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "unauthenticated",
        "Sign in, or send an API token as Bearer.",
    )
}

pub(crate) fn forbidden(message: &str) -> Error {
    Error::new(Kind::Forbidden, "forbidden", message)
}
