//! Graceful shutdown: a signal cancels a token, tasks finish what they have begun, and after a deadline the process
//! ends anyway.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of a process and the token that tells them to stop. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

/// Result of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All tasks have ended.
    Complete,
    /// The deadline passed with this many still running.
    Abandoned(usize),
}

impl Shutdown {
    /// One that only [`Shutdown::begin`] triggers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGTERM and SIGINT trigger. A second signal ends the process at
    /// once with status 130, for somebody who does not want to wait.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let mut signals = Signals::install()?;
        let token = shutdown.token.clone();
        // Not tracked: it lives as long as the process.
        tokio::spawn(async move {
            signals.next().await;
            tracing::info!("stopping; a second signal stops at once");
            token.cancel();
            signals.next().await;
            tracing::warn!("stopped at once by a second signal");
            std::process::exit(130);
        });
        Ok(shutdown)
    }

    /// Cancelled on shutdown: take no new work, finish what is begun.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Cancels the token.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Waits for the token.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }

    /// Starts a task that [`Shutdown::drain`] waits for.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Cancels the token and waits for all tasks, at most this long.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.begin();
        self.tasks.close();
        match tokio::time::timeout(deadline, self.tasks.wait()).await {
            Ok(()) => Drained::Complete,
            Err(_) => {
                let left = self.tasks.len();
                tracing::warn!(tasks = left, "the time to stop is over, {left} tasks left");
                Drained::Abandoned(left)
            }
        }
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Without a handler the default ends the process, which will do.
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drains_when_all_have_ended() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        let task = shutdown.spawn(async move {
            token.cancelled().await;
            "finished"
        });
        assert_eq!(
            shutdown.drain(Duration::from_secs(10)).await,
            Drained::Complete
        );
        assert_eq!(task.await.unwrap(), "finished");
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_at_the_deadline() {
        let shutdown = Shutdown::new();
        shutdown.spawn(std::future::pending::<()>());
        assert_eq!(
            shutdown.drain(Duration::from_secs(10)).await,
            Drained::Abandoned(1)
        );
    }

    #[tokio::test]
    async fn clones_stop_together() {
        let shutdown = Shutdown::new();
        shutdown.clone().begin();
        shutdown.begun().await;
        assert!(shutdown.token().is_cancelled());
    }
}
