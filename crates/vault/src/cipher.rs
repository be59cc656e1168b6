//! Sealing and opening: XChaCha20-Poly1305 with a random 192-bit nonce, written
//! as `v1.` and base64 of nonce and ciphertext.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// A 256-bit key that is overwritten on drop.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// Tells this format from a later one.
const VERSION: &str = "v1.";
const NONCE: usize = 24;

/// The text does not open: another key, another owner, or it was changed. Which
/// of them cannot be told apart, by design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// A new key from the thread's cryptographic random number generator.
pub(crate) fn random_key() -> Key {
    let mut key = Key::default();
    rand::fill(key.as_mut_slice());
    key
}

/// Seals `plain`, bound to `context`: it opens only with the same context.
#[expect(
    clippy::expect_used,
    reason = "the cipher refuses only texts above 256 GiB"
)]
pub(crate) fn seal(key: &Key, context: &str, plain: &[u8]) -> String {
    let mut nonce = [0u8; NONCE];
    rand::fill(&mut nonce);
    let payload = Payload {
        msg: plain,
        aad: context.as_bytes(),
    };
    let sealed = XChaCha20Poly1305::new((&**key).into())
        .encrypt(&XNonce::from(nonce), payload)
        .expect("text fits the cipher");
    let mut bytes = nonce.to_vec();
    bytes.extend_from_slice(&sealed);
    format!("{VERSION}{}", BASE64_STANDARD.encode(bytes))
}

/// Opens what [`seal`] made with the same key and context.
pub(crate) fn open(
    key: &Key,
    context: &str,
    sealed: &str,
) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let encoded = sealed.strip_prefix(VERSION).ok_or(Unreadable)?;
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| Unreadable)?;
    let (nonce, text) = bytes.split_first_chunk::<NONCE>().ok_or(Unreadable)?;
    let payload = Payload {
        msg: text,
        aad: context.as_bytes(),
    };
    XChaCha20Poly1305::new((&**key).into())
        .decrypt(&XNonce::from(*nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn opens_what_it_sealed(text in proptest::collection::vec(any::<u8>(), 0..300), context: String) {
            let key = random_key();
            let opened = open(&key, &context, &seal(&key, &context, &text));
            prop_assert_eq!(opened.map(|plain| plain.to_vec()), Ok(text));
        }

        #[test]
        fn any_flipped_bit_is_found(text: String, at: prop::sample::Index, bit in 0u8..8) {
            let key = random_key();
            let sealed = seal(&key, "c", text.as_bytes());
            let mut bytes = BASE64_STANDARD.decode(&sealed[VERSION.len()..]).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let changed = format!("{VERSION}{}", BASE64_STANDARD.encode(bytes));
            prop_assert!(open(&key, "c", &changed).is_err());
        }
    }

    #[test]
    fn another_key_or_context_does_not_open() {
        let key = random_key();
        let sealed = seal(&key, "owner", b"text");
        assert!(open(&random_key(), "owner", &sealed).is_err());
        assert!(open(&key, "other", &sealed).is_err());
    }

    #[test]
    fn the_same_text_never_looks_the_same() {
        let key = random_key();
        assert_ne!(seal(&key, "c", b"text"), seal(&key, "c", b"text"));
    }

    #[test]
    fn nonsense_does_not_open() {
        for nonsense in ["", "v1.", "v1.AAAA", "v2.AAAA", "v1.???"] {
            assert_eq!(open(&random_key(), "c", nonsense).err(), Some(Unreadable));
        }
    }
}
