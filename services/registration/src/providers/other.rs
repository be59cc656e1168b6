//! Any provider that follows RFC 7591, and RFC 7592 where it offers that.
//!
//! Registration is not idempotent: after an attempt without an outcome nobody can
//! tell whether a client exists ([`ReconcileClass::Plain`]). Its caller may keep
//! such an orphan powerless: register with no scopes, store the client, then
//! [`Driver::update`] it with the scopes; that needs a provider that is known to
//! manage clients.

use async_trait::async_trait;
use portico_vault::Secret;

use super::client::{
    ChosenIds, Deleted, KnownClient, Prepared, Preview, Reconciled, RegisteredClient, WantedClient,
};
use super::discovery::Endpoints;
use super::failure::{Disposition, Failure};
use super::rfc7591;
use super::session::{RawAnswer, Session};
use super::site::Site;
use super::tokens::Need;
use super::{Driver, ReconcileClass};

/// The driver.
pub struct Other;

#[async_trait]
impl Driver for Other {
    fn class(&self) -> ReconcileClass {
        ReconcileClass::Plain
    }

    fn prepare(
        &self,
        site: Site<'_>,
        wanted: &WantedClient,
        _ids: &ChosenIds,
    ) -> Result<Prepared, Failure> {
        rfc7591::prepare(site, wanted)
    }

    fn preview_update(
        &self,
        _site: Site<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<Preview, Failure> {
        let (endpoint, _) = rfc7591::management(client)?;
        Ok(Preview {
            action: "update",
            method: "PUT",
            endpoint: endpoint.clone(),
            body: rfc7591::redacted_update_body(client, wanted),
        })
    }

    fn parse(
        &self,
        endpoints: &Endpoints,
        answer: &RawAnswer,
    ) -> Result<RegisteredClient, Failure> {
        rfc7591::parse(endpoints, answer)
    }

    fn can_manage(&self, _session: &Session<'_>, client: &KnownClient) -> bool {
        rfc7591::management(client).is_ok()
    }

    async fn register(
        &self,
        session: &Session<'_>,
        prepared: &Prepared,
    ) -> Result<RegisteredClient, Failure> {
        rfc7591::register(session, prepared, Need::default()).await
    }

    async fn reconcile(
        &self,
        _session: &Session<'_>,
        _prepared: &Prepared,
    ) -> Result<Reconciled, Failure> {
        Ok(Reconciled::Unknown)
    }

    async fn read(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
    ) -> Result<RegisteredClient, Failure> {
        rfc7591::read(session, client).await
    }

    async fn update(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient, Failure> {
        rfc7591::update(session, client, wanted).await
    }

    /// RFC 7592 has no rotation: section 2.2 forbids a client to choose a secret.
    async fn rotate_secret(
        &self,
        _session: &Session<'_>,
        _client: &KnownClient,
        _chosen: &Secret,
    ) -> Result<RegisteredClient, Failure> {
        Err(Failure::new(
            Disposition::Fail,
            "secret_rotation_unsupported",
            "this kind of provider has no way to give a client a new secret",
        ))
    }

    async fn delete(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
    ) -> Result<Deleted, Failure> {
        rfc7591::delete(session, client).await
    }
}

#[cfg(test)]
mod answers;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod tests;
