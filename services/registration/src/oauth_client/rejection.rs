//! Why a command is refused, and the error that callers get.

use portico_proto::{Error, Kind};

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Things have changed since the step was decided: decide it anew.
    #[error("the OAuth client has changed meanwhile")]
    Superseded,
    /// Nothing is registered that could be rotated or revealed.
    #[error("there is no registered OAuth client")]
    NotRegistered,
    /// No access by this client has been active yet.
    #[error("the access of this OAuth client is not active yet")]
    NotReady,
    /// Only the newest secret works.
    #[error("the OAuth client has no old secret")]
    NoOldSecret,
    /// Something is under way at the provider.
    #[error("the OAuth client is being changed")]
    Busy,
    /// An admin has suspended all access by it.
    #[error("the OAuth client is suspended")]
    Suspended,
    /// No orphan has this marker.
    #[error("there is no such orphan")]
    OrphanUnknown,
    /// It was resolved before.
    #[error("the orphan was resolved already")]
    OrphanResolved,
    /// The application has a client.
    #[error("the application has an OAuth client")]
    HasClient,
    /// It is the client that is in use.
    #[error("the orphan is the application's OAuth client")]
    ClientInUse,
    /// No access is granted that a client would be for.
    #[error("no OAuth client is wanted")]
    NotWanted,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let conflict =
            |code: &'static str, message: &str| Self::new(Kind::Conflict, code, message.to_owned());
        match rejection {
            Rejection::NotRegistered => conflict(
                "client_not_registered",
                "The application has no OAuth client at this identity provider yet; wait until its access request \
                 is active.",
            ),
            Rejection::NotReady => conflict(
                "not_ready",
                "The credentials do not work yet; they are shown as soon as the access request is active.",
            ),
            Rejection::NoOldSecret => conflict(
                "no_old_secret",
                "Only the newest client secret works; there is no old one to end.",
            ),
            Rejection::Suspended => conflict(
                "client_suspended",
                "An admin has suspended this access; its credentials work again when it is resumed.",
            ),
            Rejection::OrphanUnknown => Self::not_found("orphan"),
            Rejection::OrphanResolved => conflict(
                "orphan_resolved",
                "This orphan was adopted, deleted or dismissed already.",
            ),
            Rejection::HasClient => conflict(
                "application_has_client",
                "The application has another OAuth client at this identity provider by now; delete the orphan instead.",
            ),
            Rejection::ClientInUse => conflict(
                "client_in_use",
                "This client is the application's and in use; revoke its access instead.",
            ),
            Rejection::NotWanted => conflict(
                "client_not_wanted",
                "No access of the application needs an OAuth client at this identity provider; delete the orphan \
                 instead.",
            ),
            Rejection::Superseded | Rejection::Busy => conflict(
                "client_busy",
                "The OAuth client is being changed right now; try again in a moment.",
            ),
        }
    }
}
