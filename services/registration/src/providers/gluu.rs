//! Gluu Server and Janssen, whose `.../restv1/register` follows RFC 7591 and RFC 7592. From
//! <https://docs.jans.io/stable/janssen-server/auth-server/endpoints/client-registration>,
//! <https://docs.jans.io/stable/janssen-server/auth-server/client-management/software-statements> and
//! <https://gluu.org/docs/gluu-server/4.5/admin-guide/openid-connect/>:
//!
//! * Registration is open, or asks for a software statement (RFC 7591 section 2.3), a JWT that the admin gives.
//! * Scopes that are not open to dynamic registration are left out without a word, and the server's default scopes
//!   may be added; the answer says which there are.
//! * Access tokens are opaque unless the client says `access_token_as_jwt`, which a gateway needs; this is sent.
//! * Clients expire (`dynamicRegistrationExpirationTime`), one hour or one day after registration by default; the
//!   answer says when in `client_secret_expires_at`, and the expiry ends the client, not only its secret.
//! * `registration_client_uri` has the client in its query. A read or an update keeps the registration access token;
//!   an update must carry everything.
//! * There is no rotation of a secret.

use async_trait::async_trait;
use portico_vault::Secret;
use serde_json::Value;

use super::client::{
    ChosenIds, Deleted, KnownClient, Prepared, Preview, Reconciled, RegisteredClient, WantedClient,
};
use super::discovery::Endpoints;
use super::failure::Failure;
use super::metadata::{self, Difference, Metadata};
use super::other::Other;
use super::session::{RawAnswer, Session, Step};
use super::site::Site;
use super::tokens::Need;
use super::{Driver, ReconcileClass, rfc7591};

/// Beyond RFC 7591.
const AS_JWT: &str = "access_token_as_jwt";

/// The driver.
pub struct Gluu;

#[async_trait]
impl Driver for Gluu {
    fn class(&self) -> ReconcileClass {
        Other.class()
    }

    fn prepare(
        &self,
        site: Site<'_>,
        wanted: &WantedClient,
        _ids: &ChosenIds,
    ) -> Result<Prepared, Failure> {
        let mut prepared = rfc7591::prepare(site, wanted)?;
        prepared.body.insert(AS_JWT.into(), true.into());
        Ok(prepared)
    }

    fn preview_update(
        &self,
        site: Site<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<Preview, Failure> {
        let mut preview = Other.preview_update(site, client, wanted)?;
        if let Value::Object(body) = &mut preview.body {
            body.insert(AS_JWT.into(), true.into());
        }
        Ok(preview)
    }

    fn parse(
        &self,
        endpoints: &Endpoints,
        answer: &RawAnswer,
    ) -> Result<RegisteredClient, Failure> {
        rfc7591::parse(endpoints, answer)
    }

    fn can_manage(&self, session: &Session<'_>, client: &KnownClient) -> bool {
        Other.can_manage(session, client)
    }

    fn differences(&self, wanted: &WantedClient, granted: &Metadata) -> Vec<Difference> {
        let mut found = metadata::differences(wanted, granted);
        for one in &mut found {
            if one.member == "client_secret_expires_at" {
                one.consequence = "the client, and not only its secret, stops working at that time (Unix seconds): \
                                   dynamicRegistrationExpirationTime of the server says so"
                    .into();
            }
        }
        if granted.members().get(AS_JWT) == Some(&Value::Bool(false)) {
            found.push(Difference {
                member: AS_JWT.into(),
                asked: "true".into(),
                granted: "false".into(),
                consequence:
                    "its access tokens are opaque, so a gateway that checks JWTs refuses them"
                        .into(),
            });
        }
        found
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
        session: &Session<'_>,
        prepared: &Prepared,
    ) -> Result<Reconciled, Failure> {
        Other.reconcile(session, prepared).await
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
        let mut body = rfc7591::update_body(client, wanted);
        body.insert(AS_JWT.into(), true.into());
        rfc7591::update_with(session, client, wanted, Step::Update, body).await
    }

    async fn rotate_secret(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        chosen: &Secret,
    ) -> Result<RegisteredClient, Failure> {
        Other.rotate_secret(session, client, chosen).await
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
mod tests;
