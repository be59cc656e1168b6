//! What stands in the files, and what TLS makes of it.

use std::{fmt::Display, path::Path, sync::Arc};

use jiff::Timestamp;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Files, HTTP_2, expires};

/// The contents of the files at one time.
pub(super) struct Material {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    ca: Option<Vec<u8>>,
}

/// What connections are made with.
pub(super) struct Usable {
    /// Of the contents of all files.
    pub(super) digest: [u8; 32],
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    /// Of the own chain.
    pub(super) expires: Timestamp,
    /// Of the authorities.
    pub(super) ca_expires: Option<Timestamp>,
}

impl Material {
    pub(super) fn read(files: &Files) -> Result<Self, String> {
        Ok(Self {
            cert: read(&files.cert)?,
            key: Zeroizing::new(read(&files.key)?),
            ca: files.ca.as_deref().map(read).transpose()?,
        })
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [
            &self.cert,
            &*self.key,
            self.ca.as_ref().unwrap_or(&Vec::new()),
        ] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    /// Whether the key belongs to the certificate is found out here, too.
    pub(super) fn usable(&self, files: &Files) -> Result<Usable, String> {
        let chain = certificates(&files.cert, &self.cert)?;
        let key = || {
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| unusable(&files.key, &error))
        };
        let roots = match (&files.ca, &self.ca) {
            (Some(file), Some(pem)) => Some(Arc::new(roots(file, pem)?)),
            _ => None,
        };
        let expires_at = |file: &Path, pem: &[u8]| {
            expires(pem).ok_or_else(|| unusable(file, &"its validity cannot be read"))
        };
        Ok(Usable {
            digest: self.digest(),
            server: server(files, roots.clone(), chain.clone(), key()?)?,
            client: client(files, roots, chain, key()?)?,
            expires: expires_at(&files.cert, &self.cert)?,
            ca_expires: match (&files.ca, &self.ca) {
                (Some(file), Some(pem)) => Some(expires_at(file, pem)?),
                _ => None,
            },
        })
    }
}

fn server(
    files: &Files,
    roots: Option<Arc<RootCertStore>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let file = files.ca.as_deref().unwrap_or(&files.cert);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| unusable(file, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&files.cert, &error))?;
    config.alpn_protocols.push(HTTP_2.to_vec());
    Ok(Arc::new(config))
}

/// Without authorities nobody is trusted, so that no call can be made.
fn client(
    files: &Files,
    roots: Option<Arc<RootCertStore>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, String> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots.unwrap_or_else(|| Arc::new(RootCertStore::empty())))
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable(&files.cert, &error))?;
    config.alpn_protocols.push(HTTP_2.to_vec());
    Ok(Arc::new(config))
}

fn roots(file: &Path, pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, pem)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(file, &error))?;
    }
    Ok(roots)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| unusable(file, &error))
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(unusable(file, &"no certificate in it")),
        Ok(all) => Ok(all),
        Err(error) => Err(unusable(file, &error)),
    }
}

fn unusable(file: &Path, error: &dyn Display) -> String {
    format!("TLS: {}: {error}", file.display())
}
