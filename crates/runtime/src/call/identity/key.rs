//! Signs and verifies identities.

use std::{fmt::Write as _, ops::Not, time::Duration};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode_header, errors::ErrorKind,
};
use portico_proto::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tonic::metadata::MetadataValue;

use super::{Caller, HEADER, Role, unauthenticated};
use crate::Clock;

/// How long an identity is valid.
pub const LIFETIME: Duration = Duration::from_secs(60);
/// The usual [`IdentityKey::tolerating`].
const TOLERANCE: Duration = Duration::from_secs(5);
const ISSUER: &str = "portico";
/// The services of an installation. What the same key may sign one day for somebody else is refused by them.
const AUDIENCE: &str = "portico-services";
const SERVICE_PREFIX: &str = "service:";

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

/// Why an identity is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is none, or not for the services of this installation.
    Invalid,
    /// It was signed by a key that is not known here: of this id, if it says so.
    UnknownKey(Option<String>),
    /// By the clock here it was signed so many seconds in the future, or, negative, ended so many seconds ago.
    Clock(i64),
}

impl From<Refusal> for Error {
    /// The last two are faults of an installation. Whoever is signed in cannot mend them by signing in again, so they are
    /// not `Unauthenticated`.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid => unauthenticated(),
            Refusal::UnknownKey(_) => Self::unavailable(
                "identity_key_unknown",
                "Two parts of Portico have different identity keys, so one refuses the calls of the other; the \
                 operator finds them in the log.",
            ),
            Refusal::Clock(seconds) => Self::unavailable(
                "clock_differs",
                format!(
                    "The clocks of two parts of Portico differ, by {} seconds or more, so one refuses the calls of the \
                     other; the operator finds them in the log.",
                    seconds.unsigned_abs()
                ),
            ),
        }
    }
}

/// A key and its name, which may be shown.
#[derive(Clone)]
struct Known {
    id: String,
    decoding: DecodingKey,
}

impl Known {
    fn new(key: &[u8; 32]) -> Self {
        let digest = Sha256::new_with_prefix(b"portico/identity-key/id")
            .chain_update(key)
            .finalize();
        let id = digest[..4].iter().fold(String::new(), |mut id, byte| {
            // Writing to a String cannot fail.
            let _ = write!(id, "{byte:02x}");
            id
        });
        Self {
            id,
            decoding: DecodingKey::from_secret(key),
        }
    }
}

/// Signs identities, and verifies them. Cheap to clone.
#[derive(Clone)]
pub struct IdentityKey {
    encoding: EncodingKey,
    /// The one that signs, then the others.
    known: Vec<Known>,
    clock: Clock,
    tolerance: i64,
}

impl IdentityKey {
    /// Signs with this key, and verifies with no other one.
    pub fn new(key: &[u8; 32], clock: Clock) -> Self {
        Self {
            encoding: EncodingKey::from_secret(key),
            known: vec![Known::new(key)],
            clock,
            tolerance: 0,
        }
        .tolerating(TOLERANCE)
    }

    /// Verifies with these as well: the next key and the former one, while it is being changed.
    #[must_use]
    pub fn accepting<'a>(mut self, others: impl IntoIterator<Item = &'a [u8; 32]>) -> Self {
        self.known.extend(others.into_iter().map(Known::new));
        self
    }

    /// How far the clock of who signed may be from this one; in whole seconds.
    #[must_use]
    pub fn tolerating(mut self, difference: Duration) -> Self {
        self.tolerance = i64::try_from(difference.as_secs()).unwrap_or(i64::MAX);
        self
    }

    /// Names of the keys that it knows, the one that signs first; they tell nothing of the keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(|key| key.id.as_str())
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
        let mut header = Header::new(Algorithm::HS256);
        header.kid = self.known.first().map(|key| key.id.clone());
        jsonwebtoken::encode(&header, &claims, &self.encoding).ok()
    }

    /// Verifies a signed identity.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn verify(&self, identity: &str) -> Result<Caller, Refusal> {
        let claims = self.signed(identity)?;
        let now = self.clock.now().as_second();
        // However long the signer wanted it to be valid: an identity is for one call or for seconds.
        let ends = claims
            .exp
            .min(claims.iat.saturating_add(LIFETIME.as_secs() as i64));
        if ends.saturating_add(self.tolerance) < now {
            return Err(Refusal::Clock(ends.saturating_sub(now)));
        }
        if claims.iat > now.saturating_add(self.tolerance) {
            return Err(Refusal::Clock(claims.iat.saturating_sub(now)));
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
            _ => Err(Refusal::Invalid),
        }
    }

    /// What it says, if a known key has signed it for us.
    fn signed(&self, identity: &str) -> Result<Claims, Refusal> {
        let header = decode_header(identity).map_err(|_| Refusal::Invalid)?;
        let known = |id: &str| self.known.iter().find(|key| key.id == id);
        let Some(key) = header.kid.as_deref().and_then(known) else {
            return Err(Refusal::UnknownKey(header.kid.filter(|id| is_id(id))));
        };
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Checked against the injected clock.
        validation.validate_exp = false;
        jsonwebtoken::decode::<Claims>(identity, &key.decoding, &validation)
            .map(|token| token.claims)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => Refusal::UnknownKey(None),
                _ => Refusal::Invalid,
            })
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

/// Whether it is the name of a key. Nothing else of what was not verified comes into the log.
fn is_id(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use portico_proto::Kind;
    use uuid::Uuid;

    use super::*;

    fn key(byte: u8, at: &str) -> IdentityKey {
        IdentityKey::new(&[byte; 32], Clock::fixed(at.parse().unwrap()))
    }

    const NOW: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn an_identity_is_valid_for_a_minute_and_under_its_key() {
        let caller = Caller::User {
            id: Uuid::from_u128(7),
            role: Role::Admin,
            let_in: true,
        };
        let signed = key(1, NOW).sign(&caller).unwrap();
        let verified = |byte, at| key(byte, at).verify(&signed);
        assert_eq!(verified(1, "2026-01-01T00:00:59Z"), Ok(caller.clone()));
        assert_eq!(verified(1, "2026-01-01T00:01:05Z"), Ok(caller.clone()));
        assert_eq!(verified(1, "2025-12-31T23:59:55Z"), Ok(caller));
        assert_eq!(verified(1, "2026-01-01T00:01:06Z"), Err(Refusal::Clock(-6)));
        assert_eq!(verified(1, "2025-12-31T23:59:54Z"), Err(Refusal::Clock(6)));
        let id = key(1, NOW).ids().next().map(str::to_owned);
        assert_eq!(verified(2, NOW), Err(Refusal::UnknownKey(id)));
    }

    #[test]
    fn who_is_let_in_is_signed_with_it() {
        for let_in in [false, true] {
            let caller = Caller::User {
                id: Uuid::from_u128(7),
                role: Role::Developer,
                let_in,
            };
            let signed = key(1, NOW).sign(&caller).unwrap();
            assert_eq!(key(1, NOW).verify(&signed), Ok(caller));
        }
    }

    #[test]
    fn only_faults_of_an_installation_are_no_reason_to_sign_in_again() {
        let refused = |refusal: Refusal| {
            let error = Error::from(refusal);
            (error.kind, error.code.into_owned())
        };
        for refusal in [
            Refusal::Clock(6),
            Refusal::Clock(i64::MIN),
            Refusal::UnknownKey(None),
        ] {
            assert_eq!(refused(refusal).0, Kind::Unavailable);
        }
        assert_eq!(refused(Refusal::Clock(-70)).1, "clock_differs");
        assert_eq!(refused(Refusal::Invalid).0, Kind::Unauthenticated);
    }

    #[test]
    fn the_tolerance_is_a_setting() {
        let signed = key(1, NOW).sign(&Caller::service("edge")).unwrap();
        let late = |tolerance| {
            let key = key(1, "2025-12-31T23:59:30Z");
            let key = key.tolerating(Duration::from_secs(tolerance));
            key.verify(&signed).is_ok()
        };
        assert!(late(30) && !late(29));
    }

    /// `(signs, knows as well)` of a process, in the order of the documented steps of a change from key 1 to key 2.
    const STEPS: [(u8, &[u8]); 4] = [(1, &[]), (1, &[2]), (2, &[1]), (2, &[])];

    #[test]
    fn while_the_key_is_changed_step_by_step_everybody_understands_everybody() {
        let process = |(signs, knows): (u8, &[u8])| {
            let others: Vec<[u8; 32]> = knows.iter().map(|byte| [*byte; 32]).collect();
            key(signs, NOW).accepting(&others)
        };
        let caller = Caller::service("edge");
        // Three processes: each has done this step or the one before, in every combination.
        for step in STEPS.windows(2) {
            for mix in 0..8_usize {
                let all = [0, 1, 2].map(|number| process(step[(mix >> number) & 1]));
                for (from, to) in all
                    .iter()
                    .flat_map(|from| all.iter().map(move |to| (from, to)))
                {
                    assert_eq!(to.verify(&from.sign(&caller).unwrap()), Ok(caller.clone()));
                }
            }
        }
        // And whoever leaves a step out is told.
        let signed = process(STEPS[2]).sign(&caller).unwrap();
        let refused = process(STEPS[0]).verify(&signed);
        assert!(matches!(refused, Err(Refusal::UnknownKey(Some(_)))));
    }

    #[test]
    fn an_identity_is_for_services_and_never_older_than_a_minute() {
        let key = key(1, "2026-01-01T00:10:00Z");
        let now = key.clock.now().as_second();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = key.ids().next().map(str::to_owned);
        let signed = |change: fn(&mut serde_json::Value), iat: i64| {
            let mut claims = serde_json::json!({
                "iss": ISSUER, "aud": AUDIENCE, "sub": "service:registration", "iat": iat, "exp": now + 3600,
            });
            change(&mut claims);
            jsonwebtoken::encode(&header, &claims, &key.encoding).unwrap()
        };
        let refusal = |identity: &str| key.verify(identity).unwrap_err();
        assert!(key.verify(&signed(|_| {}, now - 60)).is_ok());
        assert_eq!(refusal(&signed(|_| {}, now - 66)), Refusal::Clock(-6));
        let ended = signed(|claims| claims["exp"] = 1.into(), now);
        assert!(matches!(refusal(&ended), Refusal::Clock(..0)));
        for identity in [
            signed(|claims| claims["aud"] = "somebody-else".into(), now),
            signed(|claims| claims["iss"] = "somebody-else".into(), now),
            signed(
                |claims| drop(claims.as_object_mut().unwrap().remove("aud")),
                now,
            ),
            "nonsense".to_owned(),
        ] {
            assert_eq!(refusal(&identity), Refusal::Invalid, "{identity}");
        }
    }

    #[test]
    fn what_was_signed_by_another_key_under_a_known_name_is_not_taken() {
        let (ours, theirs) = (key(1, NOW), key(2, NOW));
        let mut header = Header::new(Algorithm::HS256);
        header.kid = ours.ids().next().map(str::to_owned);
        let claims = serde_json::json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "service:edge", "iat": 0, "exp": 60,
        });
        let forged = jsonwebtoken::encode(&header, &claims, &theirs.encoding).unwrap();
        assert_eq!(ours.verify(&forged), Err(Refusal::UnknownKey(None)));
    }

    #[test]
    fn a_service_is_not_a_user() {
        let key = key(1, NOW);
        let signed = key.sign(&Caller::service("registration")).unwrap();
        let caller = key.verify(&signed).unwrap();
        assert_eq!(caller, Caller::service("registration"));
        assert_eq!(caller.require_user().unwrap_err().kind, Kind::Forbidden);
    }
}
