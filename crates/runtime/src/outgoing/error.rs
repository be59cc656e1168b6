//! Why an outgoing call failed, without its URL, headers or bodies.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

/// Why an outgoing call failed. Messages are fit for an admin to read; no variant holds a path, query, header or body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// The address may not be called; nothing was sent.
    #[error("the address is refused: {reason}")]
    Refused {
        /// Rule that forbids the call.
        reason: Refusal,
    },
    /// No complete answer in time. The other side may have acted.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// No connection; nothing was sent.
    #[error("cannot connect: {reason}")]
    Connect {
        /// Such as `connection refused`.
        reason: String,
    },
    /// No trusted connection; nothing was sent.
    #[error("TLS failed: {reason}")]
    Tls {
        /// Such as an unknown issuer of the certificate.
        reason: String,
    },
    /// The answer has more bytes than allowed. The other side may have acted.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The connection broke or it was no HTTP. The other side may have acted.
    #[error("the connection broke or the answer is no HTTP: {reason}")]
    Protocol {
        /// Cause as the HTTP library reports it.
        reason: String,
    },
    /// The head of the answer came, its body did not: the other side has acted as the status says.
    #[error("{cause} (status {status})")]
    Unread {
        /// HTTP status.
        status: u16,
        /// [`Timeout`](Self::Timeout), [`TooLarge`](Self::TooLarge) or [`Protocol`](Self::Protocol).
        cause: Box<Self>,
    },
}

/// Which rule forbids to call an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Only `https` and `http`.
    #[error("the scheme must be https or http")]
    Scheme,
    /// User name or password in the URL.
    #[error("the URL must not contain a user name or password")]
    Credentials,
    /// The port is not on the list.
    #[error("port {0} is not among outgoing.allowed_ports")]
    Port(u16),
    /// Private, loopback, link-local or otherwise not public. The address is not
    /// told: what an internal name resolves to is nobody's business.
    #[error(
        "{host} is not a public address; the operator can list it in PORTICO_ALLOW_PRIVATE_ADDRESSES"
    )]
    NotPublic {
        /// The host as in the URL.
        host: String,
    },
}

impl From<Refusal> for OutgoingError {
    fn from(reason: Refusal) -> Self {
        Self::Refused { reason }
    }
}

impl OutgoingError {
    /// A stable code, for traces and metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Timeout(_) => "timeout",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::TooLarge { .. } => "too_large",
            Self::Protocol { .. } => "protocol",
            Self::Unread { cause, .. } => cause.word(),
        }
    }

    /// What went wrong, whether or not the head of an answer came before it.
    #[must_use]
    pub fn cause(&self) -> &Self {
        match self {
            Self::Unread { cause, .. } => cause,
            other => other,
        }
    }

    /// Whether the other side said by its status that it did what was asked.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(
            self,
            Self::Unread {
                status: 200..=299,
                ..
            }
        )
    }

    /// Whether the request has certainly not reached the other side, so that sending it again cannot do anything twice.
    #[must_use]
    pub fn never_sent(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Connect { .. } | Self::Tls { .. }
        )
    }

    /// Translates the client's error.
    pub(super) fn classify(error: reqwest::Error) -> Self {
        let connecting = error.is_connect();
        let timeout = error.is_timeout();
        // A URL may hold a secret in its query.
        let error = error.without_url();
        if let Some(refusal) = find::<Refusal>(&error) {
            return refusal.clone().into();
        }
        let reason = innermost(&error);
        match (connecting, find::<rustls::Error>(&error)) {
            (true, Some(tls)) => Self::Tls {
                reason: tls.to_string(),
            },
            (true, None) if timeout => Self::Connect {
                reason: "timed out".to_owned(),
            },
            (true, None) => Self::Connect { reason },
            (false, _) => Self::Protocol { reason },
        }
    }
}

/// The errors behind an error. An `io::Error` hides the one it was made of from `source`, so it is asked for it.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        let error: &'a (dyn StdError + 'static) = *error;
        error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn StdError + 'static))
            .or_else(|| error.source())
    })
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
