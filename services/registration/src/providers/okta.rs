//! Okta, through its Dynamic Client Registration API, which follows RFC 7591 in its members and Okta's other APIs in
//! the rest. From <https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/tag/Client/>,
//! <https://developer.okta.com/docs/reference/api/oauth-clients/> and
//! <https://developer.okta.com/docs/reference/rl-best-practices/>:
//!
//! | call | what happens |
//! |---|---|
//! | any | `Authorization: SSWS` with an API token; a refused one is 401 with `errorCode` E0000011 |
//! | POST `/oauth2/v1/clients` | `application_type` decides which grant types fit; `service` takes `client_credentials` alone and the response type `token`, `web` needs `authorization_code`; id and secret are Okta's choice |
//! | … a `client_name` that is taken | 400 `invalid_client_metadata`, "An object with this field already exists" |
//! | … a member that is not a client's | not documented, so none is sent: no `scope`, no `software_id` |
//! | GET `/oauth2/v1/clients` | all clients; pages by `Link`. `q` finds those whose name starts with it, which is of no use: a name may be changed or erased |
//! | GET `/oauth2/v1/clients/{id}` | without the secret; a wrong id is 401 `invalid_client` |
//! | PUT | every setting must be there, the times must not; `application_type` never changes |
//! | POST `.../lifecycle/newSecret` | a new secret of Okta's choice, the old one is void; a wrong id is 404 with `errorCode` E0000007 |
//! | `/api/v1/apps/{id}/credentials/secrets` | the secrets of a client, up to two at once: see `secrets` |
//! | DELETE | 204; a wrong id is 401 `invalid_client` |
//! | any, through a proxy that does not know the path | 404 without `errorCode`: no word of Okta's |
//! | too many calls | 429 E0000047 with `X-Rate-Limit-Reset`, Unix seconds |
//!
//! There is no registration access token: the API token manages every client, by its id. Scopes belong to a custom
//! authorization server and its access policies, not to the client, so what is granted and revoked in the portal does
//! not change what tokens the client gets; the gateway's mapping and the policies do. That stands with every client
//! as a difference.
//!
//! The marker at its end makes the name unique, and an attempt without an outcome is found by it. Its secret was in the answer
//! that got lost, so it gets a new one.

mod application;
mod calls;
mod secrets;

use async_trait::async_trait;
use http::Method;
use portico_vault::Secret;
use serde_json::{Map, Value};

use super::client::{
    ChosenIds, Deleted, KnownClient, Prepared, Preview, Reconciled, RegisteredClient, WantedClient,
};
use super::discovery::Endpoints;
use super::failure::{Failure, Result};
use super::listing::{self, ClientPage};
use super::metadata::{self, Difference, Metadata, joined};
use super::session::{Body, RawAnswer, Session, Step};
use super::site::Site;
use super::{Driver, Method as AuthorizationMethod, ReconcileClass, Tried, rfc7591};
use application::{registration, update};
use calls::{Wrong, call, client, collection, found, parse, successful};
use secrets::Added;

/// Driver for Okta.
pub struct Okta;

#[async_trait]
impl Driver for Okta {
    fn class(&self) -> ReconcileClass {
        ReconcileClass::Search
    }

    /// Okta gives scopes of its own API only to clients that authenticate by `private_key_jwt`, for which Portico
    /// holds no key.
    fn authorization_methods(&self) -> &'static [AuthorizationMethod] {
        &[AuthorizationMethod::ApiToken]
    }

    fn prepare(&self, site: Site<'_>, wanted: &WantedClient, _ids: &ChosenIds) -> Result<Prepared> {
        rfc7591::check_auth_method(site.endpoints, wanted)?;
        Ok(Prepared::new(
            collection(site.endpoints),
            wanted,
            registration(wanted)?,
        ))
    }

    fn preview_update(
        &self,
        site: Site<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<Preview> {
        let told = client.granted.members().clone();
        let body = update(told, &client.client_id, wanted)?;
        let endpoint = calls::client(site.endpoints, &client.client_id);
        Ok(Preview::update("PUT", endpoint, body))
    }

    fn parse(&self, endpoints: &Endpoints, answer: &RawAnswer) -> Result<RegisteredClient> {
        parse(endpoints, answer)
    }

    fn can_manage(&self, session: &Session<'_>, _client: &KnownClient) -> bool {
        session.token.is_some()
    }

    async fn try_authorization(&self, session: &Session<'_>) -> Result<Tried> {
        let mut url = collection(session.endpoints);
        url.set_query(Some("limit=1"));
        let answer = call(session, Step::Other, Method::GET, &url, Body::None).await?;
        match answer.is_success() {
            true => Ok(Tried::Accepted("the API token may list clients".to_owned())),
            false => Err(calls::refused(&answer)),
        }
    }

    fn differences(&self, wanted: &WantedClient, granted: &Metadata) -> Vec<Difference> {
        let mut found = metadata::differences(wanted, granted);
        // `token` stands for "no redirect" with client credentials.
        found.retain(|one| one.member != "response_types" || !wanted.response_types.is_empty());
        if !wanted.scopes.is_empty() {
            found.push(Difference {
                member: "scope".into(),
                asked: joined(&wanted.scopes),
                granted: "by the access policies of the authorization server".into(),
                consequence: "Okta keeps no scopes at the client: it gets those that the access policies give it, \
                              and keeps getting them after a revocation until a policy or the gateway refuses"
                    .into(),
            });
        }
        found
    }

    async fn register(
        &self,
        session: &Session<'_>,
        prepared: &Prepared,
    ) -> Result<RegisteredClient> {
        let body = Body::Json(Value::Object(prepared.body.clone()));
        let answer = call(
            session,
            Step::Register,
            Method::POST,
            &prepared.endpoint,
            body,
        )
        .await?;
        if answer.is_success() {
            return parse(session.endpoints, &answer);
        }
        let failure = calls::refused(&answer).of_provider();
        // The name has the marker of this attempt, so what is there already is what it made.
        if calls::is_taken(&failure) {
            let found = self.reconcile(session, prepared).await;
            return match found.map_err(Failure::unknown_outcome)? {
                Reconciled::Registered(registered) => Ok(*registered),
                Reconciled::NotThere | Reconciled::Unknown => Err(failure),
            };
        }
        Err(failure)
    }

    async fn reconcile(&self, session: &Session<'_>, prepared: &Prepared) -> Result<Reconciled> {
        let marker = &prepared.wanted.marker;
        let Some(id) = listing::find_marked(self, session, marker).await? else {
            return Ok(Reconciled::NotThere);
        };
        let registered = if prepared.wanted.is_public() {
            parse(session.endpoints, &read(session, &id).await?)?
        } else {
            new_secret(session, &id).await?
        };
        Ok(Reconciled::Registered(Box::new(registered)))
    }

    async fn list_clients(&self, session: &Session<'_>, after: Option<&str>) -> Result<ClientPage> {
        calls::list(session, after).await
    }

    async fn read(&self, session: &Session<'_>, known: &KnownClient) -> Result<RegisteredClient> {
        parse(session.endpoints, &read(session, &known.client_id).await?)
    }

    async fn update(
        &self,
        session: &Session<'_>,
        known: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient> {
        // A setting that is left out makes the update fail or is reset, also one that nobody here knows: what is there is the
        // beginning.
        let now = rfc7591::object_of(&read(session, &known.client_id).await?)?;
        let url = client(session.endpoints, &known.client_id);
        let body = Body::Json(Value::Object(update(now, &known.client_id, wanted)?));
        let answer = call(session, Step::Update, Method::PUT, &url, body).await?;
        parse(session.endpoints, &successful(session, answer).await?)
    }

    /// Beside the one before, which [`Driver::retire_old_secret`] ends. For an API token that may not add one, Okta
    /// chooses the secret and ends the other; after such a rotation whose answer got lost there is another one.
    async fn rotate_secret(
        &self,
        session: &Session<'_>,
        known: &KnownClient,
        chosen: &Secret,
    ) -> Result<RegisteredClient> {
        match secrets::add(session, known, chosen).await? {
            Added::Added { keeps_old } => {
                let there = self.read(session, known).await;
                Ok(RegisteredClient {
                    client_secret: Some(chosen.clone()),
                    keeps_old_secret: keeps_old,
                    ..there.map_err(Failure::unknown_outcome)?
                })
            }
            Added::NotOffered => new_secret(session, &known.client_id).await,
        }
    }

    async fn retire_old_secret(&self, session: &Session<'_>, known: &KnownClient) -> Result<()> {
        secrets::end_others(session, known).await
    }

    async fn suspend(
        &self,
        session: &Session<'_>,
        known: &KnownClient,
    ) -> Result<RegisteredClient> {
        calls::lifecycle(session, &known.client_id, "deactivate").await?;
        self.read(session, known).await
    }

    async fn resume(
        &self,
        session: &Session<'_>,
        known: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient> {
        calls::lifecycle(session, &known.client_id, "activate").await?;
        self.update(session, known, wanted).await
    }

    async fn delete(&self, session: &Session<'_>, known: &KnownClient) -> Result<Deleted> {
        let url = client(session.endpoints, &known.client_id);
        let answer = call(session, Step::Other, Method::DELETE, &url, Body::None).await?;
        if answer.is_success() {
            return Ok(Deleted::Deleted);
        }
        match found(session, &answer).await {
            Wrong::Id => Ok(Deleted::AlreadyGone),
            Wrong::Call(failure) => Err(failure),
        }
    }
}

async fn read(session: &Session<'_>, id: &str) -> Result<RawAnswer> {
    let url = client(session.endpoints, id);
    let answer = call(session, Step::Read, Method::GET, &url, Body::None).await?;
    successful(session, answer).await
}

async fn new_secret(session: &Session<'_>, id: &str) -> Result<RegisteredClient> {
    let mut url = client(session.endpoints, id);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(["lifecycle", "newSecret"]);
    }
    let body = Body::Json(Value::Object(Map::new()));
    let answer = call(session, Step::Rotate, Method::POST, &url, body).await?;
    parse(session.endpoints, &successful(session, answer).await?)
}

#[cfg(test)]
mod tests;
