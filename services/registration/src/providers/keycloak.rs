//! Keycloak, through `clients-registrations/default`, its own dialect of client
//! registration. Measured on 26.7.3 (26.4.7 and 26.5.6 do the same), with nothing but an initial access token:
//!
//! | call | what happens |
//! |---|---|
//! | POST with `clientId`, `secret`, and `id` | all three are taken as chosen |
//! | the same POST again | 400 `invalid_client_metadata` "Client Identifier in use"; the initial access token's count is not touched |
//! | … when that token is used up | 401 "No remaining count on initial access token", whether the client is there or not |
//! | POST `optionalClientScopes` | exactly these; `[]` is none; absent is all of the realm's |
//! | … with one that is neither the realm's nor in the policy | 403 `insufficient_scope` "Not permitted to use specified clientScope"; a scope that does not exist is answered alike |
//! | POST `attributes` | kept, so the marker goes there |
//! | POST without `publicClient` but with `protocol` | a public client |
//! | unknown member | 400 with the sentence in `error`; name or id above 255 characters: 500 |
//! | expired, foreign or damaged initial access token | 401 "Failed decode token"; deleted: "Initial Access Token not found" |
//! | no token | 403 `insufficient_scope` by the policy *Trusted Hosts* |
//! | GET by registration access token | 200 with the secret in clear; the token stays |
//! | PUT | **rotates the token**, the old one is 401 at once; a refused PUT (403, 500) does not |
//! | PUT `secret` | **sets the secret**: rotation without the admin API, and with a chosen one |
//! | PUT with one of `optionalClientScopes`, `defaultClientScopes` | **empties the other**; other members left out stay |
//! | PUT that adds `service_account` back | 403, so it must never get lost |
//! | PUT on `openid-connect/{clientId}` | 500 unless `clientId` equals the internal `id` |
//! | PUT `enabled: false` by registration access token | 200, and from then on the token is 401 at every call: nobody but the management credentials can switch the client on again |
//! | DELETE | 204; GET and DELETE after that: 401 |
//! | any 404 but by the admin API | may be a proxy's, so the admin API is asked for the id: `[]` |
//! | `install/{clientId}` with the client's own credentials | 200 if the client is there and the secret is right; "Failed to authenticate client" if it is there, but disabled or with another secret; "Not authorized to view client" if it is not |
//!
//! From 26.8 on a client that names scopes gets the realm's default scopes too (keycloak/keycloak#50807); both lists
//! are always put as they are, less and plus what is Portico's.
//!
//! With management credentials (a client whose service account has the realm-management roles `manage-clients` and
//! `view-clients`) as Bearer at the same endpoint: GET, PUT and DELETE work without a registration access token and do
//! not rotate it; a missing client is 404. At the admin API: `POST clients/{id}/registration-access-token` gives a new
//! one (the secret in that answer is asterisks); `GET clients?first=&max=` lists every client of the realm with its
//! attributes, the built-in ones first to come by name.
//!
//! Therefore: the client's id and secret are chosen and stored before the POST, and the POST carries the scopes at
//! once, since it can leave no orphan. After `kill -9` between the 201 and our commit the POST is repeated; "in use"
//! means ours. What got lost is the registration access token: it is issued anew by the management credentials, or the
//! client works but cannot be managed until an admin gives them. The same holds for an update whose answer got lost.

mod answer;
mod call;
mod presence;
mod representation;

use async_trait::async_trait;
use http::Method;
use portico_vault::Secret;

use super::client::{
    ChosenIds, Deleted, KnownClient, Prepared, Preview, Reconciled, RegisteredClient, WantedClient,
};
use super::discovery::Endpoints;
use super::failure::{Bearer, Disposition, Failure, Result};
use super::listing::ClientPage;
use super::metadata::SECRET_CHANGED;
use super::session::{RawAnswer, Session, Step};
use super::site::Site;
use super::{Driver, Method as AuthorizationMethod, ReconcileClass, rfc7591::object_of};
use answer::{collection, has_another_secret, is_in_use, member, parse, refused};
use call::{insert_secret, look, managed, post, put, read};
use presence::{Presence, adopt, already_rotated, presence_of, undecided};
use representation::ClientScopes;

/// Driver for Keycloak.
pub struct Keycloak;

#[async_trait]
impl Driver for Keycloak {
    fn class(&self) -> ReconcileClass {
        ReconcileClass::ChosenId
    }

    fn authorization_methods(&self) -> &'static [AuthorizationMethod] {
        &[
            AuthorizationMethod::InitialAccessToken,
            AuthorizationMethod::ClientCredentials,
            AuthorizationMethod::None,
        ]
    }

    fn prepare(&self, site: Site<'_>, wanted: &WantedClient, ids: &ChosenIds) -> Result<Prepared> {
        Ok(Prepared {
            endpoint: collection(site.endpoints, "default"),
            wanted: wanted.clone(),
            chosen: Some(ids.clone()),
            body: representation::registration(wanted, ids)?,
        })
    }

    fn preview_update(
        &self,
        site: Site<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<Preview> {
        let scopes = ClientScopes::from_granted(&client.granted);
        let scopes = scopes.replaced(&client.scopes, &wanted.scopes);
        let body = representation::update(wanted, &client.client_id, &scopes)?;
        Ok(Preview::update(
            "PUT",
            member(site.endpoints, "default", &client.client_id),
            body,
        ))
    }

    fn parse(&self, endpoints: &Endpoints, answer: &RawAnswer) -> Result<RegisteredClient> {
        parse(endpoints, answer)
    }

    fn can_manage(&self, session: &Session<'_>, client: &KnownClient) -> bool {
        session.management.is_some() || client.registration_access_token.is_some()
    }

    /// May be repeated with the same `prepared`: there is one client at most.
    async fn register(
        &self,
        session: &Session<'_>,
        prepared: &Prepared,
    ) -> Result<RegisteredClient> {
        let (answer, bearer) = post(session, prepared).await?;
        if answer.is_success() {
            return parse(session.endpoints, &answer);
        }
        if is_in_use(&answer) {
            return adopt(session, prepared).await.map_err(undecided);
        }
        let failure = refused(&answer, bearer).of_provider();
        // A used-up token hides whether an earlier attempt had made the client.
        if failure.disposition == Disposition::PauseProvider
            && presence_of(session, prepared).await.map_err(undecided)? == Presence::There
        {
            return adopt(session, prepared).await.map_err(undecided);
        }
        Err(failure)
    }

    async fn reconcile(&self, session: &Session<'_>, prepared: &Prepared) -> Result<Reconciled> {
        let registered = self.register(session, prepared).await?;
        Ok(Reconciled::Registered(Box::new(registered)))
    }

    async fn list_clients(&self, session: &Session<'_>, after: Option<&str>) -> Result<ClientPage> {
        call::list(session, after).await
    }

    async fn read(&self, session: &Session<'_>, client: &KnownClient) -> Result<RegisteredClient> {
        let (answer, _) = read(session, client).await?;
        let mut found = parse(session.endpoints, &answer)?;
        if has_another_secret(client, &object_of(&answer)?) {
            found.granted = found.granted.with(SECRET_CHANGED, true);
        }
        Ok(found)
    }

    async fn update(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient> {
        changed(session, client, wanted, false).await
    }

    async fn rotate_secret(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        chosen: &Secret,
    ) -> Result<RegisteredClient> {
        let (scopes, token) = match look(session, client).await {
            Ok(found) => found,
            Err(failure) => return already_rotated(session, client, chosen, failure).await,
        };
        let mut body = representation::rotation(&client.client_id, &scopes);
        body.insert("secret".into(), chosen.expose().into());
        put(session, client, &token, Step::Rotate, body).await
    }

    /// With management credentials only.
    async fn suspend(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
    ) -> Result<RegisteredClient> {
        let (scopes, token) = look(session, client).await?;
        if token.0 != Bearer::Management {
            return Err(Failure::fail(
                "suspension_unsupported",
                "a disabled client is not open to its own registration access token any more: only a provider with \
                 management credentials can be asked to switch one off",
            ));
        }
        let mut body = representation::rotation(&client.client_id, &scopes);
        body.insert("enabled".into(), false.into());
        insert_secret(client, &mut body);
        put(session, client, &token, Step::Update, body).await
    }

    /// An update alone leaves a client switched off and its secret as it is: an admin of Keycloak may have done it.
    async fn resume(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient> {
        changed(session, client, wanted, true).await
    }

    /// By the management credentials.
    async fn reissue(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
    ) -> Result<RegisteredClient> {
        presence::reissued(session, client).await
    }

    async fn delete(&self, session: &Session<'_>, client: &KnownClient) -> Result<Deleted> {
        match managed(session, client, Step::Other, Method::DELETE).await {
            Ok(_) => Ok(Deleted::Deleted),
            Err(failure) if failure.disposition == Disposition::Gone => Ok(Deleted::AlreadyGone),
            Err(failure) => Err(failure),
        }
    }
}

/// The client as it is wanted; `enabled`: switched on, with the secret that is known here. What is left out of the body
/// stays as it is.
async fn changed(
    session: &Session<'_>,
    client: &KnownClient,
    wanted: &WantedClient,
    enabled: bool,
) -> Result<RegisteredClient> {
    let (scopes, token) = look(session, client).await?;
    let scopes = scopes.replaced(&client.scopes, &wanted.scopes);
    let mut body = representation::update(wanted, &client.client_id, &scopes)?;
    if enabled {
        body.insert("enabled".into(), true.into());
        insert_secret(client, &mut body);
    }
    put(session, client, &token, Step::Update, body).await
}
