//! Memory and start-up time of an idle process with ten thousand products.

use futures::{StreamExt as _, TryStreamExt as _};

use crate::{
    log::message,
    portal::{Process, product},
    rounds::Rounds,
};

const PRODUCTS: usize = 10_000;
/// Concurrent requests that create them.
const CONCURRENCY: usize = 16;

/// Medians over the rounds; each starts a process.
pub(crate) async fn measure(rounds: &Rounds) -> Result<(), String> {
    if !std::path::Path::new("/proc/self/status").is_file() {
        rounds.skipped("memory and start", "there is no /proc");
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(message)?;
    let data = folder.path().join("data");
    let portal = Process::start(&data).await?;
    let admin = portal.admin().await?;
    rounds.progress("creates 10 000 products");
    futures::stream::iter(0..PRODUCTS)
        .map(|number| {
            let admin = admin.clone();
            async move {
                let (name, scope) = (format!("Product {number}"), format!("scope_{number}"));
                product(&admin, &name, &scope, None).await.map(drop)
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await?;
    drop(portal);
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..rounds.count {
        let portal = Process::start(&data).await?;
        ready.push(portal.ready_after.as_secs_f64() * 1000.0);
        resident.push(portal.resident()?);
    }
    rounds.bound("ready, 10 000 products", "ms", ready, 300.0);
    rounds.bound("resident, idle, 10 000 products", "MiB", resident, 64.0);
    Ok(())
}
