//! Whom to trust beside the system's authorities, as an admin enters it.

use portico_runtime::outgoing::certificates;
use url::Url;

/// Bytes of all certificates together.
const LONGEST: usize = 256 * 1024;

/// Why a text is no trust store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TrustError {
    /// No certificate, or something that is none.
    #[error("the text must hold certificates in PEM (-----BEGIN CERTIFICATE-----)")]
    NotCertificates,
    /// A key that nobody else should have.
    #[error("the text holds a private key, which must stay secret; give the certificates only")]
    PrivateKey,
    /// More than [`LONGEST`].
    #[error("the certificates must have at most 256 KiB together")]
    TooLong,
}

impl TrustError {
    /// A stable word for programs.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::NotCertificates => "trusted_certificates_invalid",
            Self::PrivateKey => "trusted_certificates_private_key",
            Self::TooLong => "trusted_certificates_too_long",
        }
    }
}

/// Checks a trust store; an empty one is right.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check(pem: &str) -> Result<(), TrustError> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(TrustError::PrivateKey);
    }
    if pem.len() > LONGEST {
        return Err(TrustError::TooLong);
    }
    if pem.is_empty() || certificates::usable(pem) {
        Ok(())
    } else {
        Err(TrustError::NotCertificates)
    }
}

/// An origin (RFC 6454 section 6.2) in its usual form. `None` where the text is something else.
pub(super) fn origin(text: &str) -> Option<String> {
    let url = endpoint(text.trim())?;
    let bare = url.path() == "/" && url.query().is_none();
    bare.then(|| url.origin().ascii_serialization())
}

/// The absolute URL of an endpoint (RFC 6749 section 3.2: no fragment). `None` where the text is something else.
pub(super) fn endpoint(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_one_form() {
        let expected = Some("https://a.example:8443".to_owned());
        assert_eq!(origin(" https://A.example:8443/ "), expected);
        assert_eq!(
            origin("https://a.example:443"),
            Some("https://a.example".into())
        );
        for wrong in [
            "",
            "a.example",
            "https://a.example/path",
            "https://u@a.example",
            "https://a.example?q",
            "ftp://a.example",
            "*",
        ] {
            assert_eq!(origin(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn endpoints_are_absolute() {
        assert!(endpoint("https://a.example:8443/register?tenant=1").is_some());
        for wrong in [
            "/register",
            "a.example",
            "ftp://a.example/r",
            "https://u:p@a.example/r",
            "https://a.example/r#x",
            "javascript:alert(1)",
        ] {
            assert_eq!(endpoint(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_trust_store_is_named() {
        assert_eq!(check(""), Ok(()));
        let block = |kind: &str| format!("-----BEGIN {kind}-----\nMIIB\n-----END {kind}-----");
        for (pem, expected) in [
            ("hello".to_owned(), TrustError::NotCertificates),
            (block("CERTIFICATE"), TrustError::NotCertificates),
            (block("PUBLIC KEY"), TrustError::NotCertificates),
            (block("PRIVATE KEY"), TrustError::PrivateKey),
            (block("RSA PRIVATE KEY"), TrustError::PrivateKey),
            ("x".repeat(LONGEST + 1), TrustError::TooLong),
        ] {
            assert_eq!(check(&pem), Err(expected));
        }
    }
}
