//! Where the Management API is, and the calls that it takes.

use std::collections::BTreeSet;

use http::Method as Verb;
use serde_json::Value;
use url::Url;

use super::members;
use crate::providers::client::RegisteredClient;
use crate::providers::failure::{Bearer, Disposition, Failure, Result, refusal};
use crate::providers::listing::{self, ClientPage};
use crate::providers::rfc7591;
use crate::providers::session::{Body, RawAnswer, Session, Step};
use crate::providers::site::Site;
use crate::providers::tokens::Need;

/// Clients on a page; Auth0 gives no more.
const PAGE: usize = 100;
/// Clients that Auth0 lists by page.
const LISTED: usize = 1000;

/// `https://tenant.example/api/v2/`: its identifier is its address. A tenant with a domain of its own has the
/// Management API at its first one, which the admin names as the audience.
pub(super) fn management_api(site: Site<'_>) -> String {
    match site.options.management_audience.as_str() {
        "" => format!("{}/api/v2/", site.endpoints.issuer.trim_end_matches('/')),
        audience => audience.to_owned(),
    }
}

fn at(site: Site<'_>, path: &[&str]) -> Result<Url> {
    let api = management_api(site);
    let mut url = Url::parse(&api).map_err(|_| {
        Failure::fail(
            "management_audience_invalid",
            format!("{api} is not the address of a Management API"),
        )
    })?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    Ok(url)
}

pub(super) fn clients(site: Site<'_>) -> Result<Url> {
    at(site, &["clients"])
}

pub(super) fn one(site: Site<'_>, client_id: &str) -> Result<Url> {
    at(site, &["clients", client_id])
}

pub(super) fn grants(site: Site<'_>, id: Option<&str>) -> Result<Url> {
    let mut path = vec!["client-grants"];
    path.extend(id);
    at(site, &path)
}

/// With the API token, or one that was fetched just now.
pub(super) async fn call(
    session: &Session<'_>,
    step: Step,
    method: Verb,
    url: &Url,
    body: Body,
) -> Result<RawAnswer> {
    let audience = management_api(session.site());
    let need = Need {
        scope: "",
        audience: &audience,
    };
    let credential = session.credential(need).await?;
    session
        .call(step, method, url, credential.authorization(), body)
        .await
}

/// Auth0's own 404, and not that of a proxy: `{"statusCode": 404, "error": "Not Found", …}`.
fn is_of_auth0(answer: &RawAnswer) -> bool {
    let body = answer.json().unwrap_or_default();
    body.get("statusCode") == Some(&404.into())
        && body.get("error").and_then(Value::as_str) == Some("Not Found")
}

/// 403 is a scope that the portal's token lacks, which has the name of an unknown scope elsewhere.
pub(super) fn refused(answer: &RawAnswer) -> Failure {
    let failure = refusal(answer, Bearer::Api);
    match answer.status {
        401 | 403 => failure.with(Disposition::Unmanageable, "management_token_refused"),
        404 if is_of_auth0(answer) && answer.step != Step::Register => failure.gone(),
        _ => failure,
    }
}

/// A read that must succeed.
pub(super) async fn get(session: &Session<'_>, url: &Url) -> Result<RawAnswer> {
    let answer = call(session, Step::Other, Verb::GET, url, Body::None).await?;
    match answer.is_success() {
        true => Ok(answer),
        false => Err(refused(&answer)),
    }
}

pub(super) async fn read(session: &Session<'_>, id: &str) -> Result<RegisteredClient> {
    let url = one(session.site(), id)?;
    let answer = call(session, Step::Read, Verb::GET, &url, Body::None).await?;
    members::parse(session.endpoints, &answer)
}

/// Clients of the tenant, up to [`PAGE`]; `after`: the number of the page.
pub(super) async fn list(session: &Session<'_>, after: Option<&str>) -> Result<ClientPage> {
    let page: usize = after.and_then(|number| number.parse().ok()).unwrap_or(0);
    if page * PAGE >= LISTED {
        return Err(listing::too_long());
    }
    let mut url = clients(session.site())?;
    url.query_pairs_mut()
        .append_pair("page", &page.to_string())
        .append_pair("per_page", &PAGE.to_string())
        .append_pair("fields", "client_id,client_metadata")
        .append_pair("include_fields", "true");
    let answer = get(session, &url).await?;
    let clients = rfc7591::array_of(&answer)?;
    // It gives no number of all; a page that is not full is the last one.
    let next = (clients.len() >= PAGE).then(|| (page + 1).to_string());
    Ok(ClientPage::of(&answer, &clients, next, |client| {
        let id = client.get("client_id")?.as_str()?;
        // Scopes are in the client grants.
        Some((id, members::marker(client)?, BTreeSet::new()))
    }))
}
