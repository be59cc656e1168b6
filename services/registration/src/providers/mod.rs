//! Identity providers: everything that is said to them over the network.
//!
//! A [`Driver`] knows one kind of provider. It says what it would send
//! ([`Driver::prepare`]), does it, and after an attempt without an outcome finds
//! out what became of it ([`Driver::reconcile`]). It holds no state and never
//! decides when to try again: its callers do, by the [`Failure`] that they get.
//!
//! Every answer that may carry a credential goes through the caller's [`Spool`]
//! before it is parsed. An answer that was spooled but not acted upon, because
//! the process died, is given to [`Driver::parse`].
//!
//! - [`client`]: what is wanted, what is known, what was granted
//! - [`authorization`]: how the portal authorises itself; [`site`]: a provider
//!   without its secrets
//! - [`discovery`]: the well-known document; [`check`]: the connection test
//! - [`failure`]: what went wrong and what to do about it; `words`: the
//!   provider's own about it, without anything that looks like a token
//! - [`metadata`]: client metadata of RFC 7591 and its differences
//! - [`session`]: the calls themselves, their deadline and where tokens may go;
//!   `tokens`: where tokens come from; [`answer`]: what came back
//! - [`rfc7591`]: plain RFC 7591 and RFC 7592
//! - [`keycloak`], [`okta`], [`auth0`], [`gluu`], [`curity`], [`other`]: the
//!   drivers

pub mod answer;
pub mod auth0;
pub mod authorization;
pub mod check;
pub mod client;
pub mod curity;
pub mod discovery;
pub mod failure;
pub mod gluu;
pub mod keycloak;
pub mod metadata;
pub mod okta;
pub mod other;
pub mod rfc7591;
pub mod session;
pub mod site;
mod tokens;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod double;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use portico_vault::Secret;
use serde::{Deserialize, Serialize};

pub use authorization::{Method, Options};
pub use client::{
    ChosenIds, Deleted, KnownClient, Marker, Prepared, Preview, Reconciled, RegisteredClient,
    WantedClient,
};
pub use discovery::{DiscoveryError, Endpoints};
pub use failure::{Disposition, Failure};
pub use metadata::{Difference, Metadata};
pub use session::{Management, RawAnswer, Session, Spool, SpoolError, Step};
pub use site::Site;

/// What can be found out about an attempt that had no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileClass {
    /// The client id is chosen before the attempt: there is one client at most,
    /// and the same attempt may be repeated.
    ChosenId,
    /// Clients can be searched for a marker.
    Search,
    /// Neither: a client may exist that nobody knows.
    Plain,
}

/// One kind of identity provider.
#[async_trait]
pub trait Driver: Send + Sync {
    /// What [`Driver::reconcile`] can do.
    fn class(&self) -> ReconcileClass;

    /// The registration request for `wanted`. Pure: the same input gives the same
    /// request, so that an attempt can be repeated from what was stored of it.
    ///
    /// # Errors
    /// What the provider is known to refuse, for example an authentication
    /// method: always [`Disposition::Fail`].
    fn prepare(
        &self,
        site: Site<'_>,
        wanted: &WantedClient,
        ids: &ChosenIds,
    ) -> Result<Prepared, Failure>;

    /// Whether a registration already gives the scopes. Where it does not, the
    /// client has none until [`Driver::update`] was called.
    fn registers_scopes(&self, _site: Site<'_>) -> bool {
        true
    }

    /// What an update of `client` would send, secrets redacted. Pure.
    ///
    /// # Errors
    /// As [`Driver::prepare`], and [`Disposition::Unmanageable`].
    fn preview_update(
        &self,
        site: Site<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<Preview, Failure>;

    /// Reads an answer to [`Step::Register`], [`Step::Read`], [`Step::Update`],
    /// [`Step::Rotate`] or [`Step::Reissue`], also one from the spool. Pure.
    ///
    /// # Errors
    /// The failure that the answer tells of.
    fn parse(&self, endpoints: &Endpoints, answer: &RawAnswer)
    -> Result<RegisteredClient, Failure>;

    /// Whether this client can be read, changed and deleted with what is at hand.
    fn can_manage(&self, session: &Session<'_>, client: &KnownClient) -> bool;

    /// Whether the well-known document lists the scopes that clients can be given.
    fn announces_scopes(&self) -> bool {
        true
    }

    /// Tries what the portal authorises itself with, without registering anything.
    /// Says what was found.
    ///
    /// # Errors
    /// It is refused, or the provider does not answer.
    async fn try_way_in(&self, session: &Session<'_>) -> Result<String, Failure> {
        session.try_way_in(tokens::Need::default()).await
    }

    /// What was granted otherwise than asked, and what it means.
    fn differences(&self, wanted: &WantedClient, granted: &Metadata) -> Vec<Difference> {
        metadata::differences(wanted, granted)
    }

    /// Registers. Where [`Failure::outcome_unknown`] is set, the next call must
    /// be [`Driver::reconcile`], never `register` again.
    async fn register(
        &self,
        session: &Session<'_>,
        prepared: &Prepared,
    ) -> Result<RegisteredClient, Failure>;

    /// Finds out what became of a registration without an outcome.
    async fn reconcile(
        &self,
        session: &Session<'_>,
        prepared: &Prepared,
    ) -> Result<Reconciled, Failure>;

    /// The client as it is at the provider. Never brings a secret.
    async fn read(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
    ) -> Result<RegisteredClient, Failure>;

    /// Makes the client what is wanted, scopes included. Idempotent: after an
    /// attempt without an outcome it is simply repeated.
    async fn update(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient, Failure>;

    /// Gives the client a new secret: `chosen`, where the provider takes a chosen
    /// one; the answer says which it is. Idempotent where it does.
    async fn rotate_secret(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        chosen: &Secret,
    ) -> Result<RegisteredClient, Failure>;

    /// Ends every secret of `client` but the one that is known here: what comes some time after a rotation that said
    /// [`RegisteredClient::keeps_old_secret`]. Idempotent.
    ///
    /// # Errors
    /// The provider refuses, or does not answer.
    async fn retire_old_secret(
        &self,
        _session: &Session<'_>,
        _client: &KnownClient,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// A new registration access token in place of one that got lost, by what the portal itself may do.
    ///
    /// # Errors
    /// `reissue_unsupported`, where there is no way to it.
    async fn reissue(
        &self,
        _session: &Session<'_>,
        _client: &KnownClient,
    ) -> Result<RegisteredClient, Failure> {
        Err(Failure::new(
            Disposition::Fail,
            "reissue_unsupported",
            "this kind of provider has no way to a new registration access token",
        ))
    }

    /// Takes all power from the client without deleting it, where the provider has
    /// a way: no token is given to it until [`Driver::resume`]. Idempotent.
    ///
    /// # Errors
    /// `suspension_unsupported`, where it has none: an update without scopes is what
    /// comes next to it.
    async fn suspend(
        &self,
        _session: &Session<'_>,
        _client: &KnownClient,
    ) -> Result<RegisteredClient, Failure> {
        Err(Failure::new(
            Disposition::Fail,
            "suspension_unsupported",
            "this kind of provider has no way to switch a client off",
        ))
    }

    /// Undoes [`Driver::suspend`]; the client is what is wanted then. Idempotent.
    ///
    /// # Errors
    /// As [`Driver::update`].
    async fn resume(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient, Failure> {
        self.update(session, client, wanted).await
    }

    /// Deletes the client. Idempotent.
    async fn delete(&self, session: &Session<'_>, client: &KnownClient)
    -> Result<Deleted, Failure>;
}

/// The kinds of provider that an admin can choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderType {
    /// Keycloak.
    Keycloak,
    /// Okta.
    Okta,
    /// Auth0.
    Auth0,
    /// Gluu or Janssen.
    Gluu,
    /// Curity.
    Curity,
    /// Whatever follows RFC 7591.
    Other,
}

impl ProviderType {
    /// All of them, in the order of the list that admins see.
    pub const ALL: [Self; 6] = [
        Self::Keycloak,
        Self::Okta,
        Self::Auth0,
        Self::Gluu,
        Self::Curity,
        Self::Other,
    ];

    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keycloak => "keycloak",
            Self::Okta => "okta",
            Self::Auth0 => "auth0",
            Self::Gluu => "gluu",
            Self::Curity => "curity",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ProviderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not one of [`ProviderType::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider type must be one of keycloak, okta, auth0, gluu, curity, other")]
pub struct UnknownProviderType;

impl FromStr for ProviderType {
    type Err = UnknownProviderType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownProviderType)
    }
}

/// The driver for a kind of provider.
#[must_use]
pub fn driver_for(kind: ProviderType) -> &'static dyn Driver {
    match kind {
        ProviderType::Keycloak => &keycloak::Keycloak,
        ProviderType::Okta => &okta::Okta,
        ProviderType::Auth0 => &auth0::Auth0,
        ProviderType::Gluu => &gluu::Gluu,
        ProviderType::Curity => &curity::Curity,
        ProviderType::Other => &other::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_back() {
        for kind in ProviderType::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(
                serde_json::to_value(kind).unwrap(),
                serde_json::json!(kind.as_str())
            );
        }
        assert_eq!("Keycloak".parse::<ProviderType>(), Err(UnknownProviderType));
    }

    #[test]
    fn kinds_differ_in_what_can_be_found_out() {
        use ReconcileClass::{ChosenId, Plain, Search};
        let classes = ProviderType::ALL.map(|kind| driver_for(kind).class());
        assert_eq!(classes, [ChosenId, Search, Search, Plain, Plain, Plain]);
    }
}
