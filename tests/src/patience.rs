//! Looking again at what takes a while.

use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_millis(250);

/// Pauses between two looks, a quarter of what was waited so far: the end is noticed soon, and looking does not take
/// the machine from what is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    began: Instant,
}

impl Pauses {
    /// The waiting begins.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// How long it has lasted.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.began.elapsed()
    }

    /// Until the next look.
    pub async fn pause(&self) {
        tokio::time::sleep((self.waited() / 4).clamp(SHORTEST, LONGEST)).await;
    }
}
