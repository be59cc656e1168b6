//! Registrations at a slow provider, against direct POSTs to it.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use http::StatusCode;
use portico::client::Portal;
use portico_sandbox::identity_provider::{self, Fault, Handle, Operation};
use serde_json::{Value, json};

use crate::{
    log::message,
    portal::{Process, create, product},
    ratio::compare,
    row::{Aim, Rounds, quantile},
};

/// The provider's time for each registration and each update.
const ANSWER: Duration = Duration::from_millis(50);
/// Registrations in one turn.
const AMOUNT: usize = 64;
/// Approvals whose latency is measured, one after another.
const ONE_BY_ONE: usize = 50;

/// What the access requests refer to.
struct Setting {
    provider: Handle,
    developer: Portal,
    client_type: String,
    product: String,
    plan: String,
}

/// Registrations per second, and the time from submission to credentials without the provider's own.
pub(crate) async fn measure(rounds: &Rounds) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(message)?;
    let portal = Process::start(&folder.path().join("data")).await?;
    let setting = configure(&portal).await?;
    compare(
        rounds,
        &format!("registrations, {AMOUNT} at once"),
        "POSTs to the same provider",
        Aim::AtLeast(0.8),
        async || registration_rate(&setting).await,
        async || post_rate(&setting.provider).await,
    )
    .await?;
    let mut times = Vec::new();
    for _ in 0..ONE_BY_ONE {
        let before = calls(&setting.provider);
        slow(&setting.provider, 4);
        let began = Instant::now();
        let request = submit(&setting).await?;
        wait_until_active(&setting, &request).await?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        let provider = (calls(&setting.provider) - before) as f64 * ANSWER.as_secs_f64() * 1000.0;
        times.push(took - provider);
        setting.provider.clear_faults();
    }
    let what = "submit to active, beyond the provider's time, ";
    let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    rounds.bound(&format!("{what}p50"), "ms", vec![p50], 20.0);
    rounds.bound(&format!("{what}p99"), "ms", vec![p99], 80.0);
    Ok(())
}

async fn configure(portal: &Process) -> Result<Setting, String> {
    let provider = identity_provider::start(identity_provider::Settings {
        scopes: vec!["product".into(), "plan".into()],
        ..identity_provider::Settings::default()
    })
    .await
    .map_err(message)?;
    let admin = portal.admin().await?;
    let id = create(
        &admin,
        "/api/v1/identity-providers",
        json!({
            "name": "Provider", "type": "other", "well_known_url": provider.well_known_url(),
        }),
    )
    .await?;
    let client_type = create(&admin, &format!("/api/v1/identity-providers/{id}/client-types"), json!({
        "name": "Backend", "description": "", "response_types": [], "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_basic",
    }))
    .await?;
    let product = product(&admin, "Product", "product", Some(&client_type)).await?;
    let plan = create(
        &admin,
        "/api/v1/plans",
        json!({
            "name": "Plan", "description": "", "scopes": "plan", "auto_approve": true,
        }),
    )
    .await?;
    Ok(Setting {
        provider,
        developer: portal.developer().await?,
        client_type,
        product,
        plan,
    })
}

/// Delays the next calls of each kind.
fn slow(provider: &Handle, times: usize) {
    for operation in [Operation::Register, Operation::Update] {
        provider.fail_next(operation, times, Fault::Delay(ANSWER));
    }
}

fn calls(provider: &Handle) -> u64 {
    provider.requests(Operation::Register) + provider.requests(Operation::Update)
}

async fn registration_rate(setting: &Setting) -> Result<f64, String> {
    slow(&setting.provider, 2 * AMOUNT);
    let began = Instant::now();
    let requests = try_join_all((0..AMOUNT).map(|_| submit(setting))).await?;
    for request in &requests {
        wait_until_active(setting, request).await?;
    }
    let rate = AMOUNT as f64 / began.elapsed().as_secs_f64();
    setting.provider.clear_faults();
    Ok(rate)
}

async fn post_rate(provider: &Handle) -> Result<f64, String> {
    slow(provider, AMOUNT);
    let http = portico_sandbox::outgoing::http_client().map_err(message)?;
    let url = format!("{}/register", provider.url());
    let began = Instant::now();
    let posts = (0..AMOUNT).map(|number| {
        let body = json!({
            "client_name": format!("Direct {number}"), "grant_types": ["client_credentials"], "scope": "product plan",
        });
        let post = http.post(&url).json(&body);
        async move {
            let answer = post.send().await.map_err(message)?;
            answer.error_for_status().map_err(message).map(drop)
        }
    });
    try_join_all(posts).await?;
    let rate = AMOUNT as f64 / began.elapsed().as_secs_f64();
    provider.clear_faults();
    Ok(rate)
}

async fn submit(setting: &Setting) -> Result<String, String> {
    create(&setting.developer, "/api/v1/access-requests", json!({
        "items": [{"product_id": setting.product, "plan_id": setting.plan}],
        "application": {"name": "Checkout", "description": "", "redirect_urls": [], "visibility": "personal"},
        "client_type_id": setting.client_type,
    }))
    .await
}

async fn wait_until_active(setting: &Setting, request: &str) -> Result<(), String> {
    let path = format!("/api/v1/access-requests/{request}");
    loop {
        let now: Value = setting.developer.get(&path).await?.expect(StatusCode::OK)?;
        match now["status"].as_str() {
            Some("active") => return Ok(()),
            Some("failed" | "rejected") => return Err(format!("{request}: {now}")),
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}
