//! The main flow: approvals a second until *active*, with a slow provider, a gateway and mail.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use portico::client::Portal;
use portico_runtime::ServiceName;
use portico_tests::cluster::{Cluster, Part};
use portico_trials::{NATS, POSTGRESQL};

use crate::{
    apart::Apart,
    log::message,
    peers::{Peer, Program, Task},
    portal::Process,
    ratio::{Contender, Side, contest, row},
    rounds::Rounds,
    row::Aim,
    stage::{Outside, Setting, slow},
};

/// Approvals of one turn.
const AMOUNT: usize = 128;
/// Approvals sent at once; also the threads of the script.
const AT_ONCE: usize = 32;
/// What a replica does at a time in the comparison of their numbers: so much that the provider's time and not the
/// processors of one machine is the limit.
const PERMITS: usize = 4;
/// Approvals of one of its turns.
const FEW: usize = 80;
/// What the provider takes, with one process and with separate services.
const PROVIDER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// One process beside the script that a company would write; separate services with one, two and four replicas.
pub(crate) async fn measure(rounds: &Rounds) -> Result<(), String> {
    beside_the_script(rounds).await?;
    if let Some(missing) = (POSTGRESQL.missing)().or_else(NATS.missing) {
        rounds.skipped("approvals, separate services", missing);
        return Ok(());
    }
    replicas(rounds).await
}

async fn beside_the_script(rounds: &Rounds) -> Result<(), String> {
    let outside = &Outside::start().await?;
    let folder = tempfile::tempdir().map_err(message)?;
    let portal = Process::start_with(&folder.path().join("data"), &outside.environment()).await?;
    let anonymous = portal.anonymous()?;
    let setting = Setting::configure(&anonymous, &outside.provider, Some(&outside.gateway)).await?;
    let (url, gateway) = (outside.provider.url(), &outside.gateway);
    let mail = outside.mail.smtp_address();
    let url = format!(
        "{url}/register {} {} {mail}",
        gateway.url(),
        gateway.secret()
    );
    let script = Peer::start(Program::Script, &url).await;
    let side = script.map(|peer| Box::new(Script { outside, peer }) as Box<dyn Side>);
    let against = Program::Script.name().to_owned();
    contest(
        rounds,
        "approvals, one process, provider of 50 ms",
        async || approval_rate(outside, &setting, AMOUNT, PROVIDER.0).await,
        vec![Contender {
            against,
            aim: Aim::Open,
            side,
        }],
    )
    .await
}

/// The script at a turn with the same provider.
struct Script<'a> {
    outside: &'a Outside,
    peer: Peer,
}

#[async_trait::async_trait(?Send)]
impl Side for Script<'_> {
    async fn turn(&mut self) -> Result<f64, String> {
        slow(&self.outside.provider, AMOUNT, PROVIDER.0);
        // The script takes the number of approvals in place of seconds.
        let task = Task {
            work: "flow",
            clients: AT_ONCE,
            seconds: AMOUNT as u64,
        };
        let rate = self.peer.rate(task).await;
        self.outside.provider.clear_faults();
        rate
    }
}

async fn replicas(rounds: &Rounds) -> Result<(), String> {
    // The gateway of one portal is no other's.
    let outside = &Outside::start().await?;
    rounds.progress("starts 16 processes");
    let mut environment = outside.environment();
    environment.push(("PORTICO_WORK_AT_ONCE".to_owned(), PERMITS.to_string()));
    let apart = Apart::start(environment, 4).await?;
    let http = portico_sandbox::outgoing::http_client().map_err(message)?;
    let anonymous = Portal::anonymous(http, format!("http://{}", apart.cluster.address()));
    let setting = Setting::configure(&anonymous, &outside.provider, Some(&outside.gateway)).await?;
    let mut cluster = apart.cluster;
    let counts = [1, 2, 4];
    let mut rates = Vec::new();
    rounds.progress("approvals, separate services, 1, 2 and 4 replicas");
    for round in 0..rounds.count {
        let mut of_round = [0.0; 3];
        // Up, then down, so that few have to be started and stopped.
        let mut order = [0, 1, 2];
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            keep(&mut cluster, counts[index]).await;
            of_round[index] = steady_rate(outside, &setting, FEW, PROVIDER.1).await?;
        }
        rates.push(of_round);
    }
    for (index, aim) in [(1, 1.8), (2, 3.2)] {
        let what = format!("approvals, separate services, {} replicas", counts[index]);
        let pairs: Vec<_> = rates.iter().map(|rates| (rates[index], rates[0])).collect();
        rounds.push(row(
            &what,
            "one of registration and gateway",
            Aim::AtLeast(aim),
            &pairs,
        ));
    }
    Ok(())
}

/// So many replicas of registration and gateway, and one of everything else.
async fn keep(cluster: &mut Cluster, count: usize) {
    for replica in cluster.replicas() {
        let wanted = match cluster.part(replica) {
            Part::Service(ServiceName::Registration | ServiceName::Gateway) => count,
            _ => 1,
        };
        let number = cluster
            .name(replica)
            .rsplit('-')
            .next()
            .and_then(|number| number.parse().ok());
        let runs = cluster.runs(replica);
        if number.is_some_and(|number: usize| number < wanted) {
            if !runs {
                cluster.spawn(replica, None);
                cluster.ready(replica).await;
            }
        } else if runs {
            cluster.stop(replica).await;
        }
    }
}

/// Approvals a second until *active*, from the first to the last.
async fn approval_rate(
    outside: &Outside,
    setting: &Setting,
    amount: usize,
    provider: Duration,
) -> Result<f64, String> {
    let began = Instant::now();
    let (requests, before) = approve(outside, setting, amount, provider).await?;
    Ok(requests.len() as f64 / (began.elapsed() - before).as_secs_f64())
}

/// The same in the middle of a turn: at its end a replica that took a smaller share has nothing left to do.
async fn steady_rate(
    outside: &Outside,
    setting: &Setting,
    amount: usize,
    provider: Duration,
) -> Result<f64, String> {
    let (requests, _) = approve(outside, setting, amount, provider).await?;
    let mut times = Vec::new();
    for request in &requests {
        times.push(setting.active_since(request).await?);
    }
    times.sort();
    let (first, last) = (amount / 10, amount * 3 / 4);
    let took = times[last].duration_since(times[first]);
    Ok((last - first) as f64 / took.as_secs_f64())
}

/// Approves what was submitted before and waits until all of it is active. Gives the requests, and how long it took to
/// submit them.
async fn approve(
    outside: &Outside,
    setting: &Setting,
    amount: usize,
    provider: Duration,
) -> Result<(Vec<String>, Duration), String> {
    let began = Instant::now();
    let submitted = stream::iter(0..amount)
        .map(|_| setting.submit())
        .buffer_unordered(8);
    let requests: Vec<String> = submitted.try_collect().await?;
    let took = began.elapsed();
    slow(&outside.provider, 2 * amount, provider);
    let approved = stream::iter(&requests).map(|request| setting.approve(request));
    approved
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    for request in &requests {
        setting.wait_until_active(request).await?;
    }
    outside.provider.clear_faults();
    Ok((requests, took))
}
