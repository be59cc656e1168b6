//! Where Okta is asked, with its API token, and how its answers are read.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Map, Value};
use url::Url;

use crate::client_metadata::Marker;
use crate::providers::client::RegisteredClient;
use crate::providers::discovery::Endpoints;
use crate::providers::failure::{Bearer, Disposition, Failure, Result, refusal};
use crate::providers::listing::ClientPage;
use crate::providers::rfc7591;
use crate::providers::session::{Authorization, Body, RawAnswer, Session, Step};

/// `/oauth2/v1/clients`, which the well-known document names.
pub(super) fn collection(endpoints: &Endpoints) -> Url {
    endpoints.registration_endpoint.clone()
}

pub(super) fn client(endpoints: &Endpoints, id: &str) -> Url {
    let mut url = collection(endpoints);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(id);
    }
    url
}

pub(super) async fn call(
    session: &Session<'_>,
    step: Step,
    method: Method,
    url: &Url,
    body: Body,
) -> Result<RawAnswer> {
    let Some(token) = session.token else {
        return Err(Failure::new(
            Disposition::PauseProvider,
            "authorization_missing",
            "the provider has no API token",
        ));
    };
    session
        .call(step, method, url, Authorization::Ssws(token), body)
        .await
}

pub(super) fn parse(endpoints: &Endpoints, answer: &RawAnswer) -> Result<RegisteredClient> {
    if !answer.is_success() {
        return Err(refused(answer));
    }
    let mut registered = rfc7591::parse(endpoints, answer)?;
    registered.registration_client_uri = Some(client(endpoints, &registered.client_id));
    Ok(registered)
}

pub(super) fn refused(answer: &RawAnswer) -> Failure {
    refusal(answer, Bearer::Api)
}

/// Okta says so in words only; the error code is that of any bad metadata.
pub(super) fn is_taken(failure: &Failure) -> bool {
    failure.status == Some(400) && failure.description.contains("already exists")
}

/// What was wrong with a call that names a client.
pub(super) enum Wrong {
    /// There is no such client.
    Id,
    Call(Failure),
}

/// A wrong id is 401 at most calls and 404 at some, with different bodies; a refused API token is 401, too, and a 404 of
/// anybody else is without Okta's code.
pub(super) async fn found(session: &Session<'_>, answer: &RawAnswer) -> Wrong {
    let failure = refused(answer);
    let body = answer.json().unwrap_or_default();
    let wrong_id = match answer.status {
        404 => body.get("errorCode").and_then(Value::as_str) == Some("E0000007"),
        410 => true,
        401 => {
            // Otherwise it is the token, unless that is good enough to list clients.
            body.get("error").and_then(Value::as_str) == Some("invalid_client")
                && lists(session).await
        }
        _ => false,
    };
    match wrong_id {
        true => Wrong::Id,
        false => Wrong::Call(failure),
    }
}

/// The answer to a call that names a client, where it is a success.
pub(super) async fn successful(session: &Session<'_>, answer: RawAnswer) -> Result<RawAnswer> {
    if answer.is_success() {
        return Ok(answer);
    }
    Err(match found(session, &answer).await {
        Wrong::Id => refused(&answer).gone(),
        Wrong::Call(failure) => failure,
    })
}

async fn lists(session: &Session<'_>) -> bool {
    let mut url = collection(session.endpoints);
    url.set_query(Some("limit=1"));
    let answer = call(session, Step::Other, Method::GET, &url, Body::None).await;
    answer.is_ok_and(|answer| answer.is_success())
}

/// Clients of the org, up to 200; `after`: the address of the page.
pub(super) async fn list(session: &Session<'_>, after: Option<&str>) -> Result<ClientPage> {
    let url = match after.map(Url::parse) {
        Some(Ok(next)) => next,
        Some(Err(_)) | None => {
            let mut url = collection(session.endpoints);
            url.query_pairs_mut().append_pair("limit", "200");
            url
        }
    };
    let answer = call(session, Step::Other, Method::GET, &url, Body::None).await?;
    if !answer.is_success() {
        return Err(refused(&answer));
    }
    let next = next(&answer).map(String::from);
    let clients = rfc7591::array_of(&answer)?;
    Ok(ClientPage::of(&answer, &clients, next, |client| {
        let text = |member: &str| client.get(member)?.as_str();
        let marker = Marker::of_name(text("client_name")?)?;
        // Scopes belong to the authorization server.
        Some((text("client_id")?, marker, BTreeSet::new()))
    }))
}

/// RFC 8288; Okta gives a header for each link, or all in one.
fn next(answer: &RawAnswer) -> Option<Url> {
    let links = answer.headers.iter().filter(|(name, _)| name == "link");
    let mut links = links.flat_map(|(_, value)| value.split(','));
    let link = links.find(|link| link.contains("rel=\"next\""))?;
    let (_, rest) = link.split_once('<')?;
    let (url, _) = rest.split_once('>')?;
    Url::parse(url).ok()
}

/// Below the application that a client is: `/api/v1/apps/{id}`, whose id is the client's
/// (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Application/>).
pub(super) fn application(endpoints: &Endpoints, id: &str, below: &[&str]) -> Url {
    let mut url = collection(endpoints);
    url.set_query(None);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments
            .clear()
            .extend(["api", "v1", "apps", id])
            .extend(below);
    }
    url
}

/// Switches the application off or on.
pub(super) async fn lifecycle(session: &Session<'_>, id: &str, what: &str) -> Result<()> {
    let url = application(session.endpoints, id, &["lifecycle", what]);
    let body = Body::Json(Value::Object(Map::new()));
    let answer = call(session, Step::Other, Method::POST, &url, body).await?;
    successful(session, answer).await.map(drop)
}
