//! The well-known document: OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3.

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES};
use http::{HeaderMap, HeaderValue};
use portico_runtime::outgoing::{KnownSecrets, sanitized};
use serde_json::Value;
use url::Url;

use super::session::Fetch;
use crate::identity_provider::has_trusted_origin;
pub use crate::identity_provider::{Endpoints, Overrides};

/// How long the provider has to answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// The suffix of OpenID Connect Discovery, and the inserted path of RFC 8414.
const WELL_KNOWN: [&str; 2] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
];

/// Why a well-known document was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// Not an absolute http or https URL of a well-known document.
    #[error(
        "the URL must be http(s) and contain /.well-known/openid-configuration or /.well-known/oauth-authorization-server, without query, fragment or user information"
    )]
    UrlInvalid,
    /// No answer: name, address, connection, TLS or time.
    #[error("the well-known document cannot be fetched: {0}")]
    Unreachable(String),
    /// The address is private and the operator does not allow it.
    #[error("the address may not be reached: {0}")]
    AddressForbidden(String),
    /// Not status 200.
    #[error("the well-known URL answers with status {0}")]
    Status(u16),
    /// An HTML page, for example, or JSON that is no object.
    #[error("the well-known URL does not answer with a JSON object")]
    NotJson,
    /// Another issuer than the URL says (OpenID Connect Discovery 1.0 section 4.3).
    #[error("the document says its issuer is {found}, but its URL belongs to {expected}")]
    IssuerMismatch {
        /// Issuer that follows from the URL.
        expected: String,
        /// Issuer that the document names.
        found: String,
    },
    /// Registration is not offered, or is switched off.
    #[error(
        "the document has no registration_endpoint: the provider does not offer dynamic client registration, or does not say where; `registration_endpoint_override` can say it"
    )]
    RegistrationEndpointMissing,
    /// A member that is needed is missing or is no URL.
    #[error("the document has no usable {0}")]
    EndpointMissing(&'static str),
    /// RFC 3986 section 3.2.1 deprecates passwords in URLs, and endpoints have no fragment (RFC 6749 section 3.2).
    #[error("its {0} has a user name, a password or a fragment")]
    EndpointInvalid(&'static str),
    /// An endpoint on another origin: a token sent there could be stolen.
    #[error(
        "its {member} is at {origin}, not at the issuer's origin; allow that origin in `allowed_origins` if tokens may be sent there"
    )]
    EndpointForeignOrigin {
        /// The member of the document.
        member: &'static str,
        /// Origin of the endpoint.
        origin: String,
    },
}

impl DiscoveryError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UrlInvalid => "well_known_url_invalid",
            Self::Unreachable(_) => "well_known_unreachable",
            Self::AddressForbidden(_) => "well_known_address_forbidden",
            Self::Status(_) => "well_known_status",
            Self::NotJson => "well_known_not_json",
            Self::IssuerMismatch { .. } => "issuer_mismatch",
            Self::RegistrationEndpointMissing => "registration_endpoint_missing",
            Self::EndpointMissing(_) => "endpoint_missing",
            Self::EndpointInvalid(_) => "endpoint_invalid",
            Self::EndpointForeignOrigin { .. } => "endpoint_foreign_origin",
        }
    }
}

/// Fetches and verifies a well-known document.
///
/// # Errors
/// The first thing that is wrong.
pub async fn discover(
    fetch: Fetch<'_>,
    well_known_url: &str,
    overrides: Overrides<'_>,
) -> Result<Endpoints, DiscoveryError> {
    let (url, _) = parse_url(well_known_url)?;
    let (status, body) = fetch.get(&url, DEADLINE).await?;
    if status != 200 {
        return Err(DiscoveryError::Status(status));
    }
    let document = serde_json::from_slice(&body).map_err(|_| DiscoveryError::NotJson)?;
    verify(well_known_url, &document, overrides)
}

/// What a look at a document that is known brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refreshed {
    /// None: it is the one that is known.
    pub(crate) endpoints: Option<Endpoints>,
    /// How long it need not be looked at again (RFC 9111 section 4.2.1). None: it does not say.
    pub(crate) fresh_for: Option<Duration>,
    /// RFC 9110 section 8.8.3.
    pub(crate) etag: Option<HeaderValue>,
}

/// Looks at a document again; `etag` is that of the known one.
///
/// # Errors
/// As [`discover`].
pub(crate) async fn refresh(
    fetch: Fetch<'_>,
    well_known_url: &str,
    overrides: Overrides<'_>,
    etag: Option<HeaderValue>,
) -> Result<Refreshed, DiscoveryError> {
    let (url, _) = parse_url(well_known_url)?;
    let known = etag.clone();
    let answer = fetch.get_unless(&url, DEADLINE, etag).await?;
    let endpoints = match answer.status.as_u16() {
        304 => None,
        200 => {
            let document = serde_json::from_slice(&answer.body);
            let document = document.map_err(|_| DiscoveryError::NotJson)?;
            Some(verify(well_known_url, &document, overrides)?)
        }
        status => return Err(DiscoveryError::Status(status)),
    };
    Ok(Refreshed {
        endpoints,
        fresh_for: fresh_for(&answer.headers),
        etag: answer.headers.get(ETAG).cloned().or(known),
    })
}

/// RFC 9111 sections 4.2.1 and 5.2.2: `max-age` less the age, or until `Expires`; nothing where it must not be stored.
fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let directives = text(CACHE_CONTROL).unwrap_or_default().to_ascii_lowercase();
    let mut directives = directives.split(',').map(str::trim);
    if directives
        .clone()
        .any(|one| ["no-store", "no-cache"].contains(&one))
    {
        return Some(Duration::ZERO);
    }
    let seconds = |text: &str| text.trim().trim_matches('"').parse::<u64>().ok();
    if let Some(most) = directives.find_map(|one| seconds(one.strip_prefix("max-age=")?)) {
        let age = text(AGE).and_then(seconds).unwrap_or(0);
        return Some(Duration::from_secs(most.saturating_sub(age)));
    }
    let date = |name| jiff::fmt::rfc2822::parse(text(name)?).ok();
    let left = date(EXPIRES)?
        .timestamp()
        .duration_since(date(DATE)?.timestamp());
    Some(Duration::try_from(left).unwrap_or_default())
}

/// The URL of a well-known document, and the issuer that it belongs to.
fn parse_url(text: &str) -> Result<(Url, String), DiscoveryError> {
    let url = Url::parse(text.trim()).map_err(|_| DiscoveryError::UrlInvalid)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && is_bare(&url)
        && url.query().is_none();
    if !plain {
        return Err(DiscoveryError::UrlInvalid);
    }
    let path = url.path().to_owned();
    for well_known in WELL_KNOWN {
        // OpenID Connect appends to the issuer's path, RFC 8414 inserts before it.
        let issuer_path = match path.strip_suffix(well_known) {
            Some(before) => before,
            None => match path.strip_prefix(well_known) {
                Some(after) if after.starts_with('/') => after,
                _ => continue,
            },
        };
        let issuer = format!("{}{issuer_path}", url.origin().ascii_serialization());
        return Ok((url, issuer));
    }
    Err(DiscoveryError::UrlInvalid)
}

/// Whether a URL has neither user information nor a fragment.
fn is_bare(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}

/// Verifies a document that was fetched from `well_known_url`. Pure.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    well_known_url: &str,
    document: &Value,
    overrides: Overrides<'_>,
) -> Result<Endpoints, DiscoveryError> {
    let (_, expected) = parse_url(well_known_url)?;
    let members = document.as_object().ok_or(DiscoveryError::NotJson)?;
    let text = |member: &str| members.get(member).and_then(Value::as_str);
    let issuer = text("issuer").unwrap_or_default();
    if !is_same(issuer, &expected) {
        return Err(DiscoveryError::IssuerMismatch {
            expected,
            // What cannot be seen may be all that is wrong.
            found: sanitized(&issuer.escape_debug().to_string(), &KnownSecrets::default()),
        });
    }
    let near = |member: &'static str, url: Url| {
        if !has_trusted_origin(issuer, overrides.allowed_origins, &url) {
            let origin = url.origin().ascii_serialization();
            return Err(DiscoveryError::EndpointForeignOrigin { member, origin });
        }
        Ok(url)
    };
    let endpoint = |member: &'static str| {
        let url = text(member).and_then(|text| Url::parse(text).ok());
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or(DiscoveryError::EndpointMissing(member))?;
        match is_bare(&url) {
            true => near(member, url),
            false => Err(DiscoveryError::EndpointInvalid(member)),
        }
    };
    let given = |member: &str| members.get(member).is_some_and(|value| !value.is_null());
    let registration_endpoint = match overrides.registration_endpoint {
        Some(url) => near("registration_endpoint", url.clone())?,
        None if given("registration_endpoint") => endpoint("registration_endpoint")?,
        None => return Err(DiscoveryError::RegistrationEndpointMissing),
    };
    let jwks_uri = given("jwks_uri")
        .then(|| endpoint("jwks_uri"))
        .transpose()?;
    let texts = |member: &str| {
        let values = members.get(member).and_then(Value::as_array);
        values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            // Anything else is no name of a scope, a method or a grant type (RFC 6749 appendix A).
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()))
            .map(str::to_owned)
            .collect()
    };
    Ok(Endpoints {
        issuer: issuer.to_owned(),
        registration_endpoint,
        token_endpoint: endpoint("token_endpoint")?,
        jwks_uri,
        scopes_supported: texts("scopes_supported"),
        auth_methods_supported: texts("token_endpoint_auth_methods_supported"),
        grant_types_supported: texts("grant_types_supported"),
        allowed_origins: overrides.allowed_origins.to_vec(),
        registration_endpoint_override: overrides.registration_endpoint.cloned(),
    })
}

/// Whether two spellings are the same issuer (OpenID Connect Discovery 1.0 section 4.3) after normalization as in RFC 3986
/// section 6.2.2 and 6.2.3: the case of the host, a default port, dot segments. Some issuers end in a slash, which their
/// URL cannot show. What a parser of URLs would drop or replace is not normalized: the issuer is kept as it is written.
fn is_same(issuer: &str, expected: &str) -> bool {
    if issuer.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return false;
    }
    let normal = |text: &str| {
        let url = Url::parse(text).ok()?;
        let text = url.as_str();
        Some(text.strip_suffix('/').unwrap_or(text).to_owned())
    };
    normal(issuer).is_some_and(|issuer| Some(issuer) == normal(expected))
}

#[cfg(test)]
mod tests;
