//! JSON Web Signatures, RS256 only (RFC 7515, RFC 7518 section 3.3): what the identity provider issues and the gateway
//! checks. `jsonwebtoken` signs and verifies; `rsa`, in the version that it uses, makes and keeps the keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, crypto};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::Digest;

/// The size of a generated key in bits.
const KEY_BITS: usize = 2048;

/// A key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(String);

impl KeyError {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

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
    key: RsaPrivateKey,
    encoding: EncodingKey,
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
    /// A new 2048-bit key. Takes a fraction of a second of one core: call it on a thread that may block.
    pub fn generate() -> Result<Self, KeyError> {
        let key = RsaPrivateKey::new(&mut OsRng, KEY_BITS).map_err(KeyError::new)?;
        Self::from_key(key)
    }

    /// Reads what [`SigningKey::to_pem`] wrote.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = RsaPrivateKey::from_pkcs8_pem(pem).map_err(KeyError::new)?;
        Self::from_key(key)
    }

    /// PKCS#8 in PEM, unencrypted.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = self.key.to_pkcs8_pem(LineEnding::LF);
        Ok(pem.map_err(KeyError::new)?.as_str().to_owned())
    }

    fn from_key(key: RsaPrivateKey) -> Result<Self, KeyError> {
        let der = key.to_pkcs1_der().map_err(KeyError::new)?;
        let (n, e) = components(&key);
        let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        Ok(Self {
            encoding: EncodingKey::from_rsa_der(der.as_bytes()),
            kid: URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(canonical)),
            key,
        })
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
        let header = Header {
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::RS256)
        };
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(KeyError::new)
    }
}

fn components(key: &RsaPrivateKey) -> (String, String) {
    (
        URL_SAFE_NO_PAD.encode(key.n().to_bytes_be()),
        URL_SAFE_NO_PAD.encode(key.e().to_bytes_be()),
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

/// The part of a JOSE header that decides; `alg` may be one that nobody knows.
#[derive(Deserialize)]
struct Head {
    alg: String,
    #[serde(default)]
    kid: String,
}

impl KeySet {
    /// Checks the signature, not the claims, and gives the claims.
    pub fn verify(&self, token: &str) -> Result<Map<String, Value>, VerifyError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(VerifyError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(VerifyError::Malformed)?;
        let header: Head = json_part(header)?;
        if header.alg != "RS256" {
            return Err(VerifyError::Algorithm);
        }
        let key = self.public_key(&header.kid)?;
        match crypto::verify(signature, signed.as_bytes(), &key, Algorithm::RS256) {
            Ok(true) => json_part(payload),
            Ok(false) => Err(VerifyError::Signature),
            Err(_) => Err(VerifyError::Malformed),
        }
    }

    fn public_key(&self, kid: &str) -> Result<DecodingKey, VerifyError> {
        let found = self
            .keys
            .iter()
            .find(|key| !kid.is_empty() && key.kid == kid);
        let jwk = found.ok_or(VerifyError::UnknownKey)?;
        DecodingKey::from_rsa_components(&jwk.n, &jwk.e).map_err(|_| VerifyError::UnknownKey)
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
