//! `kill -9` before and after whatever must not be done twice, nor get lost, and at any other time.
//!
//! A round starts Portico again and again while people work; each process is to die at a point, the n-th time that
//! it is reached, or after a time. So what recovers from a kill is killed too. Points of the first kind are in
//! `portico_eventstore::fault`; a process that does not come to its point is killed where it is.

use std::{sync::Arc, time::Duration};

use portico_eventstore::fault;
use portico_sandbox::identity_provider::{Fault, Operation};

use crate::{
    invariants,
    provider::{Provider, Which},
    random::Random,
    round::Round,
    workload::{APPLICATIONS, Wish, Workload},
    world::{Portal, Setup, World},
};

/// The longest life of a process that is to die at a point, from when it is ready.
const LIFE: Duration = Duration::from_secs(5);
const OKTA_CLIENTS: &str = "/oauth2/v1/clients";

/// How one process dies.
#[derive(Clone, Copy)]
enum Death {
    /// At the n-th time at a point.
    At(&'static str, u64),
    /// Between the request to the provider and its answer.
    PostSent,
    /// Some time after its start.
    After(Duration),
}

pub async fn embedded(round: Arc<Round>) {
    run(&round, Setup::default()).await;
}

pub async fn servers(round: Arc<Round>) {
    run(
        &round,
        Setup {
            servers: true,
            ..Setup::default()
        },
    )
    .await;
}

pub async fn replicas(round: Arc<Round>) {
    run(
        &round,
        Setup {
            servers: true,
            replicas: true,
            ..Setup::default()
        },
    )
    .await;
}

pub async fn embedded_keycloak(round: Arc<Round>) {
    run(
        &round,
        Setup {
            provider: Which::Keycloak,
            ..Setup::default()
        },
    )
    .await;
}

/// Class B.
pub async fn embedded_okta(round: Arc<Round>) {
    run(
        &round,
        Setup {
            provider: Which::Okta,
            ..Setup::default()
        },
    )
    .await;
}

pub async fn servers_keycloak(round: Arc<Round>) {
    run(
        &round,
        Setup {
            servers: true,
            provider: Which::Keycloak,
            ..Setup::default()
        },
    )
    .await;
}

/// Between every two commits of an access request.
pub async fn steps(round: Arc<Round>) {
    let setup = Setup {
        servers: true,
        ..Setup::default()
    };
    let half = fault::STEPS.len() / 2;
    let first = usize::try_from(round.seed % 2).unwrap() * half;
    let steps = fault::STEPS.iter().skip(first).take(half);
    let deaths = steps.map(|step| Death::At(step, 1)).collect();
    run_to(&round, setup, deaths).await;
}

async fn run(round: &Round, setup: Setup) {
    let deaths = deaths(round, setup.provider);
    run_to(round, setup, deaths).await;
}

async fn run_to(round: &Round, setup: Setup, deaths: Vec<Death>) {
    let mut world = World::start(&round.folder, setup).await;
    let portal = world.configure().await;
    let workload = Workload::begin(&portal, round.seed, 3, APPLICATIONS);
    for death in deaths {
        if let Some(second) = &mut world.second {
            // The other replica goes on alone, and is the next to die.
            std::mem::swap(&mut world.portico, second);
        }
        die(round, &mut world, &portal, &workload, death).await;
        if world.second.is_some() {
            world.portico.spawn(None);
        }
    }
    world.portico.kill().await;
    world.portico.start().await;
    workload.finish().await;
    invariants::check(&mut world, &portal).await;
}

/// The deaths of a round: some points, one after another over the seeds, in an order of the seed's own.
fn deaths(round: &Round, provider: Which) -> Vec<Death> {
    let mut random = Random::new(round.seed, "deaths");
    // `portico rewrap` is a row of its own; the plain one cannot rotate.
    let points: Vec<&str> = fault::POINTS
        .into_iter()
        .filter(|point| {
            !point.starts_with("rewrap") && (provider != Which::Sandbox || *point != "rotating")
        })
        .collect();
    let points_in_round = round.kills_in_round - round.kills_in_round / 4;
    let first = usize::try_from(round.seed).unwrap() * points_in_round;
    let mut deaths: Vec<Death> = (first..first + points_in_round)
        .map(|index| Death::At(points[index % points.len()], 1 + random.below(2)))
        .collect();
    while deaths.len() < round.kills_in_round {
        deaths.push(match random.below(3) {
            0 if provider != Which::Keycloak => Death::PostSent,
            _ => Death::After(Duration::from_millis(random.below(1200))),
        });
    }
    random.shuffle(&mut deaths);
    deaths
}

async fn die(round: &Round, world: &mut World, portal: &Portal, workload: &Workload, death: Death) {
    world.portico.kill().await;
    match death {
        Death::At(point, times) => {
            world.portico.spawn(Some(&format!("{point}:{times}")));
            world.portico.ready_or_dead().await;
            if comes_to(point, world, portal, workload).await {
                round.reached(point);
            }
        }
        Death::PostSent => post_sent(round, world).await,
        Death::After(time) => {
            world.portico.spawn(None);
            assert!(!world.portico.dies_within(time).await, "it ended by itself");
        }
    }
    round.killed();
    world.portico.kill().await;
}

/// Whether the process dies at the point, while people do what leads there.
async fn comes_to(point: &str, world: &mut World, portal: &Portal, workload: &Workload) -> bool {
    // What the mix has too seldom for a process that lives for seconds.
    let wish = match point.rsplit_once('@') {
        Some((_, "access_request.failed")) => Wish::Failure,
        Some((_, "access_request.ended")) => Wish::End,
        _ if point == "rotating" => {
            return tokio::select! {
                died = world.portico.dies_within(LIFE * 4) => died,
                never = portal.keep_rotating() => match never {},
            };
        }
        Some(_) => return world.portico.dies_within(LIFE * 4).await,
        None => return world.portico.dies_within(LIFE).await,
    };
    workload.wish(Some(wish));
    let died = world.portico.dies_within(LIFE * 4).await;
    workload.wish(None);
    died
}

/// The provider does its work and is slow to say so; the process dies meanwhile.
async fn post_sent(round: &Round, world: &mut World) {
    match &world.provider {
        Provider::Sandbox(provider) => {
            provider.clear_faults();
            provider.fail_next(Operation::Register, 50, Fault::CommitThenDelay(LIFE));
        }
        Provider::Okta(org) => org.lose_next(http::Method::POST, OKTA_CLIENTS),
        Provider::Keycloak(_) => {}
    }
    let before = posts(world);
    world.portico.spawn(None);
    world.portico.ready_or_dead().await;
    let deadline = tokio::time::Instant::now() + LIFE;
    while posts(world) == before && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if posts(world) > before {
        round.reached("post sent");
    }
    if let Provider::Sandbox(provider) = &world.provider {
        provider.clear_faults();
    }
}

/// Registrations that the provider was asked for.
fn posts(world: &World) -> u64 {
    match &world.provider {
        Provider::Sandbox(provider) => provider.requests(Operation::Register),
        Provider::Okta(org) => org.calls(&http::Method::POST, OKTA_CLIENTS) as u64,
        Provider::Keycloak(_) => 0,
    }
}

/// `portico rewrap` dies between services and within one, on servers beside a running portal; in the end every data key
/// is under the new key-encryption key, and the old one can be taken away.
pub async fn key_rotation(round: Arc<Round>) {
    let servers = round.seed % 2 == 1;
    let mut random = Random::new(round.seed, "rewrap");
    let old = key(&mut random);
    let new = key(&mut random);
    let environment = vec![("PORTICO_KEK", old.clone())];
    let mut world = World::start(
        &round.folder,
        Setup {
            servers,
            environment,
            ..Setup::default()
        },
    )
    .await;
    let portal: Arc<Portal> = world.configure().await;
    let workload = Workload::begin(&portal, round.seed, 2, 4);
    world.portico.kill().await;
    round.killed();
    world.portico.set("PORTICO_KEK", &new);
    world.portico.set("PORTICO_KEK_PREVIOUS", &old);
    world.portico.start().await;
    if servers {
        rewraps_that_die(&round, &world).await;
        workload.finish().await;
    } else {
        // One process has the data folder.
        workload.finish().await;
        world.portico.kill().await;
        rewraps_that_die(&round, &world).await;
    }
    let (succeeded, words) = world.portico.run(&["rewrap"], None).await;
    assert!(succeeded, "rewrap: {words}");
    if servers {
        world.portico.kill().await;
    }
    world.portico.set("PORTICO_KEK_PREVIOUS", "");
    world.portico.start().await;
    invariants::check(&mut world, &portal).await;
}

async fn rewraps_that_die(round: &Round, world: &World) {
    for point in ["rewrapping", "rewrapped"] {
        for times in 1..=5 {
            let fault = format!("{point}:{times}");
            let (succeeded, words) = world.portico.run(&["rewrap"], Some(&fault)).await;
            // An error in words is no death.
            let refused = words.lines().any(|line| line.starts_with("portico: "));
            assert!(
                !succeeded && !refused,
                "rewrap did not come to {fault}: {words}"
            );
            round.reached(point);
            round.killed();
        }
    }
}

/// 32 bytes in base64.
fn key(random: &mut Random) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = (0..32)
        .map(|_| u8::try_from(random.below(256)).unwrap())
        .collect();
    base64::prelude::BASE64_STANDARD.encode(bytes)
}
