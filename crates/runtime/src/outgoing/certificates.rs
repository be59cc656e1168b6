//! Certificates in PEM (RFC 7468) that are trusted beside those of the system.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Whether a text holds certificates and every one of them can be trusted in a call. Text around them does not
/// matter (RFC 7468 section 2).
#[must_use]
pub fn usable(pem: &str) -> bool {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = certificate.map(|certificate| store.add(certificate));
        if !matches!(added, Ok(Ok(()))) {
            return false;
        }
    }
    !store.is_empty()
}
