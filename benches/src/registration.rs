//! Registrations at a slow provider, against the same calls straight to it.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use portico_sandbox::identity_provider::{self, Handle, Operation};
use serde_json::{Value, json};

use crate::{
    log::message,
    portal::Process,
    ratio::compare,
    rounds::Rounds,
    row::{Aim, quantile},
    stage::{Setting, slow},
};

/// The provider's time for each registration and each update.
const ANSWER: Duration = Duration::from_millis(50);
/// Registrations in one turn.
const AMOUNT: usize = 64;
/// Approvals whose latency is measured, one after another.
const ONE_BY_ONE: usize = 50;

/// Registrations per second and the CPU of each, and the time from submission to credentials without the provider's own.
pub(crate) async fn measure(rounds: &Rounds) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(message)?;
    let portal = Process::start(&folder.path().join("data")).await?;
    let scopes = vec!["product".into(), "plan".into()];
    let settings = identity_provider::Settings {
        scopes,
        ..Default::default()
    };
    let provider = identity_provider::start(settings).await.map_err(message)?;
    let setting = Setting::configure(&portal.anonymous()?, &provider, None).await?;
    let first = setting.submit().await?;
    setting.wait_until_active(&first).await?;
    let sequence = calls(&provider);
    let mut cpu = RefCell::new(Vec::new());
    compare(
        rounds,
        &format!("registrations, {AMOUNT} at once"),
        &format!("the same calls ({sequence} each) to the provider"),
        Aim::AtLeast(0.8),
        async || {
            let before = portal.cpu()?;
            let rate = registration_rate(&setting, &provider).await?;
            let each = (portal.cpu()? - before) * 1000.0 / AMOUNT as f64;
            cpu.borrow_mut().push(each);
            Ok(rate)
        },
        async || call_rate(&provider, sequence).await,
    )
    .await?;
    rounds.bound(
        "CPU of a registration",
        "ms",
        std::mem::take(cpu.get_mut()),
        15.0,
    );
    let mut times = Vec::new();
    for _ in 0..ONE_BY_ONE {
        let before = calls(&provider);
        slow(&provider, 4, ANSWER);
        let began = Instant::now();
        let request = setting.submit().await?;
        setting.wait_until_active(&request).await?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        let theirs = (calls(&provider) - before) as f64 * ANSWER.as_secs_f64() * 1000.0;
        times.push(took - theirs);
        provider.clear_faults();
    }
    let what = "submit to active, beyond the provider's time, ";
    let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    rounds.bound(&format!("{what}p50"), "ms", vec![p50], 20.0);
    rounds.bound(&format!("{what}p99"), "ms", vec![p99], 80.0);
    Ok(())
}

fn calls(provider: &Handle) -> u64 {
    provider.requests(Operation::Register) + provider.requests(Operation::Update)
}

async fn registration_rate(setting: &Setting, provider: &Handle) -> Result<f64, String> {
    slow(provider, 2 * AMOUNT, ANSWER);
    let began = Instant::now();
    let requests = try_join_all((0..AMOUNT).map(|_| setting.submit())).await?;
    for request in &requests {
        setting.wait_until_active(request).await?;
    }
    let rate = AMOUNT as f64 / began.elapsed().as_secs_f64();
    provider.clear_faults();
    Ok(rate)
}

/// Registers as many clients at once with as many calls for each: the first registers, the others update.
async fn call_rate(provider: &Handle, sequence: u64) -> Result<f64, String> {
    slow(provider, 2 * AMOUNT, ANSWER);
    let http = portico_sandbox::outgoing::http_client().map_err(message)?;
    let url = format!("{}/register", provider.url());
    let began = Instant::now();
    let clients = (0..AMOUNT).map(async |number| {
        let mut body = json!({
            "client_name": format!("Direct {number}"), "grant_types": ["client_credentials"], "scope": "product plan",
        });
        let registered = http.post(&url).json(&body).send().await.map_err(message)?;
        let registered = registered.error_for_status().map_err(message)?;
        let registered: Value = registered.json().await.map_err(message)?;
        body["client_id"] = registered["client_id"].clone();
        let uri = registered["registration_client_uri"].as_str().unwrap_or_default();
        let token = registered["registration_access_token"].as_str().unwrap_or_default();
        for _ in 1..sequence {
            let update = http.put(uri).bearer_auth(token).json(&body);
            let updated = update.send().await.map_err(message)?;
            updated.error_for_status().map_err(message)?;
        }
        Ok::<_, String>(())
    });
    try_join_all(clients).await?;
    let rate = AMOUNT as f64 / began.elapsed().as_secs_f64();
    provider.clear_faults();
    Ok(rate)
}
