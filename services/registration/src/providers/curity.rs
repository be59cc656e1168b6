//! Curity Identity Server, whose registration follows RFC 7591 and RFC 7592 with means of its own. From
//! <https://curity.io/resources/learn/using-dynamic-client-registration/>,
//! <https://curity.io/resources/learn/dynamic-client-registration-management/>,
//! <https://curity.io/docs/identity-server/profiles/token-profile/clients/dcr/dcr-api> and
//! <https://curity.io/resources/learn/templatized-dcr/>:
//!
//! * The initial access token has the scope `dcr` and is good for one use. The portal's own client fetches one for
//!   each registration by client credentials.
//! * Registration is by template, where `software_id` names the client that the new one is an instance of and
//!   nothing else is asked for, or free, where the client says what it is. `software_id` therefore never has our
//!   marker; that goes into the name.
//! * A read and an update **rotate the registration access token and the client's secret**; the old ones are void.
//!   Tokens with the scope `dcrm` manage every client, with the same effect.
//!
//! So a client is never read: that would take away the secret that its developer uses. Whether it is there is asked
//! with its own credentials. An update must be made all the same where scopes change; that the developer has another
//! secret then stands with the client as a difference; and it is made of what Curity said last, so what an admin of
//! Curity has set since then, and is no registered metadata, is set anew after it. Rotating the secret is an update that changes nothing.

use async_trait::async_trait;
use portico_vault::Secret;
use serde_json::{Map, Value};

use super::client::{ChosenIds, KnownClient, Prepared, Preview, RegisteredClient, WantedClient};
use super::failure::{Disposition, Failure, Result};
use super::metadata::{self, Difference, Metadata};
use super::other::Other;
use super::session::{Session, Step};
use super::site::Site;
use super::tokens::Need;
use super::{Driver, Method, rfc7591};

/// Scope of an initial access token.
const REGISTRATION: Need<'static> = Need {
    scope: "dcr",
    audience: "",
};
/// Ours, in what is kept of an answer: the secret is another one than before.
const SECRET_REPLACED: &str = "client_secret_replaced";

/// Driver for Curity Identity Server.
pub struct Curity;

#[async_trait]
impl Driver for Curity {
    /// Curity registers nobody without a token.
    fn authorization_methods(&self) -> &'static [Method] {
        &[Method::ClientCredentials, Method::InitialAccessToken]
    }

    fn need(&self) -> Need<'static> {
        REGISTRATION
    }

    fn prepare(&self, site: Site<'_>, wanted: &WantedClient, _ids: &ChosenIds) -> Result<Prepared> {
        let mut prepared = rfc7591::prepare(site, wanted)?;
        let template = &site.options.client_template;
        if template.is_empty() {
            prepared.body.remove("software_id");
            prepared.body.remove("software_version");
            let name = rfc7591::marked_name(wanted, 255);
            prepared.body.insert("client_name".into(), name.into());
        } else {
            prepared.body = Map::new();
            prepared
                .body
                .insert("software_id".into(), template.clone().into());
        }
        Ok(prepared)
    }

    fn preview_update(
        &self,
        site: Site<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<Preview> {
        let mut preview = Other.preview_update(site, client, wanted)?;
        if is_instance(site) {
            // The template decides everything.
            preview.body = Value::Object(Map::new());
        }
        Ok(preview)
    }

    fn differences(&self, wanted: &WantedClient, granted: &Metadata) -> Vec<Difference> {
        let mut found = metadata::differences(wanted, granted);
        if granted.members().get(SECRET_REPLACED) == Some(&Value::Bool(true)) {
            found.push(Difference {
                member: "client_secret".into(),
                asked: "kept".into(),
                granted: "replaced".into(),
                consequence: "Curity gave the client a new secret with this change, and the one before does not \
                              work any more: take the new one from the portal"
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
        // Without its template the client would be another one, and nobody would have said which.
        if is_instance(session.site()) {
            return rfc7591::register_once(session, prepared, REGISTRATION).await;
        }
        rfc7591::register(session, prepared, REGISTRATION).await
    }

    /// Asks whether the client is there, without reading it: see the module.
    async fn read(&self, session: &Session<'_>, client: &KnownClient) -> Result<RegisteredClient> {
        match rfc7591::still_there(session, client).await? {
            Some(true) => {}
            Some(false) => {
                let why = "it would replace the secret of a client that is there";
                let beside = "does not accept its credentials either";
                return Err(rfc7591::perhaps_gone(Failure::unmanageable(why), beside));
            }
            None => {
                return Err(Failure::new(
                    Disposition::Unmanageable,
                    "read_would_replace_secret",
                    "Curity gives a client a new secret when it is read, so it is not read",
                ));
            }
        }
        Ok(RegisteredClient {
            client_id: client.client_id.clone(),
            granted: client.granted.clone(),
            warnings: vec![
                "the client is there; it was not read, because Curity gives it a new secret then"
                    .into(),
            ],
            ..RegisteredClient::default()
        })
    }

    async fn update(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient> {
        // The template decides; an update would replace the secret and nothing else.
        if is_instance(session.site()) {
            return self.read(session, client).await;
        }
        // A read before it would give the client a secret that gets lost where the update is refused then.
        let body = rfc7591::update_body(
            client,
            metadata::for_update(client.granted.members()),
            wanted,
        );
        let mut updated = self
            .put(session, client, wanted, Step::Update, body)
            .await?;
        // Without scopes nobody has used it yet.
        let used = client
            .granted
            .scopes()
            .is_some_and(|scopes| !scopes.is_empty());
        let replaced = used
            && updated.client_secret.is_some()
            && updated.client_secret.as_ref() != client.client_secret.as_ref();
        updated.granted = updated.granted.with(SECRET_REPLACED, replaced);
        Ok(updated)
    }

    /// Curity chooses the secret.
    async fn rotate_secret(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        _chosen: &Secret,
    ) -> Result<RegisteredClient> {
        let unchanged = rfc7591::as_granted(client);
        let mut body = metadata::for_update(client.granted.members());
        body.insert("client_id".into(), client.client_id.clone().into());
        let rotated = self
            .put(session, client, &unchanged, Step::Rotate, body)
            .await?;
        match &rotated.client_secret {
            Some(secret) if client.client_secret.as_ref() != Some(secret) => Ok(rotated),
            _ => Err(Failure::fail(
                "secret_rotation_unsupported",
                "this Curity keeps the secret of a client that is updated, and has no other rotation",
            )),
        }
    }
}

impl Curity {
    async fn put(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
        step: Step,
        mut body: Map<String, Value>,
    ) -> Result<RegisteredClient> {
        body.remove(SECRET_REPLACED);
        // Said by Curity alone, and nothing to ask for.
        body.remove("registration_access_token_expires_in");
        rfc7591::update_with(session, client, wanted, step, body).await
    }
}

fn is_instance(site: Site<'_>) -> bool {
    !site.options.client_template.is_empty()
}

#[cfg(test)]
mod tests;
