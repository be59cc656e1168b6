//! Certificates of listeners and of calls between services, read again while the process runs.
//!
//! A connection has the certificates that were in use when it was made, and keeps them. What cannot be used, such as a file
//! that is half written or a key of another certificate, changes nothing: what was there before stays, and the files are
//! looked at again.
//!
//! - [`expires`]: until when certificates are valid
//! - [`tls_reason`], [`with_causes`]: why a handshake failed
//! - `connector`: connections to services

mod connector;
mod expiry;
mod material;
mod reason;
#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jiff::Timestamp;
use rustls::ClientConfig;
use tokio_rustls::TlsAcceptor;

pub(crate) use connector::Connector;
pub use expiry::expires;
use material::{Material, Usable};
pub use reason::{tls_reason, with_causes};

/// gRPC is HTTP/2, and clients insist on its being negotiated (RFC 9113 section 3.3).
const HTTP_2: &[u8] = b"h2";

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, with its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities whose certificates peers must have. None: anybody may connect, and nobody is called.
    pub ca: Option<PathBuf>,
}

/// Certificate, key and authorities for one purpose. Cheap to clone; clones change together.
#[derive(Clone)]
pub struct Certificates(Arc<Shared>);

struct Shared {
    role: &'static str,
    files: Files,
    present: RwLock<Arc<Usable>>,
    /// What stands in the files instead and cannot be used, and why.
    refused: Mutex<Option<Refused>>,
}

struct Refused {
    digest: Option<[u8; 32]>,
    reason: String,
}

/// What a look at the files has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// What is in use already, or what was told to be unusable already.
    Nothing,
    /// Others, which are used from now on.
    Renewed,
    /// Others, which cannot be used, and why. Nothing changes.
    Unusable(String),
    /// What is in use again, after others that could not be used.
    Restored,
}

impl Certificates {
    /// Reads the files. `role` says what for, in the log and in metrics.
    ///
    /// # Errors
    /// The file that cannot be used, and why.
    pub fn load(role: &'static str, files: Files) -> Result<Self, String> {
        let usable = Material::read(&files)?.usable(&files)?;
        Ok(Self(Arc::new(Shared {
            role,
            files,
            present: RwLock::new(Arc::new(usable)),
            refused: Mutex::default(),
        })))
    }

    /// What for.
    #[must_use]
    pub fn role(&self) -> &'static str {
        self.0.role
    }

    /// Whether peers must have certificates, too.
    #[must_use]
    pub fn are_mutual(&self) -> bool {
        self.0.files.ca.is_some()
    }

    /// For the next connection to be taken.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.present().server))
    }

    /// For the next connection to be made.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.present().client)
    }

    /// When they end, by role: the own chain's first, and the authorities' first, whose role ends in `_ca`.
    #[must_use]
    pub fn expiries(&self) -> Vec<(String, Timestamp)> {
        let present = self.present();
        let own = (self.0.role.to_owned(), present.expires);
        let ca = present.ca_expires;
        let ca = ca.map(|at| (format!("{}_ca", self.0.role), at));
        std::iter::once(own).chain(ca).collect()
    }

    /// Why what stands in the files is not used, where that is so.
    #[must_use]
    pub fn unusable(&self) -> Option<String> {
        self.refused()
            .as_ref()
            .map(|refused| refused.reason.clone())
    }

    /// Reads the files again. An expired certificate does not replace one that is valid at `now`.
    pub fn look(&self, now: Timestamp) -> Look {
        let material = Material::read(&self.0.files);
        let digest = material.as_ref().ok().map(Material::digest);
        let present = self.present();
        let mut refused = self.refused();
        if digest == Some(present.digest) {
            return match refused.take() {
                Some(_) => Look::Restored,
                None => Look::Nothing,
            };
        }
        let usable = material.and_then(|material| material.usable(&self.0.files));
        let usable =
            usable.and_then(
                |usable| match usable.expires <= now && present.expires > now {
                    true => Err(format!(
                        "TLS: {}: it has expired",
                        self.0.files.cert.display()
                    )),
                    false => Ok(usable),
                },
            );
        match usable {
            Ok(usable) => {
                *refused = None;
                let mut place = self
                    .0
                    .present
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                *place = Arc::new(usable);
                Look::Renewed
            }
            Err(reason) => {
                let known = refused.as_ref();
                let told =
                    known.is_some_and(|known| known.digest == digest && known.reason == reason);
                *refused = Some(Refused {
                    digest,
                    reason: reason.clone(),
                });
                if told {
                    Look::Nothing
                } else {
                    Look::Unusable(reason)
                }
            }
        }
    }

    fn present(&self) -> Arc<Usable> {
        let present = self.0.present.read();
        Arc::clone(&present.unwrap_or_else(PoisonError::into_inner))
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, Option<Refused>> {
        self.0
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
