//! Why a command on a plan was refused.

use portico_proto::{Error, Kind};

/// The rules that commands can break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Never created, or deleted.
    #[error("there is no such plan")]
    NotFound,
    /// A plan with this id exists.
    #[error("the plan exists already")]
    Exists,
    /// The gateway tells the plans of a token apart by their scopes.
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
                "This plan exists already; update it instead.",
            ),
            Rejection::ScopesMissing => Self::field("scopes", SCOPES_MISSING.0, SCOPES_MISSING.1),
        }
    }
}

/// Code and message; the gRPC method adds them to the other problems of a request.
pub(crate) const SCOPES_MISSING: (&str, &str) =
    ("scopes_missing", "`scopes` must have at least one scope.");
