//! The signed identity of a caller. The edge makes it from a session or API token; every service verifies it.
//!
//! The identity is a compact JWS (RFC 7515, HS256) in the metadata `x-portico-identity`, valid for seconds. Its
//! key is derived from the key-encryption key, which all services of an installation share.

use std::{ops::Not, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use portico_proto::{Error, Kind};
use serde::{Deserialize, Serialize};
use tonic::{Status, metadata::MetadataValue};
use uuid::Uuid;

use crate::Clock;

/// Metadata key of the signed identity.
pub const HEADER: &str = "x-portico-identity";
/// How long an identity is valid.
pub const LIFETIME: Duration = Duration::from_secs(60);

/// Role of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Configures, approves, revokes; sees all.
    Admin,
    /// Asks for access; sees what is theirs.
    Developer,
}

impl Role {
    /// As in REST and gRPC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Developer => "developer",
        }
    }
}

/// The verified caller of a gRPC method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody has signed in.
    Anonymous,
    /// A person or their program.
    User {
        /// Id of the user at accounts.
        id: Uuid,
        /// Role of the user when the identity was signed.
        role: Role,
        /// Whether they may see what is internal. Admins do by their role, whatever it says here.
        let_in: bool,
    },
    /// Another service, on its own account.
    Service(String),
}

impl Caller {
    /// A service of this installation.
    pub fn service(name: &str) -> Self {
        Self::Service(name.to_owned())
    }

    /// The caller that the middleware verified; anonymous where there is none.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .unwrap_or(Self::Anonymous)
    }

    /// For event metadata: the user's id, `service:<name>` or `anonymous`.
    pub fn actor(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::User { id, .. } => id.to_string(),
            Self::Service(name) => format!("service:{name}"),
        }
    }

    /// Whether it is an admin or a service.
    pub fn sees_all(&self) -> bool {
        matches!(
            self,
            Self::User {
                role: Role::Admin,
                ..
            } | Self::Service(_)
        )
    }

    /// The user's id; anonymous callers are told to sign in, services that this is for users.
    pub fn require_user(&self) -> Result<(Uuid, Role), Error> {
        match self {
            Self::User { id, role, .. } => Ok((*id, *role)),
            Self::Anonymous => Err(unauthenticated()),
            Self::Service(_) => Err(forbidden("This is for users, not for services.")),
        }
    }

    /// An admin's id.
    pub fn require_admin(&self) -> Result<Uuid, Error> {
        match self.require_user()? {
            (id, Role::Admin) => Ok(id),
            _ => Err(forbidden("Only an admin may do this.")),
        }
    }

    /// An admin, or another service.
    pub fn require_admin_or_service(&self) -> Result<(), Error> {
        match self {
            Self::Service(_) => Ok(()),
            _ => self.require_admin().map(|_| ()),
        }
    }

    /// Somebody: a user or a service.
    pub fn require_known(&self) -> Result<(), Error> {
        match self {
            Self::Anonymous => Err(unauthenticated()),
            _ => Ok(()),
        }
    }

    /// Another service.
    pub fn require_service(&self) -> Result<(), Error> {
        match self {
            Self::Service(_) => Ok(()),
            Self::Anonymous => Err(unauthenticated()),
            Self::User { .. } => Err(forbidden("Only a service may do this.")),
        }
    }
}

pub(crate) fn unauthenticated() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "unauthenticated",
        "Sign in, or send an API token as Bearer.",
    )
}

pub(crate) fn forbidden(message: &str) -> Error {
    Error::new(Kind::Forbidden, "forbidden", message)
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    /// RFC 7519 section 4.1.3.
    aud: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(default, skip_serializing_if = "Not::not")]
    let_in: bool,
    iat: i64,
    exp: i64,
}

const ISSUER: &str = "portico";
/// The services of an installation. What the same key may sign one day for somebody else is refused by them.
const AUDIENCE: &str = "portico-services";
/// How far the clocks of two machines may differ, in seconds.
const LEEWAY: i64 = 5;
const SERVICE_PREFIX: &str = "service:";

/// Signs and verifies identities.
#[derive(Clone)]
pub struct IdentityKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    clock: Clock,
}

impl IdentityKey {
    /// From 32 bytes derived from the key-encryption key.
    pub fn new(key: &[u8; 32], clock: Clock) -> Self {
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            clock,
        }
    }

    /// Signs the identity of a caller; `None` for an anonymous one.
    pub fn sign(&self, caller: &Caller) -> Option<String> {
        let (sub, role, let_in) = match caller {
            Caller::Anonymous => return None,
            Caller::User { id, role, let_in } => (id.to_string(), Some(*role), *let_in),
            Caller::Service(name) => (format!("{SERVICE_PREFIX}{name}"), None, false),
        };
        let iat = self.clock.now().as_second();
        let exp = iat + LIFETIME.as_secs() as i64;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub,
            role,
            let_in,
            iat,
            exp,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).ok()
    }

    /// Verifies a signed identity.
    pub fn verify(&self, identity: &str) -> Result<Caller, Error> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Checked below against the injected clock.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(identity, &self.decoding, &validation)
            .map_err(|_| unauthenticated())?
            .claims;
        let now = self.clock.now().as_second();
        // However long the signer wanted it to be valid: an identity is for one call or for seconds.
        let ends = claims
            .exp
            .min(claims.iat.saturating_add(LIFETIME.as_secs() as i64));
        if ends.saturating_add(LEEWAY) < now || claims.iat > now + LEEWAY {
            return Err(unauthenticated());
        }
        if let Some(name) = claims.sub.strip_prefix(SERVICE_PREFIX) {
            return Ok(Caller::service(name));
        }
        match (claims.sub.parse(), claims.role) {
            (Ok(id), Some(role)) => Ok(Caller::User {
                id,
                role,
                let_in: claims.let_in,
            }),
            _ => Err(unauthenticated()),
        }
    }

    /// A gRPC request in the caller's name.
    pub fn request<T>(&self, caller: &Caller, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(identity) = self.sign(caller)
            && let Ok(value) = MetadataValue::try_from(identity)
        {
            request.metadata_mut().insert(HEADER, value);
        }
        request
    }
}

/// Axum middleware of every service: an invalid identity is refused, a missing one is anonymous.
pub async fn verify(State(key): State<IdentityKey>, mut request: Request, next: Next) -> Response {
    let caller = match request.headers().get(HEADER).map(|value| value.to_str()) {
        None => Caller::Anonymous,
        Some(Ok(identity)) => match key.verify(identity) {
            Ok(caller) => caller,
            Err(error) => {
                return Status::from(error)
                    .into_http::<axum::body::Body>()
                    .into_response();
            }
        },
        Some(Err(_)) => {
            return Status::from(unauthenticated())
                .into_http::<axum::body::Body>()
                .into_response();
        }
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: u8, at: &str) -> IdentityKey {
        IdentityKey::new(&[bytes; 32], Clock::fixed(at.parse().unwrap()))
    }

    #[test]
    fn an_identity_is_valid_for_a_minute_and_under_its_key() {
        let caller = Caller::User {
            id: Uuid::from_u128(7),
            role: Role::Admin,
            let_in: true,
        };
        let signed = key(1, "2026-01-01T00:00:00Z").sign(&caller).unwrap();
        assert_eq!(key(1, "2026-01-01T00:00:59Z").verify(&signed), Ok(caller));
        assert_eq!(
            key(2, "2026-01-01T00:00:00Z")
                .verify(&signed)
                .unwrap_err()
                .kind,
            Kind::Unauthenticated
        );
        assert_eq!(
            key(1, "2026-01-01T00:02:00Z")
                .verify(&signed)
                .unwrap_err()
                .kind,
            Kind::Unauthenticated
        );
        assert_eq!(
            key(1, "2025-12-31T23:58:00Z")
                .verify(&signed)
                .unwrap_err()
                .kind,
            Kind::Unauthenticated
        );
    }

    #[test]
    fn an_identity_is_for_services_and_never_older_than_a_minute() {
        let k = key(1, "2026-01-01T00:10:00Z");
        let now = k.clock.now().as_second();
        let signed = |change: fn(&mut serde_json::Value), iat: i64| {
            let mut claims = serde_json::json!({
                "iss": ISSUER, "aud": AUDIENCE, "sub": "service:registration", "iat": iat, "exp": now + 3600,
            });
            change(&mut claims);
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &k.encoding).unwrap()
        };
        assert!(k.verify(&signed(|_| {}, now - 60)).is_ok());
        let refused = [
            signed(|_| {}, now - 66),
            signed(|claims| claims["exp"] = 1.into(), now),
            signed(|claims| claims["aud"] = "somebody-else".into(), now),
            signed(|claims| claims["iss"] = "somebody-else".into(), now),
            signed(
                |claims| drop(claims.as_object_mut().unwrap().remove("aud")),
                now,
            ),
        ];
        for identity in refused {
            assert_eq!(
                k.verify(&identity).unwrap_err().kind,
                Kind::Unauthenticated,
                "{identity}"
            );
        }
    }

    #[test]
    fn who_is_let_in_is_signed_with_it() {
        let k = key(1, "2026-01-01T00:00:00Z");
        for let_in in [false, true] {
            let caller = Caller::User {
                id: Uuid::from_u128(7),
                role: Role::Developer,
                let_in,
            };
            assert_eq!(k.verify(&k.sign(&caller).unwrap()), Ok(caller));
        }
    }

    #[test]
    fn a_service_is_not_a_user() {
        let k = key(1, "2026-01-01T00:00:00Z");
        let caller = k
            .verify(&k.sign(&Caller::service("registration")).unwrap())
            .unwrap();
        assert_eq!(caller, Caller::service("registration"));
        assert_eq!(caller.require_user().unwrap_err().kind, Kind::Forbidden);
    }
}
