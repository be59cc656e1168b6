//! What honest people notice while a portal is attacked, and how much memory that takes: in one process, and with a
//! process for each service, as in `deploy/helm/portico/values.yaml`.
//!
//! The attackers run on the same machine, so what they cost counts, too. Memory is the highest resident size that Linux has
//! seen of a process; it is held against the limit of the chart, which sets none for CPU.

mod attack;
mod visitor;

use std::{net::SocketAddr, path::Path, time::Duration};

use portico_trials::{NATS, POSTGRESQL};
use tempfile::TempDir;

use self::{
    attack::Attack,
    visitor::{LogIns, Origin, ready_share},
};
use crate::{
    apart::Apart,
    log::message,
    portal::{ADMIN, Process},
    proc::{children, peak},
    ratio::row,
    rounds::Rounds,
    row::{Aim, Row, quantile},
};

/// After an attack has begun, until it is at its height.
const RISE: Duration = Duration::from_secs(1);
/// Log-ins of honest people during each attack.
const LOG_INS: usize = 60;
/// MiB that one process may take under log-ins.
const UNDER_LOG_INS: f64 = 100.0;

/// What is attacked.
struct Target {
    form: &'static str,
    rest: SocketAddr,
    /// Names and ids of its processes.
    processes: Vec<(String, u32)>,
}

/// One process, then separate ones.
pub(crate) async fn measure(rounds: &Rounds) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(message)?;
    whole(rounds, &folder).await?;
    if let Some(missing) = (POSTGRESQL.missing)().or_else(NATS.missing) {
        rounds.skipped("separate processes", missing);
        return Ok(());
    }
    let apart = Apart::start(environment(), 1).await?;
    let processes = children()?;
    let target = Target {
        form: "separate",
        rest: apart.cluster.edge(0).0,
        processes: processes
            .into_iter()
            .map(|(part, id, _)| (part, id))
            .collect(),
    };
    attacked(rounds, &target).await?;
    for (part, id) in &target.processes {
        let (what, limit) = (format!("memory at most, {part}"), limit(part)?);
        rounds.bound(&what, "MiB", vec![peak(*id)?], limit);
    }
    Ok(())
}

async fn whole(rounds: &Rounds, folder: &TempDir) -> Result<(), String> {
    let portal = Process::start_with(&folder.path().join("data"), &environment()).await?;
    let target = Target {
        form: "one process",
        rest: portal.rest(),
        processes: vec![("portico".to_owned(), portal.id())],
    };
    attacked(rounds, &target).await?;
    let memory = vec![peak(portal.id())?];
    rounds.bound("memory at most, one process", "MiB", memory, limit("edge")?);
    Ok(())
}

/// The attackers and the honest come through a proxy that tells from where, as far as each has one request at a time.
fn environment() -> Vec<(String, String)> {
    let proxy = format!("{}/32", attack::PROXY);
    [
        ("PORTICO_ADMIN_EMAIL", ADMIN.0),
        ("PORTICO_ADMIN_PASSWORD", ADMIN.1),
        ("PORTICO_LOG_LEVEL", "error"),
        ("PORTICO_HTTP_TRUSTED_PROXIES", proxy.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Every attack, one after the other.
async fn attacked(rounds: &Rounds, target: &Target) -> Result<(), String> {
    let honest = LogIns::prepare(target.rest).await?;
    let quiet = honest.take(LOG_INS, Origin::Home).await;
    for attack in Attack::ALL {
        rounds.progress(&format!("{attack}, {}", target.form));
        let attackers = attack.begin(target.rest, honest.token());
        tokio::time::sleep(RISE).await;
        let under = honest.take(LOG_INS, Origin::Home).await;
        compare(rounds, target, attack, &quiet, &under, Aim::AtMost(2.0));
        if attack.is_of_log_ins() {
            let strangers = honest.take(LOG_INS, Origin::Elsewhere).await;
            compare(rounds, target, attack, &quiet, &strangers, Aim::Open);
            under_log_ins(rounds, target)?;
        }
        if attack == Attack::HalfOpen {
            let share = ready_share(target.rest).await;
            let row = Row {
                ours: Some(share),
                met: Some(share >= 100.0),
                ..Row::new(
                    &format!("/readyz, {attack}, {}", target.form),
                    "% answered",
                    Aim::AtLeast(100.0),
                )
            };
            rounds.push(row);
        }
        drop(attackers);
    }
    Ok(())
}

/// The median and the 99th percentile of an honest log-in, against those of a quiet portal.
fn compare(
    rounds: &Rounds,
    target: &Target,
    attack: Attack,
    quiet: &[f64],
    under: &[f64],
    aim: Aim,
) {
    let who = match aim {
        Aim::Open => "from a new place",
        _ => "from a known place",
    };
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let of = |times: &[f64]| quantile(&mut times.to_vec(), share);
        let what = format!("log-in {who}, {name}: {attack}, {}", target.form);
        let pair = [(of(under), of(quiet))];
        rounds.push(row(&what, "seconds when it is quiet", aim, &pair));
    }
}

fn under_log_ins(rounds: &Rounds, target: &Target) -> Result<(), String> {
    let [(_, id)] = &target.processes[..] else {
        return Ok(());
    };
    let what = "memory at most, one process, after log-ins";
    rounds.bound(what, "MiB", vec![peak(*id)?], UNDER_LOG_INS);
    Ok(())
}

/// MiB that the values of the chart give a part.
fn limit(part: &str) -> Result<f64, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/portico/values.yaml");
    let text = std::fs::read_to_string(&file).map_err(message)?;
    let services = text.split_once("\nservices:").map(|(_, rest)| rest);
    let own = services.and_then(|all| all.split_once(&format!("\n  {part}:\n")));
    let limits = own.and_then(|(_, rest)| rest.split_once("limits:"));
    let memory = limits.and_then(|(_, rest)| rest.split_once("memory:"));
    let number = memory.and_then(|(_, rest)| rest.split_once("Mi")?.0.trim().parse().ok());
    number.ok_or_else(|| format!("no limit of memory for {part} in {}", file.display()))
}

#[cfg(test)]
mod tests {
    use portico_tests::cluster::Part;

    use super::*;

    #[test]
    fn every_part_has_a_limit() {
        for part in Part::ALL {
            assert!(limit(part.as_str()).unwrap() >= 64.0, "{}", part.as_str());
        }
    }
}
