//! Managing a client with its registration access token (RFC 7592 section 2).

use http::Method;
use portico_vault::Secret;
use serde_json::{Map, Value};

use super::adaptation::Adaptations;
use super::{for_update, invalid_answer, management, object_of, parse, secret, update_body};
use crate::providers::client::{Deleted, KnownClient, Marker, RegisteredClient, WantedClient};
use crate::providers::failure::{Bearer, Disposition, Failure, PERHAPS_GONE, Result, refusal};
use crate::providers::session::{Authorization, Body, RawAnswer, Session, Step};

/// Reads the client (RFC 7592 section 2.1).
pub(crate) async fn read(session: &Session<'_>, client: &KnownClient) -> Result<RegisteredClient> {
    Ok(told(session, client).await?.0)
}

/// The client with the answer that told of it, in which there may be more.
async fn told(
    session: &Session<'_>,
    client: &KnownClient,
) -> Result<(RegisteredClient, RawAnswer)> {
    let answer = managed(session, client, Step::Read, Method::GET, Body::None).await?;
    let read = understood(session, client, &answer, "read").await?;
    Ok((read, answer))
}

/// The secret of a client whose registration brought none (RFC 7592 section 2.1 has it in the answer to a read). Some
/// answer with a hash, so only one that the token endpoint accepts is believed.
pub(crate) async fn fetch_secret(
    session: &Session<'_>,
    client: &KnownClient,
) -> Result<RegisteredClient> {
    // Kept as a read: only the secret that was found to be true is one.
    let (found, answer) = told(session, client).await?;
    let claimed = secret(&answer, &object_of(&answer)?, "client_secret")?;
    let is_true = works(session, client, claimed.as_ref()).await;
    Ok(RegisteredClient {
        client_secret: claimed.filter(|_| is_true),
        ..found
    })
}

/// What an update starts from: the client as it is known after a read, and the body. RFC 7592 section 2.2 replaces what is
/// left out, so what the provider tells that nobody here knows is sent back; it is not kept. Where the provider does not
/// let the client be read, the body is made of what it said last.
///
/// # Errors
/// The provider does not answer now.
pub(crate) async fn before_update(
    session: &Session<'_>,
    client: &KnownClient,
    wanted: &WantedClient,
) -> Result<(KnownClient, Map<String, Value>)> {
    match told(session, client).await {
        Ok((read, answer)) => {
            let members = object_of(&answer)?;
            let known = read.merge_into(client.clone(), client.scopes.clone());
            let body = update_body(&known, for_update(&members), wanted);
            Ok((known, body))
        }
        Err(failure) if failure.disposition == Disposition::Retry => Err(failure),
        Err(_) => {
            let body = update_body(client, for_update(client.granted.members()), wanted);
            Ok((client.clone(), body))
        }
    }
}

/// Updates the client (RFC 7592 section 2.2) with this body, and after a refusal with others that mean the same.
pub(crate) async fn update_with(
    session: &Session<'_>,
    client: &KnownClient,
    wanted: &WantedClient,
    step: Step,
    mut body: Map<String, Value>,
) -> Result<RegisteredClient> {
    body.remove("client_secret");
    if let Some(secret) = &client.client_secret {
        body.insert("client_secret".into(), secret.expose().into());
    }
    let mut adaptations = Adaptations::default();
    loop {
        let sent = Body::Json(Value::Object(body.clone()));
        let answer = managed(session, client, step, Method::PUT, sent).await?;
        if step == Step::Update && answer.is_success() && answer.body.trim_ascii().is_empty() {
            // RFC 7592 section 2.2 asks for the client in the answer; a look at it tells the same.
            return read(session, client).await;
        }
        if answer.is_success() {
            let mut updated = about(client, parse(session.endpoints, &answer)?, &answer)?;
            let token = updated.registration_access_token;
            updated.registration_access_token =
                token.or_else(|| client.registration_access_token.clone());
            return Ok(with_true_secret(session, client, updated).await);
        }
        let failure = refusal(&answer, Bearer::Registration);
        match adaptations.of_update(&body, wanted, client.scopes.is_empty(), &failure) {
            Some(adapted) => body = adapted,
            None => return understood(session, client, &answer, "update").await,
        }
    }
}

/// An update may bring another secret (RFC 7592 section 2.2), or a hash or a mask of the one that there is: the token
/// endpoint knows which. Where it does not tell, the answer is believed.
async fn with_true_secret(
    session: &Session<'_>,
    client: &KnownClient,
    mut updated: RegisteredClient,
) -> RegisteredClient {
    if updated.client_secret.is_none() || updated.client_secret == client.client_secret {
        return updated;
    }
    let (new, old) = (
        updated.client_secret.as_ref(),
        client.client_secret.as_ref(),
    );
    if !works(session, client, new).await && works(session, client, old).await {
        updated.client_secret = None;
    }
    updated
}

/// Whether the token endpoint takes this for the client's secret.
async fn works(session: &Session<'_>, client: &KnownClient, secret: Option<&Secret>) -> bool {
    let claimed = KnownClient {
        client_secret: secret.cloned(),
        ..client.clone()
    };
    matches!(still_there(session, &claimed).await, Ok(Some(true)))
}

/// Deletes the client (RFC 7592 section 2.3). Where the provider does not delete, the caller takes the client's scopes
/// away and lists it.
pub(crate) async fn delete(session: &Session<'_>, client: &KnownClient) -> Result<Deleted> {
    let answer = managed(session, client, Step::Other, Method::DELETE, Body::None).await?;
    if answer.is_success() {
        return deleted(session, client, &answer).await;
    }
    let failure = refused(session, client, &answer, "deletion").await?;
    match failure.disposition {
        Disposition::Gone => Ok(Deleted::AlreadyGone),
        _ => Err(failure),
    }
}

/// Why the client could not be managed. That a provider refuses says nothing about whether the client lives, and neither
/// do credentials that it does not accept: the client may be disabled, or have got another secret there. Only 410 (RFC
/// 9110 section 15.5.11) is about the client itself; RFC 7592 asks for the same 401 for one that is gone and for a token
/// that is wrong.
async fn refused(
    session: &Session<'_>,
    client: &KnownClient,
    answer: &RawAnswer,
    what: &str,
) -> Result<Failure> {
    let mut failure = refusal(answer, Bearer::Registration);
    // Whoever it is that answers so, nothing was changed.
    failure.outcome_unknown &= answer.status != 404;
    if answer.status == 410 || !may_be_gone(&failure) {
        return Ok(failure);
    }
    let there = still_there(session, client).await?;
    Ok(match (answer.status, there) {
        (400 | 401 | 403 | 404 | 405, Some(false)) => {
            perhaps_gone(failure, "does not accept its credentials either")
        }
        (401, None) if client.client_secret.is_none() => perhaps_gone(
            failure,
            "cannot be asked for it by any credentials of its own",
        ),
        (404 | 405 | 501, there) => unsupported(answer, what, there),
        _ => failure,
    })
}

/// Whether the client may be gone, or may not be managed, or not in this way: the status alone does not tell.
fn may_be_gone(failure: &Failure) -> bool {
    failure.disposition == Disposition::Unmanageable
        || matches!(failure.status, Some(404 | 405 | 501))
}

/// Its registration access token is not accepted, and nothing else tells whether it is there. `why`: what the provider does
/// beside that.
pub(crate) fn perhaps_gone(failure: Failure, why: &str) -> Failure {
    let description = format!(
        "the provider does not let this client be managed ({}), and {why}: it was deleted or disabled there, or has got \
         another secret",
        failure.description
    );
    Failure {
        description,
        ..failure.with(Disposition::Unmanageable, PERHAPS_GONE)
    }
}

/// A success with a body is not that of RFC 7592 section 2.3: it may be the page of a proxy, and nothing was deleted.
async fn deleted(
    session: &Session<'_>,
    client: &KnownClient,
    answer: &RawAnswer,
) -> Result<Deleted> {
    if !answer.body.is_empty() && still_there(session, client).await? == Some(true) {
        let failure = invalid_answer(answer, "the client is still there");
        return Err(failure.with(Disposition::Retry, "deletion_without_effect"));
    }
    Ok(Deleted::Deleted)
}

/// The client as it was granted, so that nothing changes.
pub(crate) fn as_granted(client: &KnownClient) -> WantedClient {
    let granted = &client.granted;
    let text = |member: &str| granted.text(member).unwrap_or_default().to_owned();
    let list = |member: &str| granted.list(member).unwrap_or_default();
    WantedClient {
        name: text("client_name"),
        redirect_uris: list("redirect_uris").into_iter().collect(),
        grant_types: list("grant_types"),
        response_types: list("response_types"),
        token_endpoint_auth_method: text("token_endpoint_auth_method"),
        scopes: granted.scopes().unwrap_or_default(),
        okta_application_type: String::new(),
        marker: Marker {
            id: String::new(),
            attempt: 0,
        },
        erased: false,
    }
}

async fn managed(
    session: &Session<'_>,
    client: &KnownClient,
    step: Step,
    method: Method,
    body: Body,
) -> Result<RawAnswer> {
    let (url, token) = management(client)?;
    session
        .call(
            step,
            method,
            url,
            Authorization::Bearer(Bearer::Registration, token),
            body,
        )
        .await
}

/// An answer to `what`; a refusal may mean that the client is gone, or that the provider does not offer it.
async fn understood(
    session: &Session<'_>,
    client: &KnownClient,
    answer: &RawAnswer,
    what: &str,
) -> Result<RegisteredClient> {
    if !answer.is_success() {
        return Err(refused(session, client, answer, what).await?);
    }
    about(client, parse(session.endpoints, answer)?, answer)
}

fn about(
    client: &KnownClient,
    registered: RegisteredClient,
    answer: &RawAnswer,
) -> Result<RegisteredClient> {
    if registered.client_id == client.client_id {
        Ok(registered)
    } else {
        Err(invalid_answer(answer, "it is about another client"))
    }
}

fn unsupported(answer: &RawAnswer, what: &str, there: Option<bool>) -> Failure {
    let known = match there {
        Some(true) => "the client is there",
        Some(false) | None => "it is not known whether the client is there",
    };
    let mut failure = Failure::new(
        Disposition::Unmanageable,
        format!("{what}_unsupported"),
        format!(
            "the provider answers the {what} of this client (RFC 7592) with status {}; {known}",
            answer.status
        ),
    );
    failure.status = Some(answer.status);
    failure
}

/// Whether the client's own credentials are known to the token endpoint; `None` where that cannot be told.
pub(crate) async fn still_there(
    session: &Session<'_>,
    client: &KnownClient,
) -> Result<Option<bool>> {
    let Some(secret) = &client.client_secret else {
        return Ok(None);
    };
    let ways: &[bool] = match client.granted.text("token_endpoint_auth_method") {
        Some("client_secret_basic") => &[false],
        Some("client_secret_post") => &[true],
        // The default is the header, but who does not say it may have taken the other that was asked for.
        None => &[false, true],
        Some(_) => return Ok(None),
    };
    let mut known = None;
    for in_body in ways.iter().copied() {
        known = known_to_the_token_endpoint(session, client, secret, in_body).await?;
        if known != Some(false) {
            break;
        }
    }
    Ok(known)
}

async fn known_to_the_token_endpoint(
    session: &Session<'_>,
    client: &KnownClient,
    secret: &Secret,
    in_body: bool,
) -> Result<Option<bool>> {
    let answer = session
        .token_request(&client.client_id, secret, in_body, Vec::new())
        .await?;
    let error = answer
        .json()
        .and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    Ok(match (answer.status, error.as_deref()) {
        (200..=299, _) => Some(true),
        (_, Some("invalid_client")) => Some(false),
        (400..=499, Some("unauthorized_client" | "invalid_scope" | "invalid_target")) => Some(true),
        _ => None,
    })
}
