//! Every service as processes of its own, two replicas of each, on PostgreSQL and NATS: one dies, all of a service
//! die, one is told to end; the others go on.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use portico_runtime::ServiceName;
use portico_tests::cluster::{Part, Replica};

use crate::{
    invariants,
    random::Random,
    round::Round,
    workload::{APPLICATIONS, Workload},
    world::{REPLICAS, Setup, World},
};

/// The longest that a replica may take to come to its point; the other one may have the work.
const LIFE: Duration = Duration::from_secs(3);

/// Who has which points.
const POINTS: [(ServiceName, &[&str]); 7] = [
    (
        ServiceName::AccessRequest,
        &[
            "approving",
            "approved",
            "appending",
            "appended",
            "handling@portico.registration.registration_reported",
            "handling@portico.gateway.gateway_reported",
            "appending@access_request.activated",
            "appended@access_request.activated",
        ],
    ),
    (
        ServiceName::Registration,
        &[
            "acking",
            "acked",
            "intending",
            "intent",
            "posting",
            "answer_unspooled",
            "answer_received",
            "registering",
            "registered",
            "publishing@portico.registration.registration_reported",
            "published@portico.registration.registration_reported",
        ],
    ),
    (
        ServiceName::Gateway,
        &[
            "acking",
            "gateway_intent",
            "gateway_written",
            "key_intent",
            "key_answer_received",
            "publishing@portico.gateway.gateway_reported",
            "published@portico.gateway.gateway_reported",
        ],
    ),
    (
        ServiceName::Notification,
        &["mail_queueing", "mail_queued", "mail_sending", "mail_sent"],
    ),
    (
        ServiceName::AccessRequest,
        &["publishing", "published", "checkpointing", "checkpointed"],
    ),
    (
        ServiceName::Registration,
        &["publishing", "published", "checkpointing", "checkpointed"],
    ),
    (
        ServiceName::Gateway,
        &["publishing", "published", "checkpointing", "checkpointed"],
    ),
];

pub fn setup() -> Setup {
    Setup {
        servers: true,
        apart: true,
        ..Setup::default()
    }
}

/// Replicas die at random and at points, and whole services at once.
pub async fn kills(round: Arc<Round>) {
    let mut world = World::start(&round.folder, setup()).await;
    let portal = world.configure().await;
    let workload = Workload::begin(&portal, round.seed, 3, APPLICATIONS);
    let mut random = Random::new(round.seed, "apart");
    for _ in 0..round.kills_in_round {
        match random.below(4) {
            0 => at_a_point(&round, &mut world, &mut random).await,
            1 => whole_service(&round, &mut world, &mut random).await,
            _ => one_replica(&round, &mut world, &mut random).await,
        }
    }
    world.ready().await;
    workload.finish().await;
    invariants::check(&mut world, &portal).await;
}

async fn one_replica(round: &Round, world: &mut World, random: &mut Random) {
    pause(random, 800).await;
    let replica = pick(&world.cluster().replicas(), random);
    world.cluster().spawn(replica, None);
    round.killed();
}

async fn at_a_point(round: &Round, world: &mut World, random: &mut Random) {
    let (service, points) = pick(&POINTS, random);
    let point = pick(points, random);
    let number = usize::try_from(random.below(REPLICAS as u64)).unwrap();
    let cluster = world.cluster();
    let replica = cluster.replica(Part::Service(service), number);
    cluster.spawn(replica, Some(point));
    round.killed();
    let deadline = tokio::time::Instant::now() + LIFE;
    while cluster.runs(replica) && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if !cluster.runs(replica) {
        round.reached(point);
    }
    cluster.spawn(replica, None);
    round.killed();
}

/// Nobody does its work for a moment; callers are told to come back.
async fn whole_service(round: &Round, world: &mut World, random: &mut Random) {
    pause(random, 500).await;
    let part = pick(&Part::ALL, random);
    let cluster = world.cluster();
    let replicas = (0..REPLICAS).map(|number| cluster.replica(part, number));
    let replicas: Vec<Replica> = replicas.collect();
    for replica in &replicas {
        cluster.kill(*replica);
        round.killed();
    }
    pause(random, 800).await;
    for replica in replicas {
        world.cluster().spawn(replica, None);
    }
}

/// Each replica is told to end and started again while people work: nobody is refused, and nothing is lost.
pub async fn restarts(round: Arc<Round>) {
    let mut world = World::start(&round.folder, setup()).await;
    let portal = world.configure().await;
    let workload = Workload::begin(&portal, round.seed, 2, APPLICATIONS);
    portal.wait_for_requests(1).await;
    let mut replicas = world.cluster().replicas();
    Random::new(round.seed, "restarts").shuffle(&mut replicas);
    for replica in replicas {
        world.cluster().restart(replica).await;
    }
    let refused = [&portal.admin, &portal.developer].map(|who| who.refused.load(Ordering::Relaxed));
    assert_eq!(refused, [0, 0], "somebody was refused during a restart");
    workload.finish().await;
    invariants::check(&mut world, &portal).await;
}

async fn pause(random: &mut Random, most: u64) {
    tokio::time::sleep(Duration::from_millis(random.below(most))).await;
}

fn pick<T: Copy>(from: &[T], random: &mut Random) -> T {
    from[usize::try_from(random.below(from.len() as u64)).unwrap()]
}
