//! Why a command on a product was refused.

use portico_proto::{Error, Kind};

/// The rules that commands can break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Never created, or deleted.
    #[error("there is no such product")]
    NotFound,
    /// A product with this id exists.
    #[error("the product exists already")]
    Exists,
    /// Clients cannot be registered for nothing.
    #[error("a product with dynamic client registration needs a scope")]
    ScopesMissing,
    /// Developers choose one of the client types when they ask for access.
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
                "This product exists already; update it instead.",
            ),
            Rejection::ScopesMissing => Self::field("scopes", SCOPES_MISSING.0, SCOPES_MISSING.1),
            Rejection::ClientTypesMissing => Self::field(
                "client_type_ids",
                "client_type_ids_missing",
                "`client_type_ids` must name at least one client type when a product with dynamic client \
                 registration is published.",
            ),
        }
    }
}

/// Code and message; the gRPC method adds them to the other problems of a request.
pub(crate) const SCOPES_MISSING: (&str, &str) = (
    "scopes_missing",
    "`scopes` must have at least one scope when dynamic client registration is enabled.",
);
