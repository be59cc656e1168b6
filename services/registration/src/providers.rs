//! Identity providers: everything that is said to them over the network.
//!
//! A [`Driver`] knows one type of provider. It says what it would send ([`Driver::prepare`]), sends it, and after an
//! attempt without an outcome finds out what became of it ([`Driver::reconcile`]). Its default bodies are RFC 7591
//! (registration) and RFC 7592 (management), so a driver says only where its provider differs. It holds no state and
//! never decides when to try again: its callers do, by the [`Failure`] that they get.
//!
//! Every answer that may carry a credential goes through the caller's [`Spool`] before it is parsed. An answer that
//! was spooled but not acted upon, because the process died, is given to [`Driver::parse`].
//!
//! - [`driver`]: the trait; [`keycloak`], [`okta`], [`auth0`], [`gluu`], [`curity`], [`other`]: its implementations,
//!   all listed in [`DRIVERS`]
//! - [`protocol`]: calls, answers, failures, RFC 7591 and RFC 7592
//! - [`access`]: a provider with its secrets out of the vault; [`requirements`]: settings that its driver needs
//! - [`discovery`]: the well-known document; [`check`]: the connection test; `keys`: whether gateways can use a key set

pub mod access;
pub mod auth0;
pub mod check;
pub mod curity;
pub mod discovery;
pub mod driver;
pub mod gluu;
pub mod keycloak;
mod keys;
pub mod okta;
pub mod other;
pub mod protocol;
pub mod requirements;
#[cfg(test)]
pub(crate) mod tests;

pub use crate::client_metadata as metadata;
pub use crate::client_metadata::{Difference, Marker, Metadata, WantedClient};
pub use crate::identity_provider::{Endpoints, Method, Options, ProviderType};
pub use access::{Access, AccessError};
pub use discovery::DiscoveryError;
pub(crate) use driver::UNLISTED;
pub use driver::{Driver, ReconcileClass, Tried};
pub use protocol::client::{
    ChosenIds, Deleted, KnownClient, Prepared, Preview, Reconciled, RegisteredClient,
};
pub use protocol::failure::{Disposition, Failure};
pub use protocol::listing::{ClientPage, MarkedClient, PAGES};
pub use protocol::session::{Management, RawAnswer, Session, Spool, SpoolError, Step};
pub use protocol::site::Site;
pub use protocol::{answer, client, failure, listing, session, site};
pub(crate) use protocol::{credentials, rfc7591, tokens};
#[cfg(test)]
pub(crate) use tests::double;

/// A driver under the name of its provider type in the API.
pub type Entry = (&'static str, &'static dyn Driver);

/// Every provider type that an admin can choose from. Another one is a file beside the others and a line here.
pub static DRIVERS: &[Entry] = &[
    ("keycloak", &keycloak::Keycloak),
    ("okta", &okta::Okta),
    ("auth0", &auth0::Auth0),
    ("gluu", &gluu::Gluu),
    ("curity", &curity::Curity),
    ("other", &other::Other),
];

/// The driver of a provider type, with the type's name. A type that was stored by another version and is not known
/// here is spoken to by the RFCs alone.
#[must_use]
pub fn entry(provider_type: &ProviderType) -> Entry {
    let known = DRIVERS
        .iter()
        .find(|(name, _)| *name == provider_type.as_str());
    known.copied().unwrap_or(("other", &other::Other))
}

/// See [`entry`].
#[must_use]
pub fn driver_for(provider_type: &ProviderType) -> &'static dyn Driver {
    entry(provider_type).1
}
