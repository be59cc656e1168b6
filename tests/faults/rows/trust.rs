//! Every service as processes of its own, which have to agree: on the time, and on who is who.

use std::sync::{Arc, atomic::Ordering};

use portico_tests::cluster::{Part, Replica};
use serde_json::Value;

use super::apart::setup;
use crate::{
    client::until,
    invariants,
    random::Random,
    round::Round,
    workload::{APPLICATIONS, Workload},
    world::{REPLICAS, Setup, World},
};

/// Ahead is positive.
const OFFSETS: [&str; 3] = ["6", "-70", "300"];

/// One replica's clock is off: it says so, and is not ready. Nobody is told to sign in again, and what its peers refuse is
/// done when its clock is right.
pub async fn clock_of_one_replica(round: Arc<Round>) {
    let mut world = World::start(&round.folder, setup()).await;
    let portal = world.configure().await;
    let mut random = Random::new(round.seed, "clock-apart");
    for (turn, offset) in OFFSETS.into_iter().enumerate() {
        let replica = pick(&world.cluster().replicas(), &mut random);
        let own = [("FAULT_CLOCK_OFFSET_SECONDS", offset)];
        world.cluster().spawn_with(replica, &own);
        round.killed();
        let told = not_ready(&mut world, replica, "clock").await;
        assert_eq!(told["reason"], "clock_off", "{told}");
        let seconds = told["offset_seconds"].as_f64().unwrap();
        let right: f64 = offset.parse().unwrap();
        assert!((seconds - right).abs() < 3.0, "{told}");
        let address = world.cluster().probe(replica);
        let numbers = text(&format!("http://{address}/metrics")).await;
        assert!(
            numbers.contains("\nportico_clock_offset_seconds "),
            "{numbers}"
        );
        let log = world.cluster().log(replica);
        assert!(log.contains("the clock of this process is"), "{log}");

        let workload = Workload::begin(&portal, round.seed + turn as u64, 2, APPLICATIONS);
        portal.wait_for_requests(1).await;
        world.cluster().spawn(replica, None);
        round.killed();
        world.ready().await;
        workload.finish().await;
    }
    invariants::check(&mut world, &portal).await;
}

/// Both replicas of a service have only certificates that have expired: its callers are told that it is away, and the log
/// of both sides why. With others in the same files all goes on, without a restart.
pub async fn certificates(round: Arc<Round>) {
    let setup = Setup {
        environment: vec![("PORTICO_TLS_RELOAD_INTERVAL", "250ms".to_owned())],
        ..setup()
    };
    let mut world = World::start(&round.folder, setup).await;
    let portal = world.configure().await;
    // All that the edge calls for a request; registration would only be late.
    let part = Part::ALL[usize::try_from(round.seed % 2).unwrap()];
    let cluster = world.cluster();
    cluster.authority().issue_until(part.as_str(), 2020);
    let replicas: Vec<Replica> = (0..REPLICAS)
        .map(|number| cluster.replica(part, number))
        .collect();
    for replica in &replicas {
        cluster.spawn(*replica, None);
        round.killed();
    }
    for replica in &replicas {
        cluster.ready(*replica).await;
    }
    let refused = || {
        let who = [&portal.admin, &portal.developer].into_iter();
        who.map(|who| who.refused.load(Ordering::Relaxed))
            .sum::<u64>()
    };
    let before = refused();
    let workload = Workload::begin(&portal, round.seed, 2, APPLICATIONS);
    until("503", || async { (refused() > before).then_some(()) }).await;
    let expired = "TLS handshake failed: peer_says_certificate_expired";
    let edges: Vec<Replica> = (0..REPLICAS)
        .map(|number| cluster.replica(Part::Edge, number))
        .collect();
    let failed = format!("TLS with {} failed: certificate_expired", part.as_str());
    until("the reason in the log of both sides", || async {
        let said = |all: &[Replica], words: &str| {
            all.iter()
                .any(|replica| cluster.log(*replica).contains(words))
        };
        (said(&replicas, expired) && said(&edges, &failed)).then_some(())
    })
    .await;

    cluster.authority().issue(part.as_str());
    workload.finish().await;
    for replica in &replicas {
        let log = world.cluster().log(*replica);
        assert!(log.contains("certificates were replaced"), "{log}");
    }
    invariants::check(&mut world, &portal).await;
}

/// A part of readiness that is missing.
async fn not_ready(world: &mut World, replica: Replica, part: &str) -> Value {
    let address = world.cluster().probe(replica);
    until(part, || async {
        let answer = text_of(&format!("http://{address}/readyz")).await?;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        let mut parts = answer["parts"].as_array()?.iter();
        let missing = |told: &&Value| told["part"] == part && told["ready"] == false;
        parts.find(missing).cloned()
    })
    .await
}

async fn text(url: &str) -> String {
    text_of(url).await.unwrap()
}

async fn text_of(url: &str) -> Option<String> {
    let http = portico_sandbox::outgoing::http_client().unwrap();
    http.get(url).send().await.ok()?.text().await.ok()
}

fn pick<T: Copy>(from: &[T], random: &mut Random) -> T {
    from[usize::try_from(random.below(from.len() as u64)).unwrap()]
}
