//! Duplicates, delays, reordering and drops on the bus always end in the same state, with one registration and one
//! mail for each fact. A seed that fails is named and can be run alone with `FAULT_SEED=<seed>`.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, stream};
use http::StatusCode;
use portico_bus::memory::{Faults, MemoryBus};
use portico_sandbox::identity_provider::Operation;
use portico_trials::{Trial, trials};

use crate::support::{
    until,
    world::{Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(multi, []; two_hundred_seeds_end_in_the_same_state)
}

const SEEDS: u64 = 200;
const AT_ONCE: usize = 6;

async fn two_hundred_seeds_end_in_the_same_state() {
    let only: Option<u64> = std::env::var("FAULT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds: Vec<u64> = only.map_or_else(|| (0..SEEDS).collect(), |seed| vec![seed]);
    let total = seeds.len();
    let done = stream::iter(seeds)
        .map(|seed| async move {
            let result = AssertUnwindSafe(run(seed)).catch_unwind().await;
            assert!(
                result.is_ok(),
                "seed {seed} failed; FAULT_SEED={seed} runs it alone"
            );
        })
        .buffer_unordered(AT_ONCE)
        .enumerate()
        .inspect(|(finished, ())| {
            if (finished + 1) % 20 == 0 {
                eprintln!("seeds: {} of {total}", finished + 1);
            }
        })
        .count()
        .await;
    assert_eq!(done, total);
}

async fn run(seed: u64) {
    let faults = Faults {
        seed,
        duplicate: 0.3,
        delay: Duration::from_millis(40),
        reorder: 0.3,
        drop: 0.1,
    };
    let bus = Arc::new(MemoryBus::with_faults(faults));
    let world = World::start_inside(Provider::sandbox().await, bus).await;
    let portal = world.configure().await;
    let (first, application) = portal.submit(&portal.payments, None).await;
    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    for request in [&first, &second] {
        world
            .act(&world.admin, request, "approve")
            .await
            .expect(StatusCode::ACCEPTED)
            .unwrap();
    }
    world.wait_for_status(&first, "active").await;
    world.wait_for_status(&second, "active").await;
    world
        .act(&world.admin, &second, "revoke")
        .await
        .expect(StatusCode::ACCEPTED)
        .unwrap();
    until("the scopes have shrunk", || async {
        (portal.credentials(&application).await.scopes == "free_plan product_payments")
            .then_some(())
    })
    .await;
    world.wait_for_status(&second, "revoked").await;

    let Provider::Sandbox(provider) = &world.provider else {
        panic!("the sandbox's provider")
    };
    assert_eq!(provider.client_count(), 1);
    assert_eq!(provider.requests(Operation::Register), 1, "registrations");
    // Two submitted, two ready, one revoked; late duplicates would add to them.
    until("five mails", || async {
        (world.mail.messages().len() >= 5).then_some(())
    })
    .await;
    let mut facts = BTreeMap::new();
    for mail in world.mail.messages() {
        *facts.entry(mail.message_id).or_insert(0) += 1;
    }
    assert_eq!(facts.len(), 5, "facts that were mailed");
    assert!(
        facts.values().all(|times| *times == 1),
        "a fact was mailed twice: {facts:?}"
    );
}
