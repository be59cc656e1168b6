//! What this process has last learnt about the server: when the stream took a message, what permissions it lacks, which
//! consumers get nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::ServerError;
use tokio::time::Instant;

use crate::NotReady;

/// What is refused is tried again more often than this, so it has been permitted since.
const REMEMBERED: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Condition {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the stream last acknowledged a message, and on which connection.
    stored: Option<(Instant, u64)>,
    /// The last refusal by the server's permissions.
    denied: Option<(Instant, String)>,
    /// Why there is no connection.
    unreached: Option<NotReady>,
    /// Durable consumers whose deliveries are interrupted, with the reason.
    interrupted: BTreeMap<String, String>,
}

impl Condition {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connected(&self) {
        self.state().unreached = None;
    }

    /// The server's words while it refuses a connection or what is sent over it.
    pub(super) fn server_said(&self, error: &ServerError) {
        let words = error.to_string();
        if let ServerError::AuthorizationViolation = error {
            self.not_reached(words);
        } else if is_denial(&words) {
            self.state().denied = Some((Instant::now(), words));
        }
    }

    /// Why an attempt to connect failed.
    pub(super) fn not_reached(&self, cause: String) {
        // The client tells no more than a sentence.
        let words = cause.to_lowercase();
        let code = match () {
            () if words.contains("authorization violation") => "bus_refuses_login",
            () if words.contains("tls") => "bus_certificate_refused",
            () => "bus_unavailable",
        };
        self.state().unreached = Some(NotReady { code, cause });
    }

    pub(super) fn unreached(&self) -> NotReady {
        self.state().unreached.clone().unwrap_or_else(|| NotReady {
            code: "bus_unavailable",
            cause: "not connected to NATS".into(),
        })
    }

    pub(super) fn stored(&self, connection: u64) {
        self.state().stored = Some((Instant::now(), connection));
    }

    pub(super) fn not_stored(&self) {
        self.state().stored = None;
    }

    /// Whether the stream took a message over this connection within `fresh`.
    pub(super) fn has_stored(&self, connection: u64, fresh: Duration) -> bool {
        let stored = self.state().stored;
        stored.is_some_and(|(at, over)| over == connection && at.elapsed() < fresh)
    }

    pub(super) fn interrupted(&self, durable: &str, reason: String) {
        self.state().interrupted.insert(durable.to_owned(), reason);
    }

    pub(super) fn resumed(&self, durable: &str) {
        self.state().interrupted.remove(durable);
    }

    /// What permissions are missing, by the server's words.
    pub(super) fn denied(&self) -> Option<NotReady> {
        let (at, words) = self.state().denied.clone()?;
        (at.elapsed() < REMEMBERED).then_some(NotReady {
            code: "bus_permission_missing",
            cause: words,
        })
    }

    /// Messages are stored, but some do not come to us, or cannot be acknowledged.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn consumers_are_served(&self) -> Result<(), NotReady> {
        if let Some(denied) = self.denied() {
            return Err(denied);
        }
        let state = self.state();
        if state.interrupted.is_empty() {
            return Ok(());
        }
        let all = state.interrupted.iter();
        let all: Vec<String> = all.map(|(name, why)| format!("{name}: {why}")).collect();
        Err(NotReady {
            code: "bus_consumer_interrupted",
            cause: all.join("; "),
        })
    }
}

fn is_denial(words: &str) -> bool {
    words.to_lowercase().contains("permissions violation")
}
