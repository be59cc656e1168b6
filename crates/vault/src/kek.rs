//! Key-encryption keys. They come from the operator, are never in the database, and wrap the data keys that are.

mod file;

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::cipher::Key;

/// Fewer different bytes than this are no random key: 32 random bytes have about
/// thirty different ones, and hardly ever less than twenty.
const DISTINCT_BYTES: usize = 12;

/// Why a key-encryption key was refused. No variant holds any of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// Neither standard nor URL-safe base64.
    #[error("the key-encryption key is not base64")]
    NotBase64,
    /// Not 256 bits.
    #[error(
        "the key-encryption key has {0} bytes, it must have 32: make one with `openssl rand -base64 32`"
    )]
    Length(usize),
    /// A pattern such as 32 zeros, not a random key.
    #[error("the key-encryption key is not random: make one with `openssl rand -base64 32`")]
    Weak,
    /// The key file cannot be read or written.
    #[error("key file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

/// A key-encryption key: 32 random bytes. Cheap to clone, `Debug` shows its id only, overwritten on drop.
#[derive(Clone)]
pub struct Kek {
    key: Arc<Key>,
    id: String,
}

impl Kek {
    /// Reads 32 bytes of base64, standard or URL-safe, padded or not; white space around it is ignored.
    ///
    /// # Errors
    /// [`KekError::NotBase64`], [`KekError::Length`] and [`KekError::Weak`].
    pub fn from_base64(text: &str) -> Result<Self, KekError> {
        let text = Zeroizing::new(text.trim().replace('-', "+").replace('_', "/"));
        let lenient = GeneralPurpose::new(
            &alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let bytes = Zeroizing::new(
            lenient
                .decode(text.as_bytes())
                .map_err(|_| KekError::NotBase64)?,
        );
        let key: [u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| KekError::Length(bytes.len()))?;
        if key.iter().collect::<HashSet<_>>().len() < DISTINCT_BYTES {
            return Err(KekError::Weak);
        }
        Ok(Self::from_key(Zeroizing::new(key)))
    }

    /// Reads a file that holds the key in base64.
    ///
    /// # Errors
    /// [`KekError::File`], or as [`Kek::from_base64`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KekError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| file_error(path, source))?;
        Self::from_base64(&Zeroizing::new(text))
    }

    /// Reads the file `kek` in the data folder, or makes it, readable by its owner only. The flag says whether it was
    /// made now: the operator should then be told to keep a copy apart from the data.
    ///
    /// Several processes may start at once; all get the same key.
    ///
    /// # Errors
    /// [`KekError::File`], or as [`Kek::from_base64`].
    pub fn load_or_generate(data_dir: impl AsRef<Path>) -> Result<(Self, bool), KekError> {
        let path = data_dir.as_ref().join(file::NAME);
        match Self::from_file(&path) {
            Err(KekError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let made = file::create(data_dir.as_ref(), &path)
                    .map_err(|source| file_error(&path, source))?;
                Ok((Self::from_file(&path)?, made))
            }
            read => Ok((read?, false)),
        }
    }

    fn from_key(key: Key) -> Self {
        let mut kek = Self {
            key: Arc::new(key),
            id: String::new(),
        };
        kek.id = hex(&kek.derive("id")[..8]);
        kek
    }

    /// A name for this key, derived from it, that may be stored and shown.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A key for another purpose (HKDF-SHA256, RFC 5869). Different labels give
    /// unrelated keys. It changes when the key-encryption key is rotated.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "HKDF-SHA256 refuses only outputs above 8160 bytes"
    )]
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(Some(b"portico/kek/v1"), self.key.as_slice())
            .expand(label.as_bytes(), &mut key)
            .expect("32 bytes can be expanded");
        key
    }

    /// Blind index: HMAC-SHA256 of a text in hexadecimal, to look up a personal datum without storing it. The text is taken as it is: trim and lower-case it before.
    ///
    /// It changes when the key-encryption key is rotated. What is stored for
    /// longer belongs to [`Vault::index_key`](crate::Vault::index_key).
    #[must_use]
    pub fn blind_index(&self, label: &str, text: &str) -> String {
        let label = format!("blind-index/{label}");
        IndexKey(Zeroizing::new(self.derive(&label))).blind_index(text)
    }

    /// The key that wraps data keys.
    pub(crate) fn wrapping_key(&self) -> Key {
        Zeroizing::new(self.derive("wrap-data-key"))
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({})", self.id)
    }
}

/// The key-encryption keys that are known: one that wraps, and old ones that
/// still open what a rotation has not reached yet.
#[derive(Debug, Clone)]
pub struct KekRing {
    active: Kek,
    old: Vec<Kek>,
}

impl KekRing {
    /// A ring with an active key and the old ones, if any.
    pub fn new(active: Kek, old: impl IntoIterator<Item = Kek>) -> Self {
        Self {
            active,
            old: old.into_iter().collect(),
        }
    }

    /// The key that wraps from now on.
    #[must_use]
    pub fn active(&self) -> &Kek {
        &self.active
    }

    /// The key with this id, active or old.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Kek> {
        std::iter::once(&self.active)
            .chain(&self.old)
            .find(|kek| kek.id == id)
    }
}

impl From<Kek> for KekRing {
    fn from(active: Kek) -> Self {
        Self::new(active, [])
    }
}

/// A key for blind indexes. Overwritten on drop, `Debug` shows nothing.
#[derive(Clone)]
pub struct IndexKey(pub(crate) Key);

impl IndexKey {
    /// HMAC-SHA256 of a text in hexadecimal. The text is taken as it is: trim and lower-case it before.
    #[must_use]
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub fn blind_index(&self, text: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("HMAC takes 32 bytes");
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(***)")
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn file_error(path: &Path, source: io::Error) -> KekError {
    KekError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::random_key;
    use base64::prelude::BASE64_STANDARD;

    const KEY: &str = "3q2+78r+ur4BAgMEBQYHCAkKCwwNDg8QERITFBUWFxg=";

    #[test]
    fn reads_base64_in_every_usual_form() {
        let kek = Kek::from_base64(KEY).unwrap();
        for same in [
            format!("  {KEY}\n"),
            KEY.trim_end_matches('=').to_owned(),
            KEY.replace('+', "-").replace('/', "_"),
        ] {
            assert_eq!(Kek::from_base64(&same).unwrap().id(), kek.id());
        }
    }

    #[test]
    fn refuses_what_is_no_key() {
        let zeros = BASE64_STANDARD.encode([0; 32]);
        let short = BASE64_STANDARD.encode((0..31).collect::<Vec<u8>>());
        let long = BASE64_STANDARD.encode((0..33).collect::<Vec<u8>>());
        assert!(matches!(Kek::from_base64(""), Err(KekError::Length(0))));
        assert!(matches!(
            Kek::from_base64(&short),
            Err(KekError::Length(31))
        ));
        assert!(matches!(Kek::from_base64(&long), Err(KekError::Length(33))));
        assert!(matches!(Kek::from_base64(&zeros), Err(KekError::Weak)));
        assert!(matches!(
            Kek::from_base64("not base64!"),
            Err(KekError::NotBase64)
        ));
    }

    #[test]
    fn labels_and_keys_give_unrelated_keys() {
        let kek = Kek::from_base64(KEY).unwrap();
        let other = Kek::from_key(random_key());
        assert_eq!(kek.derive("a"), kek.derive("a"));
        assert_ne!(kek.derive("a"), kek.derive("b"));
        assert_ne!(kek.derive("a"), other.derive("a"));
        assert_ne!(kek.blind_index("a", "x"), kek.blind_index("b", "x"));
        assert_eq!(kek.blind_index("a", "x").len(), 64);
    }

    /// RFC 4231, test case 2: the index is plain HMAC-SHA256.
    #[test]
    fn blind_index_is_hmac_sha256() {
        let mut key = Key::default();
        key[..4].copy_from_slice(b"Jefe"); // HMAC pads short keys with zeros
        assert_eq!(
            IndexKey(key).blind_index("what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn debug_shows_no_key() {
        let kek = Kek::from_base64(KEY).unwrap();
        assert_eq!(format!("{kek:?}"), format!("Kek({})", kek.id()));
        assert_eq!(format!("{:?}", IndexKey(random_key())), "IndexKey(***)");
    }
}
