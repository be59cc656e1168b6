//! Plain RFC 7591 (registration) and RFC 7592 (management): bodies, answers, and
//! the calls, without any provider's quirks but with patience for all of them.
//!
//! - `registration`: the POST; `adaptation`: what is sent after a refusal
//! - `management`: read, update, delete

mod adaptation;
mod management;
mod registration;

use portico_vault::Secret;
use serde_json::{Map, Value};
use url::Url;

use super::client::{KnownClient, Prepared, REDACTED, RegisteredClient, WantedClient};
pub(crate) use super::credentials::invalid_answer;
use super::credentials::{self, client_id, metadata, secret};
use super::failure::{Bearer, Failure, Result, refusal};
use super::session::{RawAnswer, Step};
use super::site::Site;
pub(crate) use crate::client_metadata::UNUSED_REDIRECT;
use crate::client_metadata::{Marker, for_update, registration_members, secret_expires_at};
use crate::identity_provider::Endpoints;
pub(crate) use management::{
    as_granted, before_update, delete, fetch_secret, perhaps_gone, read, still_there, update_with,
};
pub(crate) use registration::{register, register_once};

/// Characters of a `registration_client_uri`.
const CLIENT_URI: usize = 2000;
/// Characters of a name: at 256 Keycloak 26.7.3 answers with a 500.
const NAME: usize = 255;

/// The registration request (RFC 7591 section 3.1). The marker goes into
/// `software_id` and `software_version`, which an operator can look for.
///
/// # Errors
/// See [`check_auth_method`].
pub(crate) fn prepare(site: Site<'_>, wanted: &WantedClient) -> Result<Prepared> {
    check_auth_method(site.endpoints, wanted)?;
    let mut body = registration_members(wanted);
    body.insert("software_id".into(), wanted.marker.id.clone().into());
    body.insert(
        "software_version".into(),
        wanted.marker.attempt.to_string().into(),
    );
    if site.software_statement {
        body.insert("software_statement".into(), REDACTED.into());
    }
    Ok(Prepared::new(
        site.endpoints.registration_endpoint.clone(),
        wanted,
        body,
    ))
}

/// Whether the client can authenticate at the token endpoint in the way that is wanted.
///
/// # Errors
/// `auth_method_unsupported`: a method that needs a key, or one that the well-known document does not name. `none`
/// is no authentication, so many documents do not name it.
pub(crate) fn check_auth_method(endpoints: &Endpoints, wanted: &WantedClient) -> Result<()> {
    let method = wanted.auth_method();
    let why = if method == "private_key_jwt" {
        "needs a key that Portico does not hold".to_owned()
    } else {
        let supported = &endpoints.auth_methods_supported;
        if method == "none" || supported.is_empty() || supported.iter().any(|one| one == method) {
            return Ok(());
        }
        format!(
            "is not among those that the provider supports: {}",
            supported.join(", ")
        )
    };
    Err(Failure::fail(
        "auth_method_unsupported",
        format!("token_endpoint_auth_method {method} {why}; change it in the client type"),
    ))
}

/// Where and with which token the client is managed.
///
/// # Errors
/// [`Disposition::Unmanageable`], where the provider gave the one or the other not.
pub(crate) fn management(client: &KnownClient) -> Result<(&Url, &Secret)> {
    match (
        &client.registration_client_uri,
        &client.registration_access_token,
    ) {
        (Some(uri), Some(token)) => Ok((uri, token)),
        _ => Err(Failure::unmanageable(
            "the provider gave no usable registration_client_uri and registration_access_token \
             (RFC 7592) for this client",
        )),
    }
}

/// The body of an update (RFC 7592 section 2.2): everything that the provider
/// returned, with what is wanted on top. The secret is not in it.
pub(crate) fn update_body(
    client: &KnownClient,
    mut body: Map<String, Value>,
    wanted: &WantedClient,
) -> Map<String, Value> {
    let kept = |member: &str, keep: fn(&[Value]) -> bool| {
        let values = client.granted.members().get(member)?.as_array()?;
        keep(values).then(|| (member.to_owned(), Value::Array(values.clone())))
    };
    // What the provider demanded at the registration it demands again.
    let demanded = [
        kept("response_types", <[Value]>::is_empty),
        kept("redirect_uris", |values| {
            values.is_empty() || values.iter().any(|url| url == UNUSED_REDIRECT)
        }),
    ];
    for member in ["response_types", "redirect_uris"] {
        body.remove(member);
    }
    body.extend(demanded.into_iter().flatten());
    body.extend(registration_members(wanted));
    let name = client.granted.text("client_name");
    if let Some(name) = name.and_then(|name| renamed(name, wanted, NAME)) {
        body.insert("client_name".into(), name.into());
    }
    body.insert("client_id".into(), client.client_id.clone().into());
    body
}

/// The name of a client with the marker of an attempt; never longer than `most` characters.
pub(crate) fn marked_name(wanted: &WantedClient, most: usize) -> String {
    named_with(wanted, &wanted.marker, most)
}

/// The marker stands at the end in full, however long the name is: by it the client is found.
fn named_with(wanted: &WantedClient, marker: &Marker, most: usize) -> String {
    let marker = format!(" [{marker}]");
    let left = most.saturating_sub(marker.chars().count());
    let name: String = wanted.client_name().chars().take(left).collect();
    format!("{}{marker}", name.trim_end())
}

/// The wanted name with the marker that the client's present name has already, in at most so many characters. `None`
/// where it has none.
pub(crate) fn renamed(name: &str, wanted: &WantedClient, most: usize) -> Option<String> {
    let marker = Marker::of_name(name)?;
    Some(named_with(wanted, &marker, most))
}

/// The body of an update as an admin may see it.
pub(crate) fn redacted_update_body(
    client: &KnownClient,
    wanted: &WantedClient,
) -> Map<String, Value> {
    let mut body = update_body(client, for_update(client.granted.members()), wanted);
    if client.client_secret.is_some() {
        body.insert("client_secret".into(), REDACTED.into());
    }
    body
}

/// Reads an answer to a registration, a read or an update (RFC 7591 section
/// 3.2.1). Status 200 is as good as 201. The secret in the answer to a read is
/// ignored: some providers answer with a hash or with asterisks.
pub(crate) fn parse(endpoints: &Endpoints, answer: &RawAnswer) -> Result<RegisteredClient> {
    if !answer.is_success() {
        let bearer = match answer.step {
            Step::Register => Bearer::Initial,
            _ => Bearer::Registration,
        };
        return Err(refusal(answer, bearer));
    }
    let members = object_of(answer)?;
    let client_id = client_id(answer, &members, "client_id")?;
    let secret = secret(answer, &members, "client_secret")?;
    let (uri, warning) = client_uri(endpoints, answer, &members);
    let (expires_at, unclear) = secret_expires_at(&members);
    let malformed = malformed_lists(&members);
    Ok(RegisteredClient {
        marker: Marker::of_members(&members),
        client_id,
        client_secret: secret.filter(|_| answer.step != Step::Read),
        registration_access_token: credentials::secret(
            answer,
            &members,
            "registration_access_token",
        )?,
        registration_client_uri: uri,
        client_secret_expires_at: expires_at,
        granted: metadata(answer, members),
        warnings: [warning, unclear, malformed]
            .into_iter()
            .flatten()
            .collect(),
        keeps_old_secret: false,
    })
}

/// A warning where a list is neither an array nor a text (RFC 7591 section 2): it counts as not told.
fn malformed_lists(members: &Map<String, Value>) -> Option<String> {
    let lists = ["scope", "grant_types", "response_types", "redirect_uris"];
    let malformed: Vec<&str> = lists
        .into_iter()
        .filter(|name| {
            let value = members.get(*name).unwrap_or(&Value::Null);
            !(value.is_null() || value.is_string() || value.is_array())
        })
        .collect();
    (!malformed.is_empty()).then(|| {
        let names = malformed.join(", ");
        format!(
            "{names}: neither a text nor an array, so it is not known what the provider granted"
        )
    })
}

pub(crate) fn object_of(answer: &RawAnswer) -> Result<Map<String, Value>> {
    match answer.json() {
        Some(Value::Object(_)) if answer.is_ambiguous() => {
            let why = "its body has two members of one name (RFC 8259 section 4)";
            Err(invalid_answer(answer, why))
        }
        Some(Value::Object(members)) => Ok(members),
        _ => Err(invalid_answer(answer, "its body is no JSON object")),
    }
}

pub(crate) fn array_of(answer: &RawAnswer) -> Result<Vec<Value>> {
    match answer.json() {
        Some(Value::Array(values)) => Ok(values),
        _ => Err(invalid_answer(answer, "its body is no JSON array")),
    }
}

/// The management URL, if a token may be sent there.
fn client_uri(
    endpoints: &Endpoints,
    answer: &RawAnswer,
    members: &Map<String, Value>,
) -> (Option<Url>, Option<String>) {
    let text = members
        .get("registration_client_uri")
        .and_then(Value::as_str);
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return (None, None);
    };
    // It is stored and shown as it is.
    if text.len() > CLIENT_URI || answer.secrets().are_in(text) {
        let warning = "registration_client_uri is too long or holds a secret, so it is not kept: the client cannot be \
                       managed";
        return (None, Some(warning.into()));
    }
    // RFC 7592 section 3 asks for an absolute one; a relative one can be meant in one way only.
    match endpoints.registration_endpoint.join(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            let warning = "registration_client_uri holds a user name or password, so it is not kept: the client cannot \
                           be managed";
            (None, Some(warning.into()))
        }
        Ok(url) if endpoints.trusts(&url) => (Some(url), None),
        Ok(url) => {
            let origin = url.origin().ascii_serialization();
            let warning = format!(
                "registration_client_uri is at {origin}, not at the issuer's origin: no token is \
                 sent there, so the client cannot be managed"
            );
            (None, Some(warning))
        }
        Err(_) => (
            None,
            Some("registration_client_uri is no URL: the client cannot be managed".into()),
        ),
    }
}
