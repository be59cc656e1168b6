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
        v1::{AuthenticateRequest, accounts_service_client::AccountsServiceClient},
    },
    time,
};
use portico_runtime::{Caller, Channels, Clock, IdentityKey, Role, ServiceName};
use portico_vault::Secret;
use sha2::{Digest as _, Sha256};
use tonic::metadata::{Ascii, MetadataValue};

/// How long an answer of accounts is believed: as long a suspended user can go on at most.
const BELIEVED: Duration = Duration::from_secs(5);
/// Identities kept at once; one is about 500 bytes.
const KEPT: usize = 10_000;
/// How often a stream that stays open asks whether the session still holds.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// The longest token that is worth looking up.
const LONGEST_TOKEN: usize = 4096;

/// What a request brought to say who sends it.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing.
    None,
    /// `Authorization: Bearer`: an API token, or a session's.
    Bearer(Secret),
    /// The session cookie.
    Cookie(Secret),
}

impl Credential {
    /// The token, wherever it stood.
    pub fn token(&self) -> Option<&Secret> {
        match self {
            Self::None => None,
            Self::Bearer(token) | Self::Cookie(token) => Some(token),
        }
    }
}

/// Somebody signed in.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who.
    pub caller: Caller,
    /// For the metadata of calls to services.
    pub signed: MetadataValue<Ascii>,
}

/// Turns credentials into identities. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct Auth {
    channels: Channels,
    clock: Clock,
    edge: IdentityKey,
    cookies: Cookies,
    known: Arc<Mutex<HashMap<[u8; 32], Known>>>,
}

struct Known {
    identity: Identity,
    until: Timestamp,
}

impl Auth {
    /// Asks accounts over these channels.
    pub fn new(channels: Channels, clock: Clock, edge: IdentityKey, cookies: Cookies) -> Self {
        Self {
            channels,
            clock,
            edge,
            cookies,
            known: Arc::default(),
        }
    }

    /// What a request brought. A header `Authorization` that is no Bearer token is refused, also where there is
    /// a cookie beside it: who sends one means it.
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

    /// Who sends a request. An outdated cookie is nobody, so that its owner can sign in again; an outdated
    /// Bearer token is refused.
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
        let now = self.clock.now();
        let known = self
            .lock()
            .get(&digest)
            .filter(|known| known.until > now)
            .map(|k| k.identity.clone());
        if let Some(identity) = known {
            return Ok(identity);
        }
        let request = AuthenticateRequest {
            token: token.expose().to_owned(),
        };
        let request = self.edge.request(&Caller::service("edge"), request);
        let answer = AccountsServiceClient::new(self.channels.to(ServiceName::Accounts))
            .authenticate(request)
            .await?
            .into_inner();
        let identity = Identity {
            caller: caller(&answer.user_id, answer.role())?,
            signed: MetadataValue::try_from(answer.identity).map_err(|_| unreadable())?,
        };
        let latest = later(now, BELIEVED);
        let ends = answer.expires_at.as_ref().and_then(time::from_proto);
        let until = ends.map_or(latest, |ends| ends.min(latest));
        self.remember(
            digest,
            Known {
                identity: identity.clone(),
                until,
            },
            now,
        );
        Ok(identity)
    }

    fn remember(&self, digest: [u8; 32], known: Known, now: Timestamp) {
        let mut all = self.lock();
        if all.len() >= KEPT {
            all.retain(|_, known| known.until > now);
        }
        if all.len() >= KEPT {
            // More tokens within seconds than we keep: better slow than without a bound.
            all.clear();
        }
        all.insert(digest, known);
    }

    /// No longer believes in a token: it was signed out.
    pub fn forget(&self, token: &Secret) {
        self.lock().remove(&digest(token));
    }

    /// No longer believes in any token of a user: suspended, erased, or a token revoked.
    pub fn forget_user(&self, user_id: &str) {
        let Ok(id) = user_id.parse::<uuid::Uuid>() else {
            return;
        };
        self.lock().retain(
            |_, known| !matches!(known.identity.caller, Caller::User { id: of, .. } if of == id),
        );
    }

    /// Returns when the token no longer stands for anybody; for streams that stay open. An outage of accounts
    /// does not end them.
    pub async fn until_signed_out(self, credential: Credential) {
        loop {
            self.clock.sleep(ASK_AGAIN).await;
            match self.identify(&credential).await {
                Ok(None) => return,
                Err(error) if error.kind == Kind::Unauthenticated => return,
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }

    /// How cookies are named and written.
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
        "The header Authorization must be `Bearer` and a token that is valid: sign in again, or make a new API token.",
    )
}

fn caller(user_id: &str, role: accounts::v1::Role) -> Result<Caller, Error> {
    let role = match role {
        accounts::v1::Role::Admin => Role::Admin,
        accounts::v1::Role::Developer => Role::Developer,
        accounts::v1::Role::Unspecified => return Err(unreadable()),
    };
    let id = user_id.parse().map_err(|_| unreadable())?;
    Ok(Caller::User { id, role })
}

fn unreadable() -> Error {
    tracing::error!("accounts answered with an identity that cannot be read");
    Error::internal()
}

fn digest(token: &Secret) -> [u8; 32] {
    Sha256::digest(token.expose().as_bytes()).into()
}

fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
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

    /// Name of the cookie with a random value that a visitor has before there is a session; forms of visitors
    /// are tied to it.
    pub fn visit_name(self) -> &'static str {
        if self.https {
            "__Host-portico_visit"
        } else {
            "portico_visit"
        }
    }

    /// The session token that a request brought.
    pub fn session(self, headers: &HeaderMap) -> Option<Secret> {
        Self::value(headers, self.session_name())
    }

    /// The visit value that a request brought.
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
    /// None in fact; for symmetry.
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
