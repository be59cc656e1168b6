//! Keycloak, through `clients-registrations/default`, its own dialect of client
//! registration. Measured on 26.7.3, with nothing but an initial access token:
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
//! | DELETE | 204; GET and DELETE after that: 401 |
//! | `install/{clientId}` with the client's own credentials | 200 if the client is there and the secret is right; "Failed to authenticate client" if it is there, but disabled or with another secret; "Not authorized to view client" if it is not |
//!
//! With management credentials (a client whose service account has the
//! realm-management roles `manage-clients` and `view-clients`) as Bearer at the
//! same endpoint: GET, PUT and DELETE work without a registration access token
//! and do not rotate it; a missing client is 404. At the admin API:
//! `POST clients/{id}/registration-access-token` gives a new one (the secret in
//! that answer is asterisks).
//!
//! Therefore: the client's id and secret are chosen and stored before the POST,
//! and the POST carries the scopes at once, since it can leave no orphan. After
//! `kill -9` between the 201 and our commit the POST is repeated; "in use" means
//! ours. What got lost is the registration access token: it is issued anew by
//! the management credentials, or the client works but cannot be managed until an
//! admin gives them. The same holds for an update whose answer got lost.

mod representation;

use async_trait::async_trait;
use http::Method;
use portico_vault::Secret;
use serde_json::{Map, Value};
use url::Url;

use super::client::{
    ChosenIds, Deleted, KnownClient, Prepared, Preview, Reconciled, RegisteredClient, WantedClient,
};
use super::discovery::Endpoints;
use super::failure::{Bearer, Disposition, Failure, refusal};
use super::metadata::Metadata;
use super::rfc7591::{invalid_answer, is_masked};
use super::session::{Authorization, Body, Call, RawAnswer, Session, Step};
use super::{Driver, ReconcileClass};
use representation::ClientScopes;

/// The driver.
pub struct Keycloak;

#[async_trait]
impl Driver for Keycloak {
    fn class(&self) -> ReconcileClass {
        ReconcileClass::ChosenId
    }

    fn prepare(
        &self,
        endpoints: &Endpoints,
        wanted: &WantedClient,
        ids: &ChosenIds,
    ) -> Result<Prepared, Failure> {
        Ok(Prepared {
            endpoint: collection(endpoints, "default"),
            wanted: wanted.clone(),
            chosen: Some(ids.clone()),
            body: representation::registration(wanted, ids)?,
        })
    }

    fn preview_update(
        &self,
        endpoints: &Endpoints,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<Preview, Failure> {
        let scopes = ClientScopes::from_granted(&client.granted);
        let scopes = scopes.replaced(&client.scopes, &wanted.scopes);
        let body = representation::update(wanted, &client.client_id, &scopes)?;
        Ok(Preview {
            action: "update",
            method: "PUT",
            endpoint: member(endpoints, "default", &client.client_id),
            body: Value::Object(body),
        })
    }

    fn parse(
        &self,
        endpoints: &Endpoints,
        answer: &RawAnswer,
    ) -> Result<RegisteredClient, Failure> {
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
    ) -> Result<RegisteredClient, Failure> {
        let (answer, bearer) = post(session, prepared).await?;
        if answer.is_success() {
            return parse(session.endpoints, &answer);
        }
        if is_in_use(&answer) {
            return adopt(session, prepared).await;
        }
        let mut failure = refused(&answer, bearer);
        if failure.disposition == Disposition::Unmanageable {
            failure.disposition = Disposition::PauseProvider;
        }
        // A used-up token hides whether an earlier attempt had made the client.
        if failure.disposition == Disposition::PauseProvider
            && presence_of(session, prepared).await? == Presence::There
        {
            return adopt(session, prepared).await;
        }
        Err(failure)
    }

    async fn reconcile(
        &self,
        session: &Session<'_>,
        prepared: &Prepared,
    ) -> Result<Reconciled, Failure> {
        let registered = self.register(session, prepared).await?;
        Ok(Reconciled::Registered(Box::new(registered)))
    }

    async fn read(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
    ) -> Result<RegisteredClient, Failure> {
        let (answer, _) = read(session, client).await?;
        parse(session.endpoints, &answer)
    }

    async fn update(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        wanted: &WantedClient,
    ) -> Result<RegisteredClient, Failure> {
        let (answer, token) = read(session, client).await?;
        let scopes = ClientScopes::of(&object(&answer)?);
        let scopes = scopes.replaced(&client.scopes, &wanted.scopes);
        let body = representation::update(wanted, &client.client_id, &scopes)?;
        put(session, client, &token, Step::Update, body).await
    }

    async fn rotate_secret(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
        chosen: &Secret,
    ) -> Result<RegisteredClient, Failure> {
        let (answer, token) = match read(session, client).await {
            Ok(found) => found,
            Err(failure) => return already_rotated(session, client, chosen, failure).await,
        };
        let scopes = ClientScopes::of(&object(&answer)?);
        let mut body = representation::rotation(&client.client_id, &scopes);
        body.insert("secret".into(), chosen.expose().into());
        put(session, client, &token, Step::Rotate, body).await
    }

    async fn delete(
        &self,
        session: &Session<'_>,
        client: &KnownClient,
    ) -> Result<Deleted, Failure> {
        let url = member(session.endpoints, "default", &client.client_id);
        let mut last = None;
        for token in tokens(session, client).await? {
            let answer = call(
                session,
                Step::Other,
                Method::DELETE,
                &url,
                &token,
                Body::None,
            )
            .await?;
            match answer.status {
                200..=299 => return Ok(Deleted::Deleted),
                404 | 410 => return Ok(Deleted::AlreadyGone),
                _ => last = Some(refused(&answer, token.0)),
            }
        }
        match explained(session, client, last).await {
            failure if failure.disposition == Disposition::Gone => Ok(Deleted::AlreadyGone),
            failure => Err(failure),
        }
    }
}

/// A token and what kind it is.
type Token = (Bearer, Secret);

/// `clients-registrations/{dialect}`; the well-known document names the one of
/// OpenID Connect.
fn collection(endpoints: &Endpoints, dialect: &str) -> Url {
    let mut url = endpoints.registration_endpoint.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().pop().push(dialect);
    }
    url
}

fn member(endpoints: &Endpoints, dialect: &str, client_id: &str) -> Url {
    let mut url = collection(endpoints, dialect);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(client_id);
    }
    url
}

/// `/admin/realms/R/clients/{id}/registration-access-token`.
fn reissue_url(endpoints: &Endpoints, id: &str) -> Option<Url> {
    let (base, realm) = endpoints.issuer.rsplit_once("/realms/")?;
    let mut url = Url::parse(&format!("{base}/admin/realms/{realm}/clients")).ok()?;
    url.path_segments_mut()
        .ok()?
        .extend([id, "registration-access-token"]);
    Some(url)
}

fn object(answer: &RawAnswer) -> Result<Map<String, Value>, Failure> {
    match answer.json() {
        Some(Value::Object(members)) => Ok(members),
        _ => Err(invalid_answer(answer, "its body is no JSON object")),
    }
}

fn parse(endpoints: &Endpoints, answer: &RawAnswer) -> Result<RegisteredClient, Failure> {
    if !answer.is_success() {
        let bearer = match answer.step {
            Step::Register => Bearer::Initial,
            _ => Bearer::Registration,
        };
        return Err(refused(answer, bearer));
    }
    let members = object(answer)?;
    let text = |member: &str| {
        let text = members.get(member)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let Some(client_id) = text("clientId") else {
        return Err(invalid_answer(answer, "it has no clientId"));
    };
    let takes_secret = !matches!(answer.step, Step::Read | Step::Reissue);
    let secret = text("secret").filter(|secret| takes_secret && !is_masked(secret));
    Ok(RegisteredClient {
        client_secret: secret.map(Secret::new),
        registration_access_token: text("registrationAccessToken").map(Secret::new),
        registration_client_uri: Some(member(endpoints, "default", &client_id)),
        client_secret_expires_at: 0,
        granted: representation::metadata(&members),
        warnings: Vec::new(),
        client_id,
    })
}

/// As [`refusal`], less what Keycloak says in other words: `insufficient_scope`
/// stands for any policy that refused, and for missing roles.
fn refused(answer: &RawAnswer, bearer: Bearer) -> Failure {
    let failure = refusal(answer, bearer);
    let about_scopes = failure
        .description
        .to_lowercase()
        .replace(' ', "")
        .contains("clientscope");
    if failure.code != "scope_unknown_at_provider" || about_scopes {
        return failure;
    }
    match bearer {
        // An authorization header that it cannot read is none at all to it.
        Bearer::Initial if failure.description.contains("Host not trusted") => {
            failure.with(Disposition::PauseProvider, "initial_access_token_refused")
        }
        Bearer::Management => {
            failure.with(Disposition::Unmanageable, "management_credentials_refused")
        }
        _ => failure.with(Disposition::Fail, "registration_policy_refused"),
    }
}

/// Keycloak says so in words only; the error code is that of any bad metadata.
fn is_in_use(answer: &RawAnswer) -> bool {
    matches!(answer.status, 400 | 409)
        && String::from_utf8_lossy(&answer.body).contains("Client Identifier in use")
}

async fn call(
    session: &Session<'_>,
    step: Step,
    method: Method,
    url: &Url,
    (bearer, token): &Token,
    body: Body,
) -> Result<RawAnswer, Failure> {
    let authorization = Authorization::Bearer(*bearer, token);
    session
        .call(Call {
            step,
            method,
            url,
            authorization,
            body,
        })
        .await
}

/// The one POST, with the initial access token, or the management credentials.
async fn post(session: &Session<'_>, prepared: &Prepared) -> Result<(RawAnswer, Bearer), Failure> {
    let token = match session.initial_access_token {
        Some(token) => Some((Bearer::Initial, token.clone())),
        None => session
            .management_token()
            .await?
            .map(|token| (Bearer::Management, token)),
    };
    let authorization = match &token {
        Some((bearer, token)) => Authorization::Bearer(*bearer, token),
        None => Authorization::Nobody,
    };
    let mut body = prepared.body.clone();
    if let Some(chosen) = prepared
        .chosen
        .as_ref()
        .filter(|_| !prepared.wanted.is_public())
    {
        body.insert("secret".into(), chosen.client_secret.expose().into());
    }
    let answer = session
        .call(Call {
            step: Step::Register,
            method: Method::POST,
            url: &prepared.endpoint,
            authorization,
            body: Body::Json(Value::Object(body)),
        })
        .await?;
    Ok((answer, authorization.bearer()))
}

/// What may manage the client, best first: the management credentials rotate no
/// token, so nothing can get lost with an answer.
async fn tokens(session: &Session<'_>, client: &KnownClient) -> Result<Vec<Token>, Failure> {
    let registration = client
        .registration_access_token
        .clone()
        .map(|token| (Bearer::Registration, token));
    let management = match session.management_token().await {
        Ok(token) => token.map(|token| (Bearer::Management, token)),
        Err(_) if registration.is_some() => None,
        Err(failure) => return Err(failure),
    };
    Ok(management.into_iter().chain(registration).collect())
}

/// The client as it is, and a token that may change it.
async fn read(session: &Session<'_>, client: &KnownClient) -> Result<(RawAnswer, Token), Failure> {
    let url = member(session.endpoints, "default", &client.client_id);
    let mut last = None;
    for token in tokens(session, client).await? {
        let answer = call(session, Step::Read, Method::GET, &url, &token, Body::None).await?;
        if answer.is_success() {
            return Ok((answer, token));
        }
        let failure = refused(&answer, token.0);
        if failure.disposition != Disposition::Unmanageable {
            return Err(failure);
        }
        last = Some(failure);
    }
    Err(explained(session, client, last).await)
}

async fn put(
    session: &Session<'_>,
    client: &KnownClient,
    token: &Token,
    step: Step,
    body: Map<String, Value>,
) -> Result<RegisteredClient, Failure> {
    let url = member(session.endpoints, "default", &client.client_id);
    let body = Body::Json(Value::Object(body));
    let answer = call(session, step, Method::PUT, &url, token, body).await?;
    if answer.is_success() {
        parse(session.endpoints, &answer)
    } else {
        Err(refused(&answer, token.0))
    }
}

/// Why no token was good enough: the client may be gone, which looks the same.
async fn explained(session: &Session<'_>, client: &KnownClient, last: Option<Failure>) -> Failure {
    match presence(session, &client.client_id, client.client_secret.as_ref()).await {
        Ok(Presence::Absent) => Failure::new(
            Disposition::Gone,
            "client_not_at_provider",
            "the client is not at the provider any more",
        ),
        Err(failure) => failure,
        Ok(_) => last.unwrap_or_else(|| {
            Failure::unmanageable(
                "the registration access token of this client got lost; give the provider \
                 management credentials (a client with the realm-management roles \
                 manage-clients and view-clients)",
            )
        }),
    }
}

/// The answer to an earlier rotation may have got lost, and the token with it.
async fn already_rotated(
    session: &Session<'_>,
    client: &KnownClient,
    chosen: &Secret,
    failure: Failure,
) -> Result<RegisteredClient, Failure> {
    let lost = failure.disposition == Disposition::Unmanageable;
    if !lost || presence(session, &client.client_id, Some(chosen)).await? != Presence::There {
        return Err(failure);
    }
    Ok(unread(
        session.endpoints,
        &client.client_id,
        Some(chosen),
        client.granted.clone(),
    ))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// There, and the secret is right.
    There,
    /// There, but disabled or with another secret.
    Refused,
    /// Not there.
    Absent,
    /// The endpoint is switched off.
    Unclear,
}

/// Asks with the client's own credentials.
async fn presence(
    session: &Session<'_>,
    client_id: &str,
    secret: Option<&Secret>,
) -> Result<Presence, Failure> {
    let public = Secret::new("public");
    let answer = session
        .call(Call {
            step: Step::Other,
            method: Method::GET,
            url: &member(session.endpoints, "install", client_id),
            authorization: Authorization::Basic(client_id, secret.unwrap_or(&public)),
            body: Body::None,
        })
        .await?;
    let body = String::from_utf8_lossy(&answer.body);
    Ok(match answer.status {
        200 => Presence::There,
        401 if body.contains("Failed to authenticate client") => Presence::Refused,
        401 => Presence::Absent,
        408 | 425 | 429 | 500.. => return Err(refusal(&answer, Bearer::None)),
        _ => Presence::Unclear,
    })
}

async fn presence_of(session: &Session<'_>, prepared: &Prepared) -> Result<Presence, Failure> {
    let Some(chosen) = &prepared.chosen else {
        return Ok(Presence::Unclear);
    };
    let secret = (!prepared.wanted.is_public()).then_some(&chosen.client_secret);
    presence(session, &chosen.client_id, secret).await
}

/// Takes over the client of an earlier attempt: its id and secret were chosen by
/// us and told to nobody else, so it is ours.
async fn adopt(session: &Session<'_>, prepared: &Prepared) -> Result<RegisteredClient, Failure> {
    let Some(chosen) = &prepared.chosen else {
        return Err(taken());
    };
    let secret = (!prepared.wanted.is_public()).then_some(&chosen.client_secret);
    // Credentials that do not work must not keep the client from being used.
    if let Ok(Some(token)) = session.management_token().await {
        let token = (Bearer::Management, token);
        let url = member(session.endpoints, "default", &chosen.client_id);
        let answer = call(session, Step::Read, Method::GET, &url, &token, Body::None).await?;
        if answer.is_success() {
            let found = object(&answer)?;
            if found.get("secret").and_then(Value::as_str) != secret.map(Secret::expose) {
                return Err(taken());
            }
            let mut registered = parse(session.endpoints, &answer)?;
            registered.client_secret = secret.cloned();
            registered.registration_access_token = reissue(session, &found, &token).await?;
            return Ok(registered);
        }
    }
    match presence_of(session, prepared).await? {
        Presence::Absent | Presence::Refused => Err(taken()),
        Presence::There | Presence::Unclear => Ok(unread(
            session.endpoints,
            &chosen.client_id,
            secret,
            Metadata::assumed(&prepared.wanted),
        )),
    }
}

fn taken() -> Failure {
    Failure::new(
        Disposition::Fail,
        "client_id_taken",
        "a client with the chosen id is at the provider, but it does not have the chosen secret",
    )
}

/// A client that is there, but cannot be read.
fn unread(
    endpoints: &Endpoints,
    client_id: &str,
    secret: Option<&Secret>,
    granted: Metadata,
) -> RegisteredClient {
    RegisteredClient {
        client_id: client_id.to_owned(),
        client_secret: secret.cloned(),
        registration_access_token: None,
        registration_client_uri: Some(member(endpoints, "default", client_id)),
        client_secret_expires_at: 0,
        granted,
        warnings: vec![
            "the registration access token got lost: the client works, but it cannot be managed \
             until the provider has management credentials"
                .into(),
        ],
    }
}

/// A new registration access token. `None` where the credentials may not: they
/// manage the client themselves.
async fn reissue(
    session: &Session<'_>,
    found: &Map<String, Value>,
    token: &Token,
) -> Result<Option<Secret>, Failure> {
    let id = found.get("id").and_then(Value::as_str).unwrap_or_default();
    let Some(url) = reissue_url(session.endpoints, id) else {
        return Ok(None);
    };
    let answer = call(
        session,
        Step::Reissue,
        Method::POST,
        &url,
        token,
        Body::None,
    )
    .await?;
    if !answer.is_success() {
        return Ok(None);
    }
    Ok(parse(session.endpoints, &answer)?.registration_access_token)
}
