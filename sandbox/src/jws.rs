//! JSON Web Signatures, RS256 only (RFC 7515, RFC 7518 section 3.3): what the
//! identity provider issues and the gateway checks. Written on `rsa` directly, because
//! that is the RSA that the workspace compiles with optimisation in the dev profile.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rsa::sha2::Sha256;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, PrivateKey, PublicKey};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::Digest;

/// The size of a generated key in bits.
const KEY_BITS: usize = 2048;

/// A key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(String);

impl From<String> for KeyError {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

/// Why a token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not three base64url parts of JSON.
    #[error("not a JWS")]
    Malformed,
    /// `alg` is not RS256.
    #[error("unexpected signing method")]
    Algorithm,
    /// No `kid`, or no key of that name.
    #[error("unknown key")]
    UnknownKey,
    /// The signature does not fit the key.
    #[error("bad signature")]
    Signature,
}

/// An RSA key pair with its key id, the RFC 7638 thumbprint.
pub struct SigningKey {
    key: PrivateKey,
    kid: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new 2048-bit key. Takes a fraction of a second of one core: call it on a
    /// thread that may block.
    pub fn generate() -> Result<Self, KeyError> {
        PrivateKey::new(&mut rand::rng(), KEY_BITS)
            .map(Self::from_key)
            .map_err(|error| KeyError(error.to_string()))
    }

    /// Reads what [`SigningKey::to_pem`] wrote.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        PrivateKey::from_pkcs8_pem(pem)
            .map(Self::from_key)
            .map_err(|error| KeyError(error.to_string()))
    }

    /// PKCS#8 in PEM, unencrypted.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = self
            .key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| KeyError(error.to_string()))?;
        Ok(pem.as_str().to_owned())
    }

    fn from_key(key: PrivateKey) -> Self {
        let (n, e) = components(&key);
        let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(canonical));
        Self { key, kid }
    }

    /// The key id that tokens name in their header.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The JWKS document with this key's public half (RFC 7517 section 5).
    #[must_use]
    pub fn jwks(&self) -> Value {
        let (n, e) = components(&self.key);
        json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": n, "e": e}]})
    }

    /// A compact JWS of `claims`.
    pub fn sign(&self, claims: &Value) -> Result<String, KeyError> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.kid});
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self
            .key
            .pkcs1v15_sign::<Sha256>(signed.as_bytes())
            .map_err(|error| KeyError(error.to_string()))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn components(key: &impl PublicKeyParts) -> (String, String) {
    (
        URL_SAFE_NO_PAD.encode(key.n_bytes()),
        URL_SAFE_NO_PAD.encode(key.e_bytes()),
    )
}

/// The RSA public keys of a JWKS document.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct KeySet {
    keys: Vec<Jwk>,
}

#[derive(Clone, Debug, Deserialize)]
struct Jwk {
    #[serde(default)]
    kid: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
}

impl KeySet {
    /// Checks the signature, not the claims, and gives the claims.
    pub fn verify(&self, token: &str) -> Result<Map<String, Value>, VerifyError> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(VerifyError::Malformed);
        };
        let parsed: Header = json_part(header)?;
        if parsed.alg != "RS256" {
            return Err(VerifyError::Algorithm);
        }
        let key = self.public_key(&parsed.kid)?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| VerifyError::Malformed)?;
        key.pkcs1v15_verify::<Sha256>(format!("{header}.{payload}").as_bytes(), &signature)
            .map_err(|_| VerifyError::Signature)?;
        json_part(payload)
    }

    fn public_key(&self, kid: &str) -> Result<PublicKey, VerifyError> {
        let found = self
            .keys
            .iter()
            .find(|key| !kid.is_empty() && key.kid == kid);
        let jwk = found.ok_or(VerifyError::UnknownKey)?;
        let number = |text: &str| {
            let bytes = URL_SAFE_NO_PAD
                .decode(text)
                .map_err(|_| VerifyError::UnknownKey)?;
            Ok(BoxedUint::from_be_slice_vartime(&bytes))
        };
        PublicKey::new(number(&jwk.n)?, number(&jwk.e)?).map_err(|_| VerifyError::UnknownKey)
    }
}

fn json_part<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, VerifyError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| VerifyError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| VerifyError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_set(key: &SigningKey) -> KeySet {
        serde_json::from_value(key.jwks()).unwrap()
    }

    #[test]
    fn signs_what_it_verifies_and_survives_the_file() {
        let key = SigningKey::from_pem(&SigningKey::generate().unwrap().to_pem().unwrap()).unwrap();
        let token = key.sign(&json!({"sub": "someone"})).unwrap();
        assert_eq!(key_set(&key).verify(&token).unwrap()["sub"], "someone");
    }

    #[test]
    fn an_independent_implementation_accepts_the_signature() {
        let key = SigningKey::generate().unwrap();
        let token = key
            .sign(&json!({"sub": "someone", "exp": 4_000_000_000_u64}))
            .unwrap();
        let jwk = &key.jwks()["keys"][0];
        let decoding = jsonwebtoken::DecodingKey::from_rsa_components(
            jwk["n"].as_str().unwrap(),
            jwk["e"].as_str().unwrap(),
        )
        .unwrap();
        let validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
        let decoded = jsonwebtoken::decode::<Value>(&token, &decoding, &validation).unwrap();
        assert_eq!(decoded.claims["sub"], "someone");
        assert_eq!(decoded.header.kid.as_deref(), Some(key.kid()));
    }

    #[test]
    fn refuses_every_other_token() {
        let (key, other) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let token = key.sign(&json!({"sub": "someone"})).unwrap();
        assert_eq!(key_set(&other).verify(&token), Err(VerifyError::UnknownKey));
        let forged = URL_SAFE_NO_PAD.encode(r#"{"sub":"another"}"#);
        let parts: Vec<&str> = token.split('.').collect();
        let changed = format!("{}.{forged}.{}", parts[0], parts[2]);
        assert_eq!(key_set(&key).verify(&changed), Err(VerifyError::Signature));
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
            parts[1]
        );
        assert_eq!(key_set(&key).verify(&unsigned), Err(VerifyError::Algorithm));
        for text in ["", "a.b", "a.b.c.d", "%.%.%"] {
            assert_eq!(
                key_set(&key).verify(text),
                Err(VerifyError::Malformed),
                "{text}"
            );
        }
    }
}
