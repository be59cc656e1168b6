//! Errors of the store.

use std::fmt::Display;

use crate::Stream;

/// What comes of a call to the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// An error of the store itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another append was first: load again and decide again.
    #[error("stream {stream} is at version {actual}, expected {expected}")]
    Conflict {
        /// Stream that was appended to meanwhile.
        stream: Stream,
        /// Version of the stream that the append was decided on.
        expected: i64,
        /// Present version of the stream.
        actual: i64,
    },
    /// An event id of this append stands in another stream, or only some of its ids are known.
    #[error("an event id of the append to {0} was used before")]
    EventIdReused(Stream),
    /// The database is unreachable or too busy; the same call may succeed later.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// The database refused the statement.
    #[error("database: {0}")]
    Database(String),
    /// A payload could not be written or read.
    #[error("event codec: {0}")]
    Codec(String),
    /// A newer version of this program wrote an event that this one does not know: it is left to replicas that do.
    #[error("written by a newer version: {0}")]
    Newer(String),
    /// A view could not apply an event.
    #[error("projection: {0}")]
    Projection(String),
    /// A view's rule over several streams forbids the events; nothing was appended.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The store was closed.
    #[error("the event store is closed")]
    Closed,
}

impl StoreError {
    /// A payload that could not be written or read.
    pub(crate) fn codec<E: Display>(error: E) -> Self {
        Self::Codec(error.to_string())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let passes = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| passes(&code)),
            _ => false,
        };
        if passes {
            Self::Unavailable(error.to_string())
        } else {
            Self::Database(error.to_string())
        }
    }
}

/// Whether an error with this code passes with time, or when the operator has made room.
fn passes(code: &str) -> bool {
    if code.len() == 5 {
        // PostgreSQL. 08: the connection; 53: no connection, memory or disk space left; 57P: the server stops or
        // restarts; 40: deadlock; 55P03: somebody held the lock for too long; 25P03: the server ended an idle
        // transaction; 25006: it takes no writes, as a standby.
        return ["08", "53", "57P", "40"]
            .iter()
            .any(|class| code.starts_with(class))
            || matches!(code, "55P03" | "25P03" | "25006");
    }
    // SQLite: the low byte is the primary code. 5: busy; 6: locked; 8: read-only; 10: input or output; 13: disk full.
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13))
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for code in [
            "57P01", "57P03", "53100", "53300", "08006", "40P01", "55P03", "25006", "5", "517",
            "8", "13", "778",
        ] {
            assert!(passes(code), "{code}");
        }
        for code in ["23505", "42P01", "22021", "1", "2067", "1555", ""] {
            assert!(!passes(code), "{code}");
        }
    }
}
