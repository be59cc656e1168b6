//! SIGHUP: what can change while the process runs is read again at once.

use std::{io, sync::LazyLock};

use tokio::sync::watch;

/// How many there were. Signals are the process's, and so is this.
static HANGUPS: LazyLock<watch::Sender<u64>> = LazyLock::new(watch::Sender::default);

/// Takes the signal from now on, which would end the process otherwise. Once, within the runtime.
///
/// # Errors
/// The handler cannot be installed.
#[cfg(unix)]
pub fn listen() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut signals = signal(SignalKind::hangup())?;
    // Lives as long as the process.
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            HANGUPS.send_modify(|count| *count += 1);
        }
    });
    Ok(())
}

/// There is no such signal here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn listen() -> io::Result<()> {
    Ok(())
}

/// Changes with every signal from now on.
#[must_use]
pub fn hangups() -> watch::Receiver<u64> {
    HANGUPS.subscribe()
}
