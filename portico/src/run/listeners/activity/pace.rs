//! How fast a peer reads what waits for it. Time in which nothing waits for it, or somebody else of the same connection
//! is served, does not count; so what it owes is not forgiven by a pause.

use std::time::Duration;

use portico_runtime::config::Connections;
use tokio::time::Instant;

use super::after;

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since when everything waits for the peer.
    since: Option<Instant>,
    /// For how long it did before, since the period began.
    waited: Duration,
    /// Bytes that were read in the period.
    read: u64,
    /// When something was read last, or everything began to wait.
    progress: Option<Instant>,
}

impl Pace {
    pub(super) fn waits(&mut self, waits: bool) {
        match (waits, self.since) {
            (true, None) => {
                self.since = Some(Instant::now());
                self.progress = self.since;
            }
            (false, Some(since)) => {
                self.waited += since.elapsed();
                self.since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    pub(super) fn is_read(&mut self, bytes: usize) {
        self.read = self.read.saturating_add(bytes as u64);
        self.progress = Some(Instant::now());
    }

    /// When the peer will have read too little, if it goes on like this; now, if it has. A period is over when something has
    /// waited for so long, also where nothing does by the time that somebody looks.
    pub(super) fn deadline(&mut self, limits: &Connections) -> Option<Instant> {
        let (now, period) = (Instant::now(), limits.stall_timeout);
        let waits = self.since.map_or(Duration::ZERO, |since| now - since);
        if self.waited + waits >= period {
            let owed = u128::from(limits.min_read_rate) * period.as_millis() / 1000;
            if u128::from(self.read) < owed {
                return Some(now);
            }
            (self.waited, self.read) = (Duration::ZERO, 0);
            self.since = self.since.map(|_| now);
        }
        let since = self.since?;
        let ends = after(since, period.saturating_sub(self.waited));
        let stalls = after(self.progress.unwrap_or(since), period);
        Some(ends.min(stalls))
    }
}
