//! What a signal does. A file of its own, since the signal goes to the process.

use std::process::Command;
use std::time::Duration;

use portico_runtime::shutdown::{Drained, Shutdown};

#[tokio::test]
async fn sigterm_begins_the_shutdown() {
    let shutdown = Shutdown::on_signals().unwrap();
    assert!(!shutdown.token().is_cancelled());
    let token = shutdown.token();
    shutdown.spawn(async move { token.cancelled().await });
    let id = std::process::id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(sent.success());
    tokio::time::timeout(Duration::from_secs(10), shutdown.begun())
        .await
        .expect("the signal arrives");
    let drained = shutdown.drain(Duration::from_secs(10)).await;
    assert_eq!(drained, Drained::Complete);
}
