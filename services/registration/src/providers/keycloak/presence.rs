//! Whether a client is there, asked with its own credentials, and taking over one whose registration had no outcome.

use http::Method;
use portico_vault::Secret;
use serde_json::{Map, Value, json};

use super::answer::{admin_clients, member, parse, refused, unread};
use super::call::{Token, call};
use crate::providers::client::{KnownClient, Prepared, RegisteredClient};
use crate::providers::failure::{Bearer, Disposition, Failure, Result, refusal};
use crate::providers::metadata::Metadata;
use crate::providers::rfc7591::object_of;
use crate::providers::session::{Authorization, Body, Session, Step};
use crate::providers::tokens::Need;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// There, and the secret is right.
    There,
    /// There, but disabled or with another secret.
    Refused,
    /// Not there.
    Absent,
    /// The endpoint is switched off, or somebody else answers.
    Unclear,
}

/// Asks with the client's own credentials.
pub(super) async fn presence(
    session: &Session<'_>,
    client_id: &str,
    secret: Option<&Secret>,
) -> Result<Presence> {
    let public = Secret::new("public");
    let answer = session
        .call(
            Step::Other,
            Method::GET,
            &member(session.endpoints, "install", client_id),
            Authorization::Basic(client_id, secret.unwrap_or(&public)),
            Body::None,
        )
        .await?;
    let body = String::from_utf8_lossy(&answer.body);
    Ok(match answer.status {
        200 => Presence::There,
        401 if body.contains("Failed to authenticate client") => Presence::Refused,
        401 if body.contains("Not authorized to view client") => Presence::Absent,
        408 | 425 | 429 | 500.. => return Err(refusal(&answer, Bearer::None)),
        _ => Presence::Unclear,
    })
}

/// Whether the admin API finds no client with this id: 404 of the registration endpoint may be a proxy's.
pub(super) async fn is_nowhere(session: &Session<'_>, client_id: &str, token: &Token) -> bool {
    let Some(mut url) = admin_clients(session.endpoints) else {
        return false;
    };
    url.query_pairs_mut().append_pair("clientId", client_id);
    let answer = call(session, Step::Other, Method::GET, &url, token, Body::None).await;
    answer.is_ok_and(|answer| {
        answer.is_success() && answer.json().is_some_and(|found| found == json!([]))
    })
}

pub(super) async fn presence_of(session: &Session<'_>, prepared: &Prepared) -> Result<Presence> {
    let Some(chosen) = &prepared.chosen else {
        return Ok(Presence::Unclear);
    };
    let secret = (!prepared.wanted.is_public()).then_some(&chosen.client_secret);
    presence(session, &chosen.client_id, secret).await
}

/// Takes over the client of an earlier attempt: its id and secret were chosen by
/// us and told to nobody else, so it is ours.
pub(super) async fn adopt(session: &Session<'_>, prepared: &Prepared) -> Result<RegisteredClient> {
    let Some(chosen) = &prepared.chosen else {
        return Err(taken());
    };
    let secret = (!prepared.wanted.is_public()).then_some(&chosen.client_secret);
    // Credentials that do not work must not keep the client from being used.
    if let Ok(Some(token)) = session.management_token(Need::default()).await {
        let token = (Bearer::Management, token);
        let url = member(session.endpoints, "default", &chosen.client_id);
        let answer = call(session, Step::Read, Method::GET, &url, &token, Body::None).await?;
        if answer.is_success() {
            let found = object_of(&answer)?;
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

/// A look that failed says nothing of the registration that it was to find out about: only that the client is
/// somebody else's does.
pub(super) fn undecided(failure: Failure) -> Failure {
    match failure.code == TAKEN {
        true => failure,
        false => failure.unknown_outcome(),
    }
}

const TAKEN: &str = "client_id_taken";

fn taken() -> Failure {
    Failure::fail(
        TAKEN,
        "a client with the chosen id is at the provider, but it does not have the chosen secret",
    )
}

/// A new registration access token. `None` where the credentials may not: they manage the client themselves.
async fn reissue(
    session: &Session<'_>,
    found: &Map<String, Value>,
    token: &Token,
) -> Result<Option<Secret>> {
    let id = found.get("id").and_then(Value::as_str).unwrap_or_default();
    let Some(mut url) = admin_clients(session.endpoints) else {
        return Ok(None);
    };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend([id, "registration-access-token"]);
    }
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

/// A new registration access token for a client that is there.
pub(super) async fn reissued(
    session: &Session<'_>,
    client: &KnownClient,
) -> Result<RegisteredClient> {
    let Some(token) = session.management_token(Need::default()).await? else {
        return Err(Failure::unmanageable(
            "a new registration access token needs management credentials (a client with the realm-management roles \
             manage-clients and view-clients)",
        ));
    };
    let token = (Bearer::Management, token);
    let url = member(session.endpoints, "default", &client.client_id);
    let answer = call(session, Step::Read, Method::GET, &url, &token, Body::None).await?;
    if !answer.is_success() {
        return Err(refused(&answer, token.0));
    }
    let found = object_of(&answer)?;
    let mut registered = parse(session.endpoints, &answer)?;
    registered.registration_access_token = reissue(session, &found, &token).await?;
    match registered.registration_access_token {
        Some(_) => Ok(registered),
        None => Err(Failure::unmanageable(
            "the management credentials may not issue a registration access token",
        )),
    }
}

/// The answer to an earlier rotation may have got lost, and the token with it.
pub(super) async fn already_rotated(
    session: &Session<'_>,
    client: &KnownClient,
    chosen: &Secret,
    failure: Failure,
) -> Result<RegisteredClient> {
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
