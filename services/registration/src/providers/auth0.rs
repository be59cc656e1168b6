//! Auth0, through its Management API, or through open registration. From
//! <https://auth0.com/docs/api/management/v2/clients/post-clients>,
//! <https://auth0.com/docs/api/management/v2/clients/post-rotate-secret>,
//! <https://auth0.com/docs/api/management/v2/client-grants/post-client-grants>,
//! <https://auth0.com/docs/get-started/applications/dynamic-client-registration> and
//! <https://auth0.com/docs/troubleshoot/customer-support/operational-policies/rate-limit-policy>:
//!
//! | call | what happens |
//! |---|---|
//! | token request of the portal | by client credentials, with the audience `{issuer}api/v2/`; without an audience the token is opaque and good for nothing |
//! | POST `/api/v2/clients` | members of Auth0's own (`name`, `callbacks`, `app_type`); an unknown one is 400 `invalid_body`; a name may be taken twice and has no `<` or `>`; `client_metadata` is kept, so the marker goes there |
//! | POST `/api/v2/client-grants` | client, audience, scopes; without one the client gets no token for that API by client credentials; a second one for the same two is 409, a scope that the API does not have is 400 |
//! | GET `/api/v2/clients/{id}` | with the secret only where the token may read keys; never taken from there |
//! | PATCH `/api/v2/clients/{id}`, `/api/v2/client-grants/{id}` | changes what is given |
//! | POST `.../rotate-secret` | a new secret of Auth0's choice |
//! | DELETE `/api/v2/clients/{id}` | 204, also where it was gone; its grants go with it |
//! | a client that is not there | 404 with `statusCode` and `error` as in every error; one without is a proxy's |
//! | errors | `{"statusCode", "error": "Bad Request", "message", "errorCode"}`; sometimes the bare text "Bad Request" |
//! | too many calls | 429 `too_many_requests` with `X-RateLimit-Reset`, Unix seconds |
//! | POST `/oidc/register` | only where the tenant has opened it, for anybody; a third-party client for users who sign in, without `client_credentials`, without anything to manage it with |
//!
//! Through the Management API a client is registered without scopes and gets them by the update that follows once
//! the registration is recorded: two calls make a client, and nothing may happen between them that is not known.
//! Scopes of people who sign in are not restricted by client; that stands as a difference where a client has both.

mod calls;
mod grants;
mod members;
mod open;

use async_trait::async_trait;
use http::Method as Verb;
use portico_vault::Secret;
use serde_json::{Map, Value, json};

use super::client::{
    ChosenIds, Deleted, KnownClient, Prepared, Preview, Reconciled, RegisteredClient, WantedClient,
};
use super::discovery::Endpoints;
use super::driver::UNLISTED;
use super::failure::{Disposition, Failure, Result};
use super::listing::{self, ClientPage};
use super::metadata::{self, Difference, Metadata};
use super::session::{Body, RawAnswer, Session, Step};
use super::site::Site;
use super::{Driver, Method, Options, ReconcileClass, Tried, rfc7591};
use calls::{call, clients, one, refused};

/// Driver for Auth0.
pub struct Auth0;

#[async_trait]
impl Driver for Auth0 {
    fn class(&self) -> ReconcileClass {
        ReconcileClass::Search
    }

    fn authorization_methods(&self) -> &'static [Method] {
        &[Method::ClientCredentials, Method::ApiToken, Method::None]
    }

    fn missing_option(
        &self,
        method: Method,
        options: &Options,
    ) -> Option<(&'static str, &'static str)> {
        (method != Method::None && options.api_audience.is_empty()).then_some((
            "api_audience",
            "`api_audience` must be the identifier of the Auth0 API whose scopes clients are granted.",
        ))
    }

    fn prepare(&self, site: Site<'_>, wanted: &WantedClient, _ids: &ChosenIds) -> Result<Prepared> {
        rfc7591::check_auth_method(site.endpoints, wanted)?;
        if site.method == Method::None {
            return open::prepare(site, wanted);
        }
        members::check(site, wanted)?;
        Ok(Prepared::new(
            clients(site)?,
            wanted,
            members::registration(wanted),
        ))
    }

    fn registers_scopes(&self, site: Site<'_>) -> bool {
        site.method == Method::None
    }

    fn preview_update(
        &self,
        site: Site<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<Preview> {
        let mut body = members::changes(wanted);
        if members::by_itself(wanted) {
            body.insert("client_grant".into(), grants::shown(site, wanted));
        }
        Ok(Preview::update(
            "PATCH",
            one(site, &client.client_id)?,
            body,
        ))
    }

    fn parse(&self, endpoints: &Endpoints, answer: &RawAnswer) -> Result<RegisteredClient> {
        members::parse(endpoints, answer)
    }

    fn can_manage(&self, session: &Session<'_>, _client: &KnownClient) -> bool {
        session.method != Method::None
    }

    /// Those of OpenID Connect, and not an API's.
    fn announces_scopes(&self) -> bool {
        false
    }

    async fn try_authorization(&self, session: &Session<'_>) -> Result<Tried> {
        if session.method == Method::None {
            let open = "whether the tenant has opened registration was not tried; its clients would be third-party clients \
                        that cannot use client_credentials and cannot be managed: management credentials are better";
            return Ok(Tried::NotTried(open.to_owned()));
        }
        let mut url = clients(session.site())?;
        url.set_query(Some(
            "page=0&per_page=1&fields=client_id&include_fields=true",
        ));
        calls::get(session, &url).await?;
        grants::of_audience(session).await?;
        let read = "the Management API may be read: clients and client grants";
        Ok(Tried::Accepted(read.to_owned()))
    }

    fn differences(&self, wanted: &WantedClient, granted: &Metadata) -> Vec<Difference> {
        let mut found = metadata::differences(wanted, granted);
        found.extend(members::differences(wanted, granted));
        found
    }

    async fn register(
        &self,
        session: &Session<'_>,
        prepared: &Prepared,
    ) -> Result<RegisteredClient> {
        if session.method == Method::None {
            return open::register(session, prepared).await;
        }
        let body = Body::Json(Value::Object(prepared.body.clone()));
        let answer = call(
            session,
            Step::Register,
            Verb::POST,
            &prepared.endpoint,
            body,
        )
        .await?;
        members::parse(session.endpoints, &answer).map_err(Failure::of_provider)
    }

    async fn reconcile(&self, session: &Session<'_>, prepared: &Prepared) -> Result<Reconciled> {
        if session.method == Method::None {
            return Ok(Reconciled::Unknown);
        }
        let marker = &prepared.wanted.marker;
        let Some(id) = listing::find_marked(self, session, marker).await? else {
            return Ok(Reconciled::NotThere);
        };
        // Its secret was in the answer that got lost.
        let registered = match prepared.wanted.is_public() {
            true => calls::read(session, &id).await?,
            false => new_secret(session, &id).await?,
        };
        Ok(Reconciled::Registered(Box::new(registered)))
    }

    async fn list_clients(&self, session: &Session<'_>, after: Option<&str>) -> Result<ClientPage> {
        if session.method == Method::None {
            return Err(Failure::fail(
                UNLISTED,
                "clients are listed by the Management API, for which this provider has no credentials",
            ));
        }
        calls::list(session, after).await
    }

    async fn read(&self, session: &Session<'_>, client: &KnownClient) -> Result<RegisteredClient> {
        open::check(session)?;
        let registered = calls::read(session, &client.client_id).await?;
        let grant = grants::of(session, &client.client_id).await?;
        Ok(members::with_scopes(registered, &grant.scopes))
    }

    async fn update(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient> {
        open::check(session)?;
        members::check(session.site(), wanted)?;
        // The grant first: what is taken away must be gone even where the rest is refused.
        let scopes = grants::put(session, &client.client_id, wanted).await?;
        let registered = change(session, client, members::changes(wanted)).await?;
        Ok(members::with_scopes(registered, &scopes))
    }

    /// Auth0 chooses the secret. After a rotation whose answer got lost there is another one.
    async fn rotate_secret(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        _chosen: &Secret,
    ) -> Result<RegisteredClient> {
        open::check(session)?;
        let registered = new_secret(session, &client.client_id).await?;
        let scopes = client.granted.scopes().unwrap_or_default();
        Ok(members::with_scopes(registered, &scopes))
    }

    /// Without grant types no token is given.
    async fn suspend(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
    ) -> Result<RegisteredClient> {
        open::check(session)?;
        let body = Map::from_iter([("grant_types".to_owned(), json!([]))]);
        let registered = change(session, client, body).await?;
        let scopes = client.granted.scopes().unwrap_or_default();
        Ok(members::with_scopes(registered, &scopes))
    }

    async fn delete(&self, session: &Session<'_>, client: &KnownClient) -> Result<Deleted> {
        open::check(session)?;
        let url = one(session.site(), &client.client_id)?;
        let answer = call(session, Step::Other, Verb::DELETE, &url, Body::None).await?;
        if answer.is_success() {
            return Ok(Deleted::Deleted);
        }
        let failure = refused(&answer);
        match failure.disposition {
            Disposition::Gone => Ok(Deleted::AlreadyGone),
            _ => Err(failure),
        }
    }
}

/// Changes members of the client. The secret that an answer may have is of no use.
async fn change(
    session: &Session<'_>,
    client: &KnownClient,
    members: Map<String, Value>,
) -> Result<RegisteredClient> {
    let url = one(session.site(), &client.client_id)?;
    let body = Body::Json(Value::Object(members));
    let answer = call(session, Step::Other, Verb::PATCH, &url, body).await?;
    members::parse(session.endpoints, &answer)
}

async fn new_secret(session: &Session<'_>, id: &str) -> Result<RegisteredClient> {
    let mut url = one(session.site(), id)?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push("rotate-secret");
    }
    let answer = call(session, Step::Rotate, Verb::POST, &url, Body::None).await?;
    members::parse(session.endpoints, &answer)
}

#[cfg(test)]
mod tests;
