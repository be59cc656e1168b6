//! A session cookie or a Bearer token becomes the signed identity that every service verifies.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum_extra::extract::CookieJar;
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use portico_proto::{
    Error, Kind,
    accounts::{
        self,
        v1::{
            AuthenticateRequest, AuthenticateResponse,
            accounts_service_client::AccountsServiceClient,
        },
    },
    time,
};
use portico_runtime::{Caller, Clock, Deps, IdentityKey, Role, ServiceChannel, ServiceName};
use portico_vault::Secret;
use sha2::{Digest as _, Sha256};
use tonic::metadata::{Ascii, MetadataValue};

use self::ended::Ended;
use crate::edge::remembered::Asked;

mod ended;

/// Identities in the cache; one is about 500 bytes.
const CAPACITY: usize = 10_000;
/// Tokens that accounts is asked about at the same time, each once, however many requests come with it.
const TURNS: usize = 256;
/// For others who ask about the same token.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer tokens are refused without a look-up.
const LONGEST_TOKEN: usize = 4096;

/// The credential of a request.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The request carries no credential.
    None,
    /// `Authorization: Bearer`: an API token, or a session's.
    Bearer(Secret),
    /// The session cookie.
    Cookie(Secret),
}

impl Credential {
    /// The token, whichever way it came.
    pub fn token(&self) -> Option<&Secret> {
        match self {
            Self::None => None,
            Self::Bearer(token) | Self::Cookie(token) => Some(token),
        }
    }
}

/// Who is signed in, and the proof of it for services.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The authenticated user.
    pub caller: Caller,
    /// For the metadata of calls to services.
    pub signed: MetadataValue<Ascii>,
}

/// Turns credentials into identities. Cheap to clone; clones share one cache.
#[derive(Clone)]
pub struct Auth {
    accounts: ServiceChannel,
    clock: Clock,
    edge: IdentityKey,
    cookies: Cookies,
    ended: Ended,
    known: Arc<Mutex<HashMap<[u8; 32], Known>>>,
    turns: Arc<[tokio::sync::Mutex<()>]>,
}

struct Known {
    identity: Identity,
    asked: Asked,
    ends: Timestamp,
}

impl Known {
    fn holds(&self, now: Asked) -> bool {
        self.asked.holds(now) && self.ends > now.at
    }
}

impl Auth {
    /// Asks accounts.
    pub fn new(deps: &Deps, cookies: Cookies) -> Self {
        Self {
            accounts: deps.channels.to(ServiceName::Accounts),
            clock: deps.clock.clone(),
            edge: deps.identity.clone(),
            cookies,
            ended: Ended::new(deps),
            known: Arc::default(),
            turns: (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect(),
        }
    }

    /// The credential of a request. An `Authorization` header that is not a Bearer token is refused even beside a
    /// cookie: who sends one means it to be used.
    ///
    /// # Errors
    /// `bearer_invalid`.
    pub fn credential(&self, headers: &HeaderMap) -> Result<Credential, Error> {
        if headers.contains_key(header::AUTHORIZATION) {
            return bearer(headers).map(Credential::Bearer);
        }
        Ok(match self.cookies.session(headers) {
            Some(token) => Credential::Cookie(token),
            None => Credential::None,
        })
    }

    /// Who sends a request. An expired cookie is treated as none, so that its owner can sign in again; an expired Bearer
    /// token is refused.
    ///
    /// # Errors
    /// `bearer_invalid`, or accounts is not available.
    pub async fn identify(&self, credential: &Credential) -> Result<Option<Identity>, Error> {
        let Some(token) = credential.token() else {
            return Ok(None);
        };
        match (self.authenticate(token).await, credential) {
            (Ok(identity), _) => Ok(Some(identity)),
            (Err(error), Credential::Cookie(_)) if error.kind == Kind::Unauthenticated => Ok(None),
            (Err(error), _) if error.kind == Kind::Unauthenticated => Err(refused_bearer()),
            (Err(error), _) => Err(error),
        }
    }

    async fn authenticate(&self, token: &Secret) -> Result<Identity, Error> {
        let digest = digest(token);
        if let Some(identity) = self.known(&digest) {
            return Ok(identity);
        }
        // Many requests at once with one token are one question; the first byte is below TURNS. Where accounts is slow, all
        // ask, so that nobody waits longer for it than it takes.
        let turn = self.turns[usize::from(digest[0])].lock();
        let _turn = tokio::time::timeout(PATIENCE, turn).await;
        if let Some(identity) = self.known(&digest) {
            return Ok(identity);
        }
        let asked = Asked::now(&self.clock, &self.accounts);
        let request = AuthenticateRequest {
            token: token.expose().to_owned(),
        };
        let request = self.edge.request(&Caller::service("edge"), request);
        let answer = AccountsServiceClient::new(self.accounts.clone())
            .authenticate(request)
            .await?
            .into_inner();
        let identity = Identity {
            caller: caller(&answer)?,
            signed: MetadataValue::try_from(answer.identity).map_err(|_| unreadable())?,
        };
        let ends = answer.expires_at.as_ref().and_then(time::from_proto);
        let known = Known {
            identity: identity.clone(),
            asked,
            ends: ends.unwrap_or(Timestamp::MAX),
        };
        self.remember(digest, known);
        Ok(identity)
    }

    fn known(&self, digest: &[u8; 32]) -> Option<Identity> {
        let now = Asked::now(&self.clock, &self.accounts);
        let all = self.lock();
        let known = all.get(digest).filter(|known| known.holds(now));
        known.map(|known| known.identity.clone())
    }

    fn remember(&self, digest: [u8; 32], known: Known) {
        let mut all = self.lock();
        if all.len() >= CAPACITY {
            all.retain(|_, other| other.holds(known.asked));
        }
        if all.len() >= CAPACITY {
            // More tokens within seconds than fit: asking accounts again is better than growing without a bound.
            all.clear();
        }
        all.insert(digest, known);
    }

    /// Returns when the credential is no longer valid, for streams that stay open; within two seconds. An outage of accounts
    /// does not end them.
    pub async fn until_signed_out(self, credential: Credential) {
        match credential.token() {
            Some(token) => self.ended.wait(token).await,
            None => std::future::pending().await,
        }
    }

    /// Names and attributes of cookies.
    pub fn cookies(&self) -> &Cookies {
        &self.cookies
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The Bearer token of RFC 6750 section 2.1; there must be exactly one.
fn bearer(headers: &HeaderMap) -> Result<Secret, Error> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err(refused_bearer());
    };
    let text = value.to_str().map_err(|_| refused_bearer())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(refused_bearer)?;
    let token = token.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if !scheme.eq_ignore_ascii_case("bearer")
        || token.is_empty()
        || token.len() > LONGEST_TOKEN
        || !token.chars().all(allowed)
    {
        return Err(refused_bearer());
    }
    Ok(Secret::new(token))
}

fn refused_bearer() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "bearer_invalid",
        "The Authorization header must contain a valid Bearer token. Sign in again or create a new API token.",
    )
}

fn caller(answer: &AuthenticateResponse) -> Result<Caller, Error> {
    let role = match answer.role() {
        accounts::v1::Role::Admin => Role::Admin,
        accounts::v1::Role::Developer => Role::Developer,
        accounts::v1::Role::Unspecified => return Err(unreadable()),
    };
    let id = answer.user_id.parse().map_err(|_| unreadable())?;
    let let_in = answer.let_in;
    Ok(Caller::User { id, role, let_in })
}

fn unreadable() -> Error {
    tracing::error!("accounts answered with an identity that cannot be read");
    Error::internal()
}

fn digest(token: &Secret) -> [u8; 32] {
    Sha256::digest(token.expose().as_bytes()).into()
}

/// Names and attributes of our cookies. Under https the names have the prefix `__Host-`, which binds them to
/// this host and to encrypted connections (RFC 6265bis section 4.1.3.2).
#[derive(Debug, Clone, Copy)]
pub struct Cookies {
    https: bool,
}

impl Cookies {
    /// For a portal that is reached under https, or not.
    pub fn new(https: bool) -> Self {
        Self { https }
    }

    /// Name of the session cookie.
    pub fn session_name(self) -> &'static str {
        if self.https {
            "__Host-portico_session"
        } else {
            "portico_session"
        }
    }

    /// Name of the cookie with a random value that visitors have before there is a session; their CSRF tokens are derived
    /// from it.
    pub fn visit_name(self) -> &'static str {
        if self.https {
            "__Host-portico_visit"
        } else {
            "portico_visit"
        }
    }

    /// The session token of a request.
    pub fn session(self, headers: &HeaderMap) -> Option<Secret> {
        Self::value(headers, self.session_name())
    }

    /// The visit value of a request.
    pub fn visit(self, headers: &HeaderMap) -> Option<Secret> {
        Self::value(headers, self.visit_name())
    }

    fn value(headers: &HeaderMap, name: &str) -> Option<Secret> {
        let jar = CookieJar::from_headers(headers);
        let value = jar.get(name)?.value();
        (!value.is_empty() && value.len() <= LONGEST_TOKEN).then(|| Secret::new(value))
    }

    /// `Set-Cookie` with the session token, for as long as the session lasts.
    ///
    /// # Errors
    /// The token is none of ours: it has characters that a cookie cannot have.
    pub fn set_session(self, token: &str, lasts: Duration) -> Result<HeaderValue, Error> {
        self.set(
            self.session_name(),
            token,
            &format!("; Max-Age={}", lasts.as_secs()),
        )
    }

    /// `Set-Cookie` that ends the session cookie.
    ///
    /// # Errors
    /// None in practice.
    pub fn clear_session(self) -> Result<HeaderValue, Error> {
        self.set(self.session_name(), "", "; Max-Age=0")
    }

    /// `Set-Cookie` with a visit value, until the browser is closed.
    ///
    /// # Errors
    /// The value has characters that a cookie cannot have.
    pub fn set_visit(self, value: &str) -> Result<HeaderValue, Error> {
        self.set(self.visit_name(), value, "")
    }

    /// `Set-Cookie` with the visit value of somebody who has signed in, for so long: it marks the browser as theirs, and
    /// failures elsewhere do not keep them out there.
    ///
    /// # Errors
    /// The value has characters that a cookie cannot have.
    pub fn keep_visit(self, value: &str, lasts: Duration) -> Result<HeaderValue, Error> {
        let lasts = format!("; Max-Age={}", lasts.as_secs());
        self.set(self.visit_name(), value, &lasts)
    }

    fn set(self, name: &str, value: &str, lasts: &str) -> Result<HeaderValue, Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        if !value.chars().all(allowed) {
            return Err(unreadable());
        }
        let secure = if self.https { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{lasts}");
        let mut header = HeaderValue::try_from(text).map_err(|_| unreadable())?;
        header.set_sensitive(true);
        Ok(header)
    }
}
