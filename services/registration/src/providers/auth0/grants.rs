//! Client grants: which scopes of an API a client gets by itself.

use std::collections::BTreeSet;

use http::Method as Verb;
use serde_json::{Value, json};

use super::calls::{call, get, grants, read, refused};
use super::members;
use crate::providers::client::WantedClient;
use crate::providers::failure::{Disposition, Result};
use crate::providers::metadata::array;
use crate::providers::rfc7591;
use crate::providers::session::{Body, Session, Step};
use crate::providers::site::Site;

/// The grant of a client for the API, where it has one.
#[derive(Debug, Default)]
pub(super) struct Grant {
    id: Option<String>,
    pub(super) scopes: BTreeSet<String>,
}

/// As it is shown before it is sent.
pub(super) fn shown(site: Site<'_>, wanted: &WantedClient) -> Value {
    json!({"audience": site.options.api_audience, "scope": array(&wanted.scopes)})
}

/// Whether grants may be read, for the connection test.
pub(super) async fn of_audience(session: &Session<'_>) -> Result<()> {
    let mut url = grants(session.site(), None)?;
    url.query_pairs_mut()
        .append_pair("audience", &session.options.api_audience)
        .append_pair("per_page", "1");
    get(session, &url).await.map(drop)
}

pub(super) async fn of(session: &Session<'_>, client_id: &str) -> Result<Grant> {
    let mut url = grants(session.site(), None)?;
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair("audience", &session.options.api_audience);
    let found = rfc7591::array_of(&get(session, &url).await?)?;
    let is_it = |grant: &&Value| {
        let text = |member: &str| grant.get(member).and_then(Value::as_str);
        text("client_id") == Some(client_id)
            && text("audience") == Some(session.options.api_audience.as_str())
    };
    Ok(found
        .iter()
        .find(is_it)
        .map_or_else(Grant::default, |grant| {
            let scopes = grant.get("scope").and_then(Value::as_array);
            let scopes = scopes.into_iter().flatten().filter_map(Value::as_str);
            Grant {
                id: grant.get("id").and_then(Value::as_str).map(str::to_owned),
                scopes: scopes.map(str::to_owned).collect(),
            }
        }))
}

/// Gives the client exactly the wanted scopes, and says which it has then. A client that gets no tokens by itself
/// has no grant, and nor has one without scopes.
pub(super) async fn put(
    session: &Session<'_>,
    client_id: &str,
    wanted: &WantedClient,
) -> Result<BTreeSet<String>> {
    if session.options.api_audience.is_empty() {
        return Ok(BTreeSet::new());
    }
    let grant = of(session, client_id).await?;
    let scopes = match members::by_itself(wanted) {
        true => wanted.scopes.clone(),
        false => BTreeSet::new(),
    };
    let (method, body) = match (&grant.id, scopes.is_empty()) {
        (None, true) => return Ok(scopes),
        (Some(_), true) => (Verb::DELETE, Body::None),
        (Some(_), false) if grant.scopes == scopes => return Ok(scopes),
        (Some(_), false) => (Verb::PATCH, Body::Json(json!({"scope": array(&scopes)}))),
        (None, false) => {
            let body = json!({
                "client_id": client_id,
                "audience": session.options.api_audience,
                "scope": array(&scopes),
            });
            (Verb::POST, Body::Json(body))
        }
    };
    let url = grants(session.site(), grant.id.as_deref())?;
    let answer = call(session, Step::Other, method, &url, body).await?;
    if answer.is_success() {
        return Ok(scopes);
    }
    let failure = refused(&answer);
    Err(match answer.status {
        // The grant or the client is not there any more.
        404 => match read(session, client_id).await {
            Err(gone) if gone.disposition == Disposition::Gone => gone,
            _ => failure.with(Disposition::Retry, "client_grant_conflict"),
        },
        // Somebody else made one meanwhile; the next try finds it.
        409 => failure.with(Disposition::Retry, "client_grant_conflict"),
        400 if failure.description.to_lowercase().contains("scope") => {
            failure.with(Disposition::Fail, "scope_unknown_at_provider")
        }
        _ => failure,
    })
}
