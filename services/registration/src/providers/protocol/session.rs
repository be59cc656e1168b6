//! The calls to one provider: their deadline, which token they carry, where it
//! may go, and the spool that every answer with credentials passes first.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method};
use portico_runtime::fault;
use portico_runtime::outgoing::{
    KnownSecrets, Outgoing, OutgoingError, OutgoingRequest, OutgoingResponse, TlsSettings,
    sanitized,
};
use portico_vault::Secret;
use serde_json::Value;
use url::Url;

pub use super::answer::{RawAnswer, Step};
use super::client::KnownClient;
use super::failure::{Bearer, Disposition, Failure, Result};
use super::site::Site;
use crate::identity_provider::{Endpoints, Method as AuthorizationMethod, Options};
use crate::providers::discovery::DiscoveryError;

/// Members of requests that hold secrets: RFC 7591 section 2.3, RFC 6749 section 2.3.1, Keycloak's own.
const SECRET_MEMBERS: [&str; 3] = ["client_secret", "software_statement", "secret"];

/// Why an answer could not be kept. The call is then repeated or reconciled.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the answer could not be kept: {0}")]
pub struct SpoolError(pub String);

/// Keeps answers, encrypted and durable, before they are parsed.
#[async_trait]
pub trait Spool: Send + Sync {
    /// Keeps one answer; it is on disk when this returns.
    async fn keep(&self, answer: &RawAnswer) -> Result<(), SpoolError>;
}

/// Credentials of a client that may do more than RFC 7592 allows.
#[derive(Debug, Clone)]
pub struct Management {
    /// Client id at the provider.
    pub client_id: String,
    /// Client secret.
    pub client_secret: Secret,
}

/// Access to the network as the provider's settings allow it.
#[derive(Clone, Copy)]
pub struct Fetch<'a> {
    /// The checked way out.
    pub outgoing: &'a Outgoing,
    /// The provider's own switch; certificates are not verified where it is set.
    pub skip_tls_verify: bool,
    /// Certificates in PEM that are trusted beside the system's; may be empty.
    pub trusted_certificates: &'a str,
}

impl Fetch<'_> {
    /// Status and body of a GET without any token.
    pub(crate) async fn get(
        &self,
        url: &Url,
        deadline: Duration,
    ) -> Result<(u16, Vec<u8>), DiscoveryError> {
        let answer = self.get_unless(url, deadline, None).await?;
        Ok((answer.status.as_u16(), answer.body.to_vec()))
    }

    /// A GET without any token; 304 where `etag` is still right (RFC 9110 section 13.1.2).
    pub(crate) async fn get_unless(
        &self,
        url: &Url,
        deadline: Duration,
        etag: Option<HeaderValue>,
    ) -> Result<OutgoingResponse, DiscoveryError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(etag.map(|etag| (IF_NONE_MATCH, etag)));
        let request = OutgoingRequest {
            headers,
            ..self.request(Method::GET, url, deadline)
        };
        let answer = self.outgoing.send(request).await;
        answer.map_err(|error| match error {
            OutgoingError::Refused { .. } => DiscoveryError::AddressForbidden(error.to_string()),
            error => DiscoveryError::Unreachable(error.to_string()),
        })
    }

    fn request(&self, method: Method, url: &Url, deadline: Duration) -> OutgoingRequest {
        OutgoingRequest {
            timeout: Some(deadline),
            tls: TlsSettings {
                skip_verify: self.skip_tls_verify,
                ca_pem: (!self.trusted_certificates.is_empty())
                    .then(|| self.trusted_certificates.to_owned()),
            },
            ..OutgoingRequest::new(method, url.clone())
        }
    }
}

/// One provider as a worker sees it for one piece of work.
#[derive(Clone)]
pub struct Session<'a> {
    /// HTTP access as the provider's settings allow it.
    pub fetch: Fetch<'a>,
    /// From the verified well-known document.
    pub endpoints: &'a Endpoints,
    /// How the portal authorizes itself.
    pub method: AuthorizationMethod,
    /// What the admin said beyond that.
    pub options: &'a Options,
    /// The initial access token (RFC 7591 section 1.2), or the API token.
    pub token: Option<&'a Secret>,
    /// Beyond RFC 7592, where the admin gave them.
    pub management: Option<&'a Management>,
    /// RFC 7591 section 2.3.
    pub software_statement: Option<&'a Secret>,
    /// Secrets of the client that the work is about: answers to calls that do not carry them may quote them, too.
    pub client_secrets: Vec<Secret>,
    /// Where answers with credentials go first.
    pub spool: &'a dyn Spool,
    /// The hard deadline of each single call.
    pub deadline: Duration,
}

#[derive(Clone, Copy)]
pub(crate) enum Authorization<'a> {
    Nobody,
    Bearer(Bearer, &'a Secret),
    /// Okta's scheme for its API tokens.
    Ssws(&'a Secret),
    /// RFC 6749 section 2.3.1.
    Basic(&'a str, &'a Secret),
}

impl Authorization<'_> {
    fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Nobody => None,
            Self::Bearer(_, secret) | Self::Ssws(secret) | Self::Basic(_, secret) => Some(secret),
        }
    }

    pub(crate) fn bearer(&self) -> Bearer {
        match self {
            Self::Nobody | Self::Basic(..) => Bearer::None,
            Self::Bearer(bearer, _) => *bearer,
            Self::Ssws(_) => Bearer::Api,
        }
    }

    fn header(&self) -> Option<Result<HeaderValue>> {
        let text = match self {
            Self::Nobody => return None,
            Self::Bearer(_, token) => format!("Bearer {}", token.expose().trim()),
            Self::Ssws(token) => format!("SSWS {}", token.expose().trim()),
            Self::Basic(id, secret) => {
                let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
                format!("Basic {}", BASE64_STANDARD.encode(pair))
            }
        };
        let mut header = HeaderValue::try_from(text).map_err(|_| {
            let why = "the token holds characters that no HTTP header can carry";
            Failure::fail("token_malformed", why)
        });
        if let Ok(header) = &mut header {
            header.set_sensitive(true);
        }
        Some(header)
    }
}

pub(crate) enum Body {
    None,
    Json(Value),
    Form(Vec<(&'static str, String)>),
}

impl Body {
    /// Values of members that only the provider and Portico may know.
    fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::None => Vec::new(),
            Self::Json(body) => {
                let named = SECRET_MEMBERS
                    .iter()
                    .filter_map(|name| body.get(name)?.as_str());
                named.map(Secret::new).collect()
            }
            Self::Form(pairs) => {
                let named = pairs
                    .iter()
                    .filter(|(name, _)| SECRET_MEMBERS.contains(name));
                named
                    .map(|(_, value)| Secret::new(value.as_str()))
                    .collect()
            }
        }
    }

    fn encoded(self) -> Option<(&'static str, String)> {
        match self {
            Self::None => None,
            Self::Json(value) => Some(("application/json", value.to_string())),
            Self::Form(pairs) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(pairs);
                Some(("application/x-www-form-urlencoded", form.finish()))
            }
        }
    }
}

/// No answer came; what was asked may have been done unless it was never sent.
fn no_answer(error: &OutgoingError, step: Step, writes: bool) -> Failure {
    let is_too_large = matches!(error.cause(), OutgoingError::TooLarge { .. });
    // A success that cannot be read is one: to ask again could make another client.
    let is_unread = step.changes() && (error.is_success() || is_too_large);
    let (disposition, code) = match error.cause() {
        _ if is_unread => (Disposition::Fail, "provider_answer_invalid"),
        OutgoingError::Refused { .. } => (Disposition::Fail, "provider_address_forbidden"),
        OutgoingError::Connect { .. } => (Disposition::Retry, "provider_unreachable"),
        OutgoingError::Tls { .. } => (Disposition::Retry, "provider_tls_failed"),
        OutgoingError::Timeout(_) => (Disposition::Retry, "provider_timeout"),
        OutgoingError::TooLarge { .. } => (Disposition::Fail, "provider_answer_invalid"),
        OutgoingError::Protocol { .. } | OutgoingError::Unread { .. } => {
            (Disposition::Retry, "provider_connection_broke")
        }
    };
    let words = sanitized(&error.to_string(), &KnownSecrets::default());
    let mut failure = Failure::new(disposition, code, words);
    failure.outcome_unknown = writes && !error.never_sent();
    failure.unread = is_unread.then(|| error.to_string());
    failure
}

fn headers_of_interest(answer: &OutgoingResponse) -> Vec<(String, String)> {
    let of_interest = [
        "content-type",
        "retry-after",
        "date",
        "link",
        "www-authenticate",
        "x-rate-limit-reset",
        "x-ratelimit-reset",
    ];
    let values = of_interest.into_iter().flat_map(|name| {
        let values = answer.headers.get_all(name).iter();
        values.map(move |value| (name, value))
    });
    values
        .filter_map(|(name, value)| Some((name.to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl Session<'_> {
    /// The same, about a client: none of the secrets that are held of it is told, whatever answer quotes it.
    #[must_use]
    pub fn about(&self, client: &KnownClient) -> Self {
        let held = [&client.client_secret, &client.registration_access_token];
        Self {
            client_secrets: held.into_iter().flatten().cloned().collect(),
            ..self.clone()
        }
    }

    /// What a driver needs to say what it would send.
    #[must_use]
    pub fn site(&self) -> Site<'_> {
        Site {
            endpoints: self.endpoints,
            method: self.method,
            options: self.options,
            software_statement: self.software_statement.is_some(),
        }
    }

    /// Makes one call, spools its answer where it may hold credentials, and gives it back whatever its status.
    pub(crate) async fn call(
        &self,
        step: Step,
        method: Method,
        url: &Url,
        authorization: Authorization<'_>,
        body: Body,
    ) -> Result<RawAnswer> {
        if !self.endpoints.trusts(url) {
            return Err(Failure::fail(
                "endpoint_foreign_origin",
                format!(
                    "{} is not the provider's origin; no token is sent there",
                    url.origin().ascii_serialization()
                ),
            ));
        }
        let writes = method != Method::GET;
        let mut request = self.fetch.request(method, url, self.deadline);
        request.step = step.name();
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut sent = body.secrets();
        sent.extend(authorization.secret().cloned());
        // A provider remembers what it was sent by other calls.
        sent.extend(self.token.cloned());
        sent.extend(self.client_secrets.iter().cloned());
        sent.extend(
            self.management
                .map(|management| management.client_secret.clone()),
        );
        if let Some(authorization) = authorization.header() {
            request.headers.insert(AUTHORIZATION, authorization?);
        }
        if let Some((kind, body)) = body.encoded() {
            request
                .headers
                .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            request.body = body.into();
        }
        if step == Step::Register {
            fault::point("posting");
        }
        let answer = self.fetch.outgoing.send(request).await;
        let answer = answer.map_err(|error| no_answer(&error, step, writes))?;
        let answer = RawAnswer {
            step,
            status: answer.status.as_u16(),
            headers: headers_of_interest(&answer),
            body: answer.body.to_vec(),
            sent,
        };
        if step != Step::Other && answer.is_success() {
            self.spool.keep(&answer).await.map_err(|error| {
                Failure::new(Disposition::Retry, "spool_unavailable", error.to_string())
                    .unknown_outcome()
            })?;
        }
        Ok(answer)
    }
}
