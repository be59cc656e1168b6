//! Registrations at a slow provider, against the same calls straight to it.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use portico_sandbox::identity_provider::{self, Handle, Operation};
use serde_json::{Value, json};
use tempfile::TempDir;

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
/// How many at once: so few that the provider's time is the limit, and all of them.
const AT_ONCE: [usize; 2] = [4, AMOUNT];
/// Approvals whose latency is measured, one after another.
const ONE_BY_ONE: usize = 50;

/// Registrations per second and the CPU of each, and the time from submission to credentials without the provider's own.
pub(crate) async fn measure(rounds: &Rounds) -> Result<(), String> {
    for at_once in AT_ONCE {
        throughput(rounds, at_once).await?;
    }
    latency(rounds).await
}

/// A portal that does so much at once, beside a program that does.
async fn throughput(rounds: &Rounds, at_once: usize) -> Result<(), String> {
    let scene = Scene::start(at_once).await?;
    let sequence = scene.sequence;
    let mut cpu = RefCell::new(Vec::new());
    compare(
        rounds,
        &format!("registrations, {at_once} at once"),
        &format!("the same calls ({sequence} each) to the provider"),
        Aim::AtLeast(0.8),
        async || {
            let before = scene.portal.cpu()?;
            let rate = scene.registration_rate().await?;
            let each = (scene.portal.cpu()? - before) * 1000.0 / AMOUNT as f64;
            cpu.borrow_mut().push(each);
            Ok(rate)
        },
        async || call_rate(&scene.provider, sequence, at_once).await,
    )
    .await?;
    let what = format!("CPU of a registration, {at_once} at once");
    rounds.bound(&what, "ms", std::mem::take(cpu.get_mut()), 15.0);
    Ok(())
}

async fn latency(rounds: &Rounds) -> Result<(), String> {
    let scene = Scene::start(1).await?;
    let mut times = Vec::new();
    for _ in 0..ONE_BY_ONE {
        let before = scene.calls();
        slow(&scene.provider, 4, ANSWER);
        let began = Instant::now();
        let request = scene.setting.submit().await?;
        scene.setting.wait_until_active(&request).await?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        let theirs = (scene.calls() - before) as f64 * ANSWER.as_secs_f64() * 1000.0;
        times.push(took - theirs);
        scene.provider.clear_faults();
    }
    let what = "submit to active, beyond the provider's time, ";
    let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    rounds.bound(&format!("{what}p50"), "ms", vec![p50], 20.0);
    rounds.bound(&format!("{what}p99"), "ms", vec![p99], 80.0);
    Ok(())
}

/// A portal with its provider, where clients are registered already.
struct Scene {
    portal: Process,
    provider: Handle,
    setting: Setting,
    /// Calls for each client but the first, by which it is found out that the provider tells how to update one.
    sequence: u64,
    _folder: TempDir,
}

impl Scene {
    /// So much is done at the provider at a time.
    async fn start(at_once: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(message)?;
        let at_once = ("PORTICO_WORK_AT_ONCE".to_owned(), at_once.to_string());
        let portal = Process::start_with(&folder.path().join("data"), &[at_once]).await?;
        let scopes = vec!["product".into(), "plan".into()];
        let settings = identity_provider::Settings {
            scopes,
            ..Default::default()
        };
        let provider = identity_provider::start(settings).await.map_err(message)?;
        let setting = Setting::configure(&portal.anonymous()?, &provider, None).await?;
        let mut scene = Self {
            portal,
            provider,
            setting,
            sequence: 0,
            _folder: folder,
        };
        for _ in 0..2 {
            let before = scene.calls();
            let request = scene.setting.submit().await?;
            scene.setting.wait_until_active(&request).await?;
            scene.sequence = scene.calls() - before;
        }
        Ok(scene)
    }

    fn calls(&self) -> u64 {
        let of = |operation| self.provider.requests(operation);
        of(Operation::Register) + of(Operation::Update)
    }

    async fn registration_rate(&self) -> Result<f64, String> {
        slow(&self.provider, 2 * AMOUNT, ANSWER);
        let began = Instant::now();
        let requests = try_join_all((0..AMOUNT).map(|_| self.setting.submit())).await?;
        for request in &requests {
            self.setting.wait_until_active(request).await?;
        }
        let rate = AMOUNT as f64 / began.elapsed().as_secs_f64();
        self.provider.clear_faults();
        Ok(rate)
    }
}

/// Registers as many clients with as many calls for each: the first registers, the others update.
async fn call_rate(provider: &Handle, sequence: u64, at_once: usize) -> Result<f64, String> {
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
    let done = stream::iter(clients).buffer_unordered(at_once);
    done.try_collect::<()>().await?;
    let rate = AMOUNT as f64 / began.elapsed().as_secs_f64();
    provider.clear_faults();
    Ok(rate)
}
