//! The calls, and the tokens that they carry.

use http::Method;
use portico_vault::Secret;
use serde_json::{Map, Value};
use url::Url;

use super::answer::{admin_clients, member, parse, refused};
use super::presence::{Presence, is_nowhere, presence};
use super::representation::{self, ClientScopes};
use crate::providers::UNLISTED;
use crate::providers::client::{KnownClient, Prepared, RegisteredClient};
use crate::providers::failure::{ABSENCE_UNCLEAR, Bearer, Disposition, Failure, Result};
use crate::providers::listing::ClientPage;
use crate::providers::rfc7591::{array_of, object_of};
use crate::providers::session::{Authorization, Body, RawAnswer, Session, Step};
use crate::providers::tokens::Need;

/// Clients on a page of a list: each comes with all of its settings, some 4 kB.
const PAGE: usize = 50;

/// A token and what kind it is.
pub(super) type Token = (Bearer, Secret);

pub(super) async fn call(
    session: &Session<'_>,
    step: Step,
    method: Method,
    url: &Url,
    (bearer, token): &Token,
    body: Body,
) -> Result<RawAnswer> {
    let authorization = Authorization::Bearer(*bearer, token);
    session.call(step, method, url, authorization, body).await
}

/// The one POST, by the authorization method that was chosen.
pub(super) async fn post(
    session: &Session<'_>,
    prepared: &Prepared,
) -> Result<(RawAnswer, Bearer)> {
    let credential = session.credential(Need::default()).await?;
    let authorization = credential.authorization();
    let mut body = prepared.body.clone();
    if let Some(chosen) = prepared
        .chosen
        .as_ref()
        .filter(|_| !prepared.wanted.is_public())
    {
        body.insert("secret".into(), chosen.client_secret.expose().into());
    }
    let answer = session
        .call(
            Step::Register,
            Method::POST,
            &prepared.endpoint,
            authorization,
            Body::Json(Value::Object(body)),
        )
        .await?;
    Ok((answer, authorization.bearer()))
}

/// What may manage the client, best first: the management credentials rotate no
/// token, so nothing can get lost with an answer. Beside them why there is no token of the management credentials, where
/// there should be one.
async fn tokens(
    session: &Session<'_>,
    client: &KnownClient,
) -> Result<(Vec<Token>, Option<Failure>)> {
    let registration = client
        .registration_access_token
        .clone()
        .map(|token| (Bearer::Registration, token));
    let (management, lacking) = match session.management_token(Need::default()).await {
        Ok(token) => (token.map(|token| (Bearer::Management, token)), None),
        Err(failure) if registration.is_some() => (None, Some(failure)),
        Err(failure) => return Err(failure),
    };
    let tokens = management.into_iter().chain(registration);
    Ok((tokens.collect(), lacking))
}

/// Reads or deletes the client by the first token that may, and gives that token. Only a refusal of a token leads to the
/// next one: a provider that was away has said nothing of the token.
pub(super) async fn managed(
    session: &Session<'_>,
    client: &KnownClient,
    step: Step,
    method: Method,
) -> Result<(RawAnswer, Token)> {
    let url = member(session.endpoints, "default", &client.client_id);
    let mut last = None;
    let (tokens, lacking) = tokens(session, client).await?;
    for token in tokens {
        let answer = call(session, step, method.clone(), &url, &token, Body::None).await?;
        if answer.is_success() {
            return Ok((answer, token));
        }
        let failure = refused(&answer, token.0);
        if failure.code == ABSENCE_UNCLEAR {
            let may_search = token.0 == Bearer::Management;
            if may_search && is_nowhere(session, &client.client_id, &token).await {
                return Err(failure.gone());
            }
        } else if failure.disposition != Disposition::Unmanageable {
            return Err(failure);
        }
        last = Some(failure);
    }
    Err(explained(session, client, lacking, last).await)
}

/// The client as it is, and a token that may change it.
pub(super) async fn read(
    session: &Session<'_>,
    client: &KnownClient,
) -> Result<(RawAnswer, Token)> {
    managed(session, client, Step::Read, Method::GET).await
}

/// The scopes that the client has, and a token that may change it.
pub(super) async fn look(
    session: &Session<'_>,
    client: &KnownClient,
) -> Result<(ClientScopes, Token)> {
    let (answer, token) = read(session, client).await?;
    Ok((ClientScopes::of(&object_of(&answer)?), token))
}

pub(super) async fn put(
    session: &Session<'_>,
    client: &KnownClient,
    token: &Token,
    step: Step,
    body: Map<String, Value>,
) -> Result<RegisteredClient> {
    let url = member(session.endpoints, "default", &client.client_id);
    let body = Body::Json(Value::Object(body));
    let answer = call(session, step, Method::PUT, &url, token, body).await?;
    if answer.is_success() {
        return parse(session.endpoints, &answer);
    }
    let failure = refused(&answer, token.0);
    // It was good for the read a moment ago, so it was rotated meanwhile, as by this update coming in twice. The next read
    // finds out what may manage the client now.
    let rotated = answer.status == 401 && token.0 == Bearer::Registration;
    Err(match rotated {
        true => failure.retry(),
        false => failure,
    })
}

/// Clients of the realm, up to [`PAGE`], by the admin API; `after`: how many come before.
pub(super) async fn list(session: &Session<'_>, after: Option<&str>) -> Result<ClientPage> {
    let token = session.management_token(Need::default()).await?;
    let (Some(token), Some(mut url)) = (token, admin_clients(session.endpoints)) else {
        return Err(Failure::fail(
            UNLISTED,
            "clients are listed by the admin API, which needs management credentials: those of a client with the \
             realm-management role view-clients",
        ));
    };
    let first: usize = after.and_then(|first| first.parse().ok()).unwrap_or(0);
    url.query_pairs_mut()
        .append_pair("first", &first.to_string())
        .append_pair("max", &PAGE.to_string());
    let token = (Bearer::Management, token);
    let answer = call(session, Step::Other, Method::GET, &url, &token, Body::None).await?;
    if !answer.is_success() {
        return Err(refused(&answer, token.0));
    }
    let clients = array_of(&answer)?;
    // It gives no number of all; a page that is not full is the last one.
    let next = (clients.len() >= PAGE).then(|| (first + clients.len()).to_string());
    Ok(ClientPage::of(&answer, &clients, next, |client| {
        let client = client.as_object()?;
        let id = client.get("clientId")?.as_str()?;
        Some((
            id,
            representation::marker(client)?,
            representation::scopes(client),
        ))
    }))
}

/// Makes the secret the stored one, also where it is so already.
pub(super) fn insert_secret(client: &KnownClient, body: &mut Map<String, Value>) {
    if let Some(secret) = &client.client_secret {
        body.insert("secret".into(), secret.expose().into());
    }
}

/// Why no token was good enough: the client may be gone, which looks the same. `lacking`: why there was no token of the
/// management credentials.
async fn explained(
    session: &Session<'_>,
    client: &KnownClient,
    lacking: Option<Failure>,
    last: Option<Failure>,
) -> Failure {
    // A moment later the management credentials may do it: the other token alone decides nothing.
    let lacking = lacking.filter(|failure| failure.disposition == Disposition::Retry);
    match presence(session, &client.client_id, client.client_secret.as_ref()).await {
        Ok(Presence::Absent) => {
            let why = "the client is not at the provider any more";
            Failure::unmanageable(why).gone()
        }
        Err(failure) => failure,
        Ok(_) => lacking.or(last).unwrap_or_else(|| {
            Failure::unmanageable(
                "the registration access token of this client got lost; give the provider \
                 management credentials (a client with the realm-management roles \
                 manage-clients and view-clients)",
            )
        }),
    }
}
