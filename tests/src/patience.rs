//! Polling for what takes a while.

use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_millis(250);

/// Pauses between two polls: a quarter of the time waited so far, so that the end is noticed soon and a long wait does not
/// load the machine.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    began: Instant,
}

impl Pauses {
    /// Begins to wait.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// How long the wait has lasted.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.began.elapsed()
    }

    /// Sleeps until the next poll.
    pub async fn pause(&self) {
        tokio::time::sleep((self.waited() / 4).clamp(SHORTEST, LONGEST)).await;
    }
}
