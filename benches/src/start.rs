//! Memory and start of one idle process with ten thousand products.

use futures::{StreamExt as _, TryStreamExt as _};

use crate::{
    log::words,
    portal::{Process, product},
    ratio::{Rounds, bound, median, skipped},
};

const PRODUCTS: usize = 10_000;
/// Requests that make them, under way at once.
const AT_ONCE: usize = 16;

/// Medians of so many starts.
pub(crate) async fn measure(rounds: &Rounds) -> Result<(), String> {
    if !std::path::Path::new("/proc/self/status").is_file() {
        skipped("memory and start", "there is no /proc");
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(words)?;
    let data = folder.path().join("data");
    let portal = Process::start(&data).await?;
    let admin = portal.admin().await?;
    println!("  making {PRODUCTS} products");
    futures::stream::iter(0..PRODUCTS)
        .map(|number| {
            let admin = admin.clone();
            async move {
                let (name, scope) = (format!("Product {number}"), format!("scope_{number}"));
                product(&admin, &name, &scope, None).await.map(drop)
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    drop(portal);
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..rounds.count {
        let portal = Process::start(&data).await?;
        ready.push(portal.ready_after.as_secs_f64() * 1000.0);
        resident.push(portal.resident()?);
    }
    bound("ready, 10 000 products", "ms", median(&mut ready), 300.0);
    bound(
        "resident, idle, 10 000 products",
        "MiB",
        median(&mut resident),
        64.0,
    );
    Ok(())
}
