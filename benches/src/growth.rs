//! Latency of frequent calls as the number of access requests in the store grows.

use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use portico::client::Portal;
use serde_json::{Value, json};

use crate::{
    log::message,
    portal::{Process, create, product},
    rounds::Rounds,
    row::median,
};

const CONCURRENCY: usize = 32;
const SAMPLES: usize = 200;

/// Prints medians in milliseconds at each size, and their ratio to those at the first size; the aim is at most 1.5.
pub(crate) async fn measure(rounds: &Rounds, sizes: &[usize]) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(message)?;
    let portal = Process::start(&folder.path().join("data")).await?;
    let admin = portal.admin().await?;
    let developer = portal.developer().await?;
    let product = product(&admin, "Product", "product", None).await?;
    let plan = json!({"name": "Plan", "description": "", "scopes": "plan", "auto_approve": false});
    let plan = create(&admin, "/api/v1/plans", plan).await?;
    let body = json!({
        "items": [{"product_id": product, "plan_id": plan}],
        "application": {"name": "Checkout", "description": "", "redirect_urls": [], "visibility": "personal"},
    });
    let mut submitted = 0;
    let mut first: Option<[f64; 4]> = None;
    for &size in sizes {
        rounds.progress(&format!("submits up to {size} access requests"));
        futures::stream::iter(submitted..size)
            .map(|_| create(&developer, "/api/v1/access-requests", body.clone()))
            .buffer_unordered(CONCURRENCY)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        submitted = submitted.max(size);
        let mut taken = [0.0; 4];
        for _ in 0..rounds.count {
            let now = latencies(&admin, &developer, &body).await?;
            for (sum, one) in taken.iter_mut().zip(now) {
                *sum += one / rounds.count as f64;
            }
        }
        let base = *first.get_or_insert(taken);
        for ((name, now), base) in ["submit", "read one", "first page", "filtered page"]
            .into_iter()
            .zip(taken)
            .zip(base)
        {
            println!(
                "{size:>9} access requests   {name:<14} {now:>8.2} ms   {:>5.2} times the first",
                now / base
            );
        }
    }
    Ok(())
}

async fn latencies(admin: &Portal, developer: &Portal, body: &Value) -> Result<[f64; 4], String> {
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..SAMPLES {
        let began = Instant::now();
        let id = create(developer, "/api/v1/access-requests", body.clone()).await?;
        times[0].push(began.elapsed().as_secs_f64() * 1000.0);
        let one = format!("/api/v1/access-requests/{id}");
        let pages = [
            one.as_str(),
            "/api/v1/access-requests?limit=20",
            "/api/v1/access-requests?limit=20&status=pending",
        ];
        for (path, times) in pages.iter().zip(times.iter_mut().skip(1)) {
            let began = Instant::now();
            admin.get(path).await?.expect(StatusCode::OK)?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(times.map(|mut times| median(&mut times)))
}
