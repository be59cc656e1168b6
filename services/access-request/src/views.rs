//! Views: tables in step with the log, and their queries beside them. What several streams must agree on is
//! checked here, in the transaction of the append: see [`rule`].

pub(crate) mod access_requests;
pub(crate) mod applications;
pub(crate) mod timeline;
mod timelines;

use portico_eventstore::{ExecuteError, StoreError};
use portico_proto::{Error, Kind};
use portico_runtime::refuse;

/// Rules over several streams; the words are the codes of the errors.
pub(crate) mod rule {
    /// An application with a request that is alive is not deleted.
    pub(crate) const APPLICATION_IN_USE: &str = "application_in_use";
    /// A deleted application asks for nothing and is granted nothing.
    pub(crate) const APPLICATION_GONE: &str = "application_gone";
    /// One living request for a product of an application under a provider.
    pub(crate) const ALREADY_REQUESTED: &str = "already_requested";
    /// One client type for an application's client at a provider.
    pub(crate) const CLIENT_TYPE_DIFFERS: &str = "client_type_differs";
    /// A client that redirects keeps at least one redirect URL.
    pub(crate) const REDIRECT_URLS_MISSING: &str = "redirect_urls_missing";
}

/// What a failed command is to the caller, with the rules of the views.
pub(crate) fn refused<R>(error: ExecuteError<R>) -> Error
where
    R: std::error::Error + Into<Error>,
{
    let ExecuteError::Store(StoreError::Refused(rule)) = error else {
        return refuse(error);
    };
    let message = match rule {
        rule::APPLICATION_IN_USE => {
            "This application has access requests that are pending or approved; withdraw or revoke them first."
        }
        rule::APPLICATION_GONE => "The application was deleted.",
        rule::ALREADY_REQUESTED => {
            "This application has an access request for one of these products already; withdraw or revoke that \
             one, or choose other products."
        }
        rule::CLIENT_TYPE_DIFFERS => {
            "This application's client at that provider has another client type; choose that one, or another \
             application."
        }
        rule::REDIRECT_URLS_MISSING => {
            return Error::field(
                "redirect_urls",
                rule,
                "`redirect_urls` must keep at least one URL while a client type that redirects is in use.",
            );
        }
        _ => return refuse(ExecuteError::<R>::Store(StoreError::Refused(rule))),
    };
    Error::new(Kind::Conflict, rule, message)
}
