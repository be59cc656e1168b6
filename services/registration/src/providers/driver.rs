//! What a driver is: RFC 7591 and RFC 7592 as default bodies, which a type of provider overrides where it differs.

use async_trait::async_trait;
use portico_vault::Secret;
use serde_json::{Map, Value};

use super::client::{
    ChosenIds, Deleted, KnownClient, Prepared, Preview, Reconciled, RegisteredClient,
};
use super::failure::{Failure, Result};
use super::protocol::listing::ClientPage;
use super::session::{RawAnswer, Session, Step};
use super::site::Site;
use super::tokens::Need;
use super::{metadata, rfc7591};
use crate::client_metadata::{Difference, Metadata, WantedClient};
use crate::identity_provider::{Endpoints, Method, Options};

/// The code where clients cannot be listed.
pub(crate) const UNLISTED: &str = "listing_unsupported";

/// What can be found out about an attempt that had no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileClass {
    /// The client id is chosen before the attempt: there is one client at most, and the same attempt may be repeated.
    ChosenId,
    /// Clients can be searched for a marker.
    Search,
    /// Neither: a client may exist that nobody knows.
    Plain,
}

/// What came of trying what the portal authorizes itself with, in words for the admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// The provider accepted it.
    Accepted(String),
    /// It was not shown to the provider: nothing is known of it.
    NotTried(String),
}

/// One type of identity provider.
#[async_trait]
pub trait Driver: Send + Sync {
    /// What [`Driver::reconcile`] can do. RFC 7591 has no way to find a client whose answer got lost.
    fn class(&self) -> ReconcileClass {
        ReconcileClass::Plain
    }

    /// Authorization methods that the type supports, the preferred one first.
    fn authorization_methods(&self) -> &'static [Method] {
        &[
            Method::InitialAccessToken,
            Method::ClientCredentials,
            Method::ApiToken,
            Method::None,
        ]
    }

    /// An option that registrations need beyond the authorization: its field, and what would be right.
    fn missing_option(
        &self,
        _method: Method,
        _options: &Options,
    ) -> Option<(&'static str, &'static str)> {
        None
    }

    /// What a token of the management credentials must be good for, where the admin did not say otherwise.
    fn need(&self) -> Need<'static> {
        Need::default()
    }

    /// Adds members beyond RFC 7591 to the body of a registration or an update.
    fn customize(&self, _site: Site<'_>, _body: &mut Map<String, Value>) {}

    /// The registration request for `wanted`. Pure: the same input gives the same request, so that an attempt can be
    /// repeated from what was stored of it.
    ///
    /// # Errors
    /// What the provider is known to refuse, for example an authentication method: always [`Disposition::Fail`].
    fn prepare(&self, site: Site<'_>, wanted: &WantedClient, _ids: &ChosenIds) -> Result<Prepared> {
        let mut prepared = rfc7591::prepare(site, wanted)?;
        self.customize(site, &mut prepared.body);
        Ok(prepared)
    }

    /// Whether a registration already gives the scopes. Where it does not, the client has none until
    /// [`Driver::update`] was called.
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
    ) -> Result<Preview> {
        let (endpoint, _) = rfc7591::management(client)?;
        let mut body = rfc7591::redacted_update_body(client, wanted);
        self.customize(site, &mut body);
        Ok(Preview::update("PUT", endpoint.clone(), body))
    }

    /// Reads an answer to [`Step::Register`], [`Step::Read`], [`Step::Update`], [`Step::Rotate`] or
    /// [`Step::Reissue`], also one from the spool. Pure.
    ///
    /// # Errors
    /// The failure that the answer tells of.
    fn parse(&self, endpoints: &Endpoints, answer: &RawAnswer) -> Result<RegisteredClient> {
        rfc7591::parse(endpoints, answer)
    }

    /// Whether this client can be read, changed and deleted with what is at hand.
    fn can_manage(&self, _session: &Session<'_>, client: &KnownClient) -> bool {
        rfc7591::management(client).is_ok()
    }

    /// Whether the end of a client's secret ends the client itself, so that it gets no token and cannot be managed then.
    fn expiry_ends_client(&self) -> bool {
        false
    }

    /// Whether the well-known document lists the scopes that clients can be given.
    fn announces_scopes(&self) -> bool {
        true
    }

    /// Tries what the portal authorizes itself with, as far as that registers nothing and uses nothing up.
    ///
    /// # Errors
    /// It is refused, or the provider does not answer.
    async fn try_authorization(&self, session: &Session<'_>) -> Result<Tried> {
        session.try_authorization(self.need()).await
    }

    /// Where the granted metadata differ from those that were asked for, and what that means.
    fn differences(&self, wanted: &WantedClient, granted: &Metadata) -> Vec<Difference> {
        metadata::differences(wanted, granted)
    }

    /// Registers. Where [`Failure::outcome_unknown`] is set, the next call must be [`Driver::reconcile`], never
    /// `register` again.
    ///
    /// # Errors
    /// The provider refuses, or does not answer.
    async fn register(
        &self,
        session: &Session<'_>,
        prepared: &Prepared,
    ) -> Result<RegisteredClient> {
        rfc7591::register(session, prepared, self.need()).await
    }

    /// Finds out what became of a registration without an outcome.
    ///
    /// # Errors
    /// The provider does not answer.
    async fn reconcile(&self, _session: &Session<'_>, _prepared: &Prepared) -> Result<Reconciled> {
        Ok(Reconciled::Unknown)
    }

    /// One page of the clients at the provider, whoever made them; `after`: `next` of the page before.
    ///
    /// # Errors
    /// `listing_unsupported`, with the reason, where the provider has no list or Portico may not read it; otherwise the
    /// provider refuses, or does not answer.
    async fn list_clients(
        &self,
        _session: &Session<'_>,
        _after: Option<&str>,
    ) -> Result<ClientPage> {
        Err(Failure::fail(
            UNLISTED,
            "this type of provider has no way to list clients (RFC 7591 and RFC 7592 have none)",
        ))
    }

    /// The client as it is at the provider. Never brings a secret.
    ///
    /// # Errors
    /// The provider refuses, or does not answer.
    async fn read(&self, session: &Session<'_>, client: &KnownClient) -> Result<RegisteredClient> {
        rfc7591::read(session, client).await
    }

    /// Makes the client what is wanted, scopes included. Idempotent: after an attempt without an outcome it is simply
    /// repeated.
    ///
    /// # Errors
    /// The provider refuses, or does not answer.
    async fn update(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient> {
        let (client, mut body) = rfc7591::before_update(session, client, wanted).await?;
        self.customize(session.site(), &mut body);
        rfc7591::update_with(session, &client, wanted, Step::Update, body).await
    }

    /// Gives the client a new secret: `chosen`, where the provider takes a chosen one; the answer says which it is.
    /// Idempotent where it does. RFC 7592 has no rotation: section 2.2 forbids a client to choose a secret.
    ///
    /// # Errors
    /// `secret_rotation_unsupported`, where there is no way to it.
    async fn rotate_secret(
        &self,
        _session: &Session<'_>,
        _client: &KnownClient,
        _chosen: &Secret,
    ) -> Result<RegisteredClient> {
        Err(Failure::fail(
            "secret_rotation_unsupported",
            "this type of provider has no way to give a client a new secret",
        ))
    }

    /// The secret of a client whose registration brought none, where it can be asked for.
    ///
    /// # Errors
    /// The provider refuses, or does not answer.
    async fn fetch_secret(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
    ) -> Result<RegisteredClient> {
        rfc7591::fetch_secret(session, client).await
    }

    /// Ends every secret of `client` but the one that is known here: what comes some time after a rotation that said
    /// [`RegisteredClient::keeps_old_secret`]. Idempotent.
    ///
    /// # Errors
    /// The provider refuses, or does not answer.
    async fn retire_old_secret(&self, _session: &Session<'_>, _client: &KnownClient) -> Result<()> {
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
    ) -> Result<RegisteredClient> {
        Err(Failure::fail(
            "reissue_unsupported",
            "this type of provider has no way to a new registration access token",
        ))
    }

    /// Takes all power from the client without deleting it, where the provider has a way: no token is given to it
    /// until [`Driver::resume`]. Idempotent.
    ///
    /// # Errors
    /// `suspension_unsupported`, where it has none: an update without scopes is what comes next to it.
    async fn suspend(
        &self,
        _session: &Session<'_>,
        _client: &KnownClient,
    ) -> Result<RegisteredClient> {
        Err(Failure::fail(
            "suspension_unsupported",
            "this type of provider has no way to disable a client",
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
    ) -> Result<RegisteredClient> {
        self.update(session, client, wanted).await
    }

    /// Deletes the client. Idempotent.
    ///
    /// # Errors
    /// The provider refuses, or does not answer.
    async fn delete(&self, session: &Session<'_>, client: &KnownClient) -> Result<Deleted> {
        rfc7591::delete(session, client).await
    }
}
