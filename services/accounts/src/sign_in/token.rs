//! Session and API tokens: a prefix and 256 random bits. Only the digest is stored.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portico_vault::{Secret, hex};
use sha2::{Digest as _, Sha256};

/// Characters of 256 bits in base64url.
const BODY: usize = 43;

/// Recognised by the prefix, which also lets secret scanners find a leaked token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// `pts_…`, from signing in.
    Session,
    /// `ptk_…`, created by a user for a program.
    Api,
}

impl TokenKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Session => "pts_",
            Self::Api => "ptk_",
        }
    }

    /// `None` when the text cannot be a token of ours; that saves a query.
    pub(crate) fn of(token: &str) -> Option<Self> {
        let known = |kind: &Self| {
            token.strip_prefix(kind.prefix()).is_some_and(|body| {
                body.len() == BODY
                    && body
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            })
        };
        [Self::Session, Self::Api].into_iter().find(known)
    }
}

/// Generates a token.
pub(crate) fn generate(kind: TokenKind) -> Secret {
    let bits: [u8; 32] = rand::random();
    Secret::new(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bits)))
}

/// SHA-256 of a token in hexadecimal. A slow hash, as for passwords, is not needed: 256 random bits cannot be guessed.
pub(crate) fn digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_recognised_by_their_form() {
        for kind in [TokenKind::Session, TokenKind::Api] {
            let token = generate(kind);
            assert_eq!(TokenKind::of(token.expose()), Some(kind));
            assert_ne!(token, generate(kind));
        }
        let body = "a".repeat(43);
        for wrong in [
            String::new(),
            body.clone(),
            format!("xxx_{body}"),
            format!("pts_{body}a"),
            format!("pts_{}=", "a".repeat(42)),
        ] {
            assert_eq!(TokenKind::of(&wrong), None, "{wrong}");
        }
    }

    /// FIPS 180-4, the example "abc".
    #[test]
    fn the_digest_is_sha_256() {
        assert_eq!(
            digest("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
