//! Why a handshake failed, in words that an operator can act on.

use std::{error::Error as StdError, io};

use rustls::{AlertDescription, CertificateError, Error};

/// A word for the TLS reason among the causes of an error, from a small set; `None` where it is no error of TLS.
#[must_use]
pub fn tls_reason(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    causes(error).find_map(|cause| cause.downcast_ref().map(word))
}

/// An error with all of its causes, in one line.
#[must_use]
pub fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut line = String::new();
    for cause in causes(error) {
        let words = cause.to_string();
        // Many repeat what they were caused by.
        if !line.ends_with(&words) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&words);
        }
    }
    line
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn StdError + 'static)| {
        // The source of an I/O error is that of the error in it, which would be left out.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match inner {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

fn word(error: &Error) -> &'static str {
    use AlertDescription as Alert;
    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "certificate_expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "certificate_not_valid_yet"
            }
            CertificateError::UnknownIssuer => "unknown_issuer",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "name_mismatch"
            }
            // Of an authority that has the name of a known one and another key.
            CertificateError::BadSignature => "bad_signature",
            _ => "certificate_invalid",
        },
        Error::NoCertificatesPresented => "no_certificate",
        Error::AlertReceived(alert) => match alert {
            Alert::CertificateExpired => "peer_says_certificate_expired",
            Alert::UnknownCA => "peer_says_unknown_issuer",
            Alert::DecryptError => "peer_says_bad_signature",
            Alert::CertificateRequired => "peer_says_no_certificate",
            Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate => {
                "peer_refuses_certificate"
            }
            _ => "peer_refuses_handshake",
        },
        Error::InvalidMessage(_) => "no_tls",
        _ => "handshake_failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("transport error")]
    struct Transport(#[source] io::Error);

    #[test]
    fn the_reason_is_found_below_what_wraps_it() {
        let expired = Error::InvalidCertificate(CertificateError::Expired);
        let error = Transport(io::Error::other(expired));
        assert_eq!(tls_reason(&error), Some("certificate_expired"));
        let words = with_causes(&error);
        assert!(
            words.starts_with("transport error: invalid peer certificate"),
            "{words}"
        );
        assert_eq!(words.matches("invalid peer certificate").count(), 1);
        let refused = Transport(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(tls_reason(&refused), None);
    }
}
