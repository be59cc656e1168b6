//! The calls to one provider: their deadline, which token they carry, where it
//! may go, and the spool that every answer with credentials passes first.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use portico_runtime::fault;
use portico_runtime::outgoing::{
    Outgoing, OutgoingError, OutgoingRequest, OutgoingResponse, TlsSettings,
};
use portico_vault::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::discovery::{DiscoveryError, Endpoints};
use super::failure::{Bearer, Disposition, Failure, refusal, sanitized};

/// What a call was for; decides how its answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// RFC 7591 section 3.1.
    Register,
    /// RFC 7592 section 2.1. Its answer never changes a secret.
    Read,
    /// RFC 7592 section 2.2.
    Update,
    /// A new client secret.
    Rotate,
    /// A new registration access token by the management credentials.
    Reissue,
    /// Brings nothing to keep; never spooled.
    Other,
}

/// An answer as it came, before anything of it was understood. It may hold
/// secrets: `Debug` shows none, and it is stored encrypted only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawAnswer {
    /// What the call was for.
    pub step: Step,
    /// HTTP status.
    pub status: u16,
    /// The headers of interest, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, base64 in the serialized form.
    #[serde(with = "base64_body")]
    pub body: Vec<u8>,
}

impl RawAnswer {
    /// An answer without headers.
    #[must_use]
    pub fn new(step: Step, status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            step,
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// The form in which a spool keeps it.
    ///
    /// # Errors
    /// None that this type can give.
    pub fn to_secret(&self) -> serde_json::Result<Secret> {
        serde_json::to_string(self).map(Secret::new)
    }

    /// Reads what [`RawAnswer::to_secret`] gave.
    ///
    /// # Errors
    /// The text is something else.
    pub fn from_secret(secret: &Secret) -> serde_json::Result<Self> {
        serde_json::from_str(secret.expose())
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found == name)?;
        Some(value.trim())
    }

    /// Retry-After (RFC 9110 section 10.2.3), as seconds or as a date, which is
    /// compared with the answer's own; a day at most.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?;
        let seconds = match value.parse::<u64>() {
            Ok(seconds) => seconds,
            Err(_) => {
                let until = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
                let date = jiff::fmt::rfc2822::parse(self.header("date")?)
                    .ok()?
                    .timestamp();
                u64::try_from(until.duration_since(date).as_secs()).unwrap_or(0)
            }
        };
        Some(Duration::from_secs(seconds.min(86_400)))
    }
}

impl fmt::Debug for RawAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawAnswer")
            .field("step", &self.step)
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

mod base64_body {
    use super::{BASE64_STANDARD, Deserialize};
    use base64::Engine as _;

    pub(super) fn serialize<S: serde::Serializer>(body: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&BASE64_STANDARD.encode(body))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        BASE64_STANDARD
            .decode(text)
            .map_err(serde::de::Error::custom)
    }
}

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
    /// Its id at the provider.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

/// Access to the network as the provider's settings allow it.
#[derive(Clone, Copy)]
pub struct Fetch<'a> {
    /// The checked way out.
    pub outgoing: &'a Outgoing,
    /// The provider's own switch; certificates are not verified where it is set.
    pub skip_tls_verify: bool,
}

impl Fetch<'_> {
    /// Status and body of a GET without any token.
    pub(crate) async fn get(
        &self,
        url: &Url,
        deadline: Duration,
    ) -> Result<(u16, Vec<u8>), DiscoveryError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = OutgoingRequest {
            headers,
            ..self.request(Method::GET, url, deadline)
        };
        let answer = self
            .outgoing
            .send(request)
            .await
            .map_err(|error| match error {
                OutgoingError::Refused { .. } => {
                    DiscoveryError::AddressForbidden(error.to_string())
                }
                error => DiscoveryError::Unreachable(error.to_string()),
            })?;
        Ok((answer.status.as_u16(), answer.body.to_vec()))
    }

    fn request(&self, method: Method, url: &Url, deadline: Duration) -> OutgoingRequest {
        OutgoingRequest {
            timeout: Some(deadline),
            tls: TlsSettings {
                skip_verify: self.skip_tls_verify,
                ca_pem: None,
            },
            ..OutgoingRequest::new(method, url.clone())
        }
    }
}

/// One provider as a worker sees it for one piece of work.
pub struct Session<'a> {
    /// The network.
    pub fetch: Fetch<'a>,
    /// From the verified well-known document.
    pub endpoints: &'a Endpoints,
    /// RFC 7591 section 1.2.
    pub initial_access_token: Option<&'a Secret>,
    /// Beyond RFC 7592, where the admin gave them.
    pub management: Option<&'a Management>,
    /// Where answers with credentials go first.
    pub spool: &'a dyn Spool,
    /// The hard deadline of each single call.
    pub deadline: Duration,
}

/// One call.
pub(crate) struct Call<'a> {
    pub(crate) step: Step,
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) authorization: Authorization<'a>,
    pub(crate) body: Body,
}

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) enum Authorization<'a> {
    Nobody,
    Bearer(Bearer, &'a Secret),
    /// RFC 6749 section 2.3.1.
    Basic(&'a str, &'a Secret),
}

impl Authorization<'_> {
    pub(crate) fn bearer(&self) -> Bearer {
        match self {
            Self::Nobody | Self::Basic(..) => Bearer::None,
            Self::Bearer(bearer, _) => *bearer,
        }
    }

    fn header(&self) -> Option<Result<HeaderValue, Failure>> {
        let text = match self {
            Self::Nobody => return None,
            Self::Bearer(_, token) => format!("Bearer {}", token.expose().trim()),
            Self::Basic(id, secret) => {
                let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
                format!("Basic {}", BASE64_STANDARD.encode(pair))
            }
        };
        let mut header = HeaderValue::try_from(text).map_err(|_| {
            let why = "the token holds characters that no HTTP header can carry";
            Failure::new(Disposition::Fail, "token_malformed", why)
        });
        if let Ok(header) = &mut header {
            header.set_sensitive(true);
        }
        Some(header)
    }
}

/// What is sent.
pub(crate) enum Body {
    None,
    Json(Value),
    Form(Vec<(&'static str, String)>),
}

impl Body {
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
fn no_answer(error: &OutgoingError, writes: bool) -> Failure {
    let (disposition, code) = match error {
        OutgoingError::Refused { .. } => (Disposition::Fail, "provider_address_forbidden"),
        OutgoingError::Connect { .. } => (Disposition::Retry, "provider_unreachable"),
        OutgoingError::Tls { .. } => (Disposition::Retry, "provider_tls_failed"),
        OutgoingError::Timeout(_) => (Disposition::Retry, "provider_timeout"),
        OutgoingError::TooLarge { .. } => (Disposition::Fail, "provider_answer_invalid"),
        OutgoingError::Protocol { .. } => (Disposition::Retry, "provider_connection_broke"),
    };
    let mut failure = Failure::new(disposition, code, sanitized(&error.to_string()));
    failure.outcome_unknown = writes && !error.never_sent();
    failure
}

fn headers_of_interest(answer: &OutgoingResponse) -> Vec<(String, String)> {
    ["content-type", "retry-after", "date"]
        .into_iter()
        .filter_map(|name| {
            let value = answer.headers.get(name)?.to_str().ok()?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl Session<'_> {
    /// Makes one call, spools its answer where it may hold credentials, and gives
    /// it back whatever its status.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<RawAnswer, Failure> {
        if !self.endpoints.trusts(call.url) {
            return Err(Failure::new(
                Disposition::Fail,
                "endpoint_foreign_origin",
                format!(
                    "{} is not the provider's origin; no token is sent there",
                    call.url.origin().ascii_serialization()
                ),
            ));
        }
        let step = call.step;
        let writes = call.method != Method::GET;
        let mut request = self.fetch.request(call.method, call.url, self.deadline);
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = call.authorization.header() {
            request.headers.insert(AUTHORIZATION, authorization?);
        }
        if let Some((kind, body)) = call.body.encoded() {
            request
                .headers
                .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            request.body = body.into();
        }
        if step == Step::Register {
            fault::point("posting");
        }
        let answer = self.fetch.outgoing.send(request).await;
        let answer = answer.map_err(|error| no_answer(&error, writes))?;
        let answer = RawAnswer {
            step,
            status: answer.status.as_u16(),
            headers: headers_of_interest(&answer),
            body: answer.body.to_vec(),
        };
        if step != Step::Other && answer.is_success() {
            self.spool.keep(&answer).await.map_err(|error| {
                Failure::new(Disposition::Retry, "spool_unavailable", error.to_string())
                    .unknown_outcome()
            })?;
        }
        Ok(answer)
    }

    /// A token request by client credentials (RFC 6749 section 4.4), whatever it
    /// is answered with. `post` sends them in the body instead of the header.
    pub(crate) async fn token_request(
        &self,
        client_id: &str,
        client_secret: &Secret,
        post: bool,
    ) -> Result<RawAnswer, Failure> {
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        let mut authorization = Authorization::Basic(client_id, client_secret);
        if post {
            form.push(("client_id", client_id.to_owned()));
            form.push(("client_secret", client_secret.expose().to_owned()));
            authorization = Authorization::Nobody;
        }
        self.call(Call {
            step: Step::Other,
            method: Method::POST,
            url: &self.endpoints.token_endpoint,
            authorization,
            body: Body::Form(form),
        })
        .await
    }

    /// A fresh access token of the management credentials, where there are any.
    pub(crate) async fn management_token(&self) -> Result<Option<Secret>, Failure> {
        let Some(management) = self.management else {
            return Ok(None);
        };
        let answer = self
            .token_request(&management.client_id, &management.client_secret, false)
            .await?;
        if !answer.is_success() {
            return Err(refusal(&answer, Bearer::Management));
        }
        let token = answer.json().and_then(|body| {
            let token = body.get("access_token")?.as_str()?;
            (!token.is_empty()).then(|| Secret::new(token))
        });
        token.map(Some).ok_or_else(|| {
            Failure::new(
                Disposition::Retry,
                "token_answer_invalid",
                "the token endpoint answered without an access_token",
            )
        })
    }
}
