//! Property: whatever order the reports arrive in, and however often, a request ends in the same state.

use portico_eventstore::Aggregate as _;
use proptest::prelude::*;

use super::tests::{approved, report, submitted};
use super::*;
use crate::views::timeline::{self, Entry};

/// Something that reaches the request, and the steps that must have reached it before.
struct Step {
    what: What,
    after: Vec<usize>,
}

enum What {
    Command(Command),
    Report(Report),
}

/// One life: an attempt that may fail, perhaps a retry and its attempt, perhaps a revocation and its report.
fn life(fails: bool, delays: usize, revoked: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut order = 0;
    let mut attempt = |steps: &mut Vec<Step>, cause: Option<usize>, last: Fact| {
        let mut facts = vec![Fact::Started];
        for n in 0..delays {
            facts.push(Fact::Delayed {
                reason: "503".into(),
                next_try_at: format!("2026-01-01T00:00:0{n}Z"),
            });
        }
        if last == Fact::Provisioned {
            facts.push(Fact::ClientRegistered {
                client_id: "client".into(),
            });
            facts.push(Fact::GatewayMapped);
        }
        facts.push(last);
        for fact in facts {
            order += 1;
            steps.push(Step {
                what: What::Report(report(order, fact)),
                after: cause.into_iter().collect(),
            });
        }
    };
    if fails {
        let failed = Fact::Failed {
            code: "invalid_scope".into(),
            reason: "no".into(),
        };
        attempt(&mut steps, None, failed);
        let failure = steps.len() - 1;
        steps.push(Step {
            what: What::Command(Command::Retry),
            after: vec![failure],
        });
        let retry = steps.len() - 1;
        attempt(&mut steps, Some(retry), Fact::Provisioned);
    } else {
        attempt(&mut steps, None, Fact::Provisioned);
    }
    if revoked {
        // A request that has ended cannot be retried: the retry came before.
        let retries: Vec<usize> = (0..steps.len())
            .filter(|n| matches!(steps[*n].what, What::Command(_)))
            .collect();
        steps.push(Step {
            what: What::Command(Command::Revoke { reason: None }),
            after: retries,
        });
        let revocation = steps.len() - 1;
        steps.push(Step {
            what: What::Report(report(
                100,
                Fact::Deprovisioned {
                    client_deleted: true,
                },
            )),
            after: vec![revocation],
        });
    }
    steps
}

/// Plays a life in the order that `choices` picks among what may come next; reports may come again.
fn play(life: &[Step], choices: &[(u16, bool)]) -> (AccessRequest, Vec<Entry>) {
    let mut state = AccessRequest::default();
    let mut entries = Vec::new();
    for event in [submitted(), approved()] {
        state.evolve(&event);
    }
    let mut done = vec![false; life.len()];
    let mut choices = choices.iter().copied().chain(std::iter::repeat((0, false)));
    while done.iter().any(|done| !done) {
        let (choice, again) = choices.next().unwrap_or_default();
        let ready: Vec<usize> = (0..life.len())
            .filter(|n| life[*n].after.iter().all(|before| done[*before]))
            .filter(|n| !done[*n] || (again && matches!(life[*n].what, What::Report(_))))
            .collect();
        let next = ready[usize::from(choice) % ready.len()];
        let command = match &life[next].what {
            What::Command(command) => command.clone(),
            What::Report(report) => Command::Report(report.clone()),
        };
        // The retry is a person's: it may be refused until the failure is the latest that is known.
        let Ok(events) = state.decide(&command) else {
            continue;
        };
        for event in events {
            state.evolve(&event);
            // The inbox drops what comes again; the state must not need it.
            if let (false, Event::Reported(report)) = (done[next], &event) {
                timeline::insert(&mut entries, timeline::of_report(report));
            }
        }
        done[next] = true;
    }
    (state, entries)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_order_ends_alike(
        fails: bool,
        delays in 0..4_usize,
        revoked: bool,
        choices in proptest::collection::vec((any::<u16>(), proptest::bool::weighted(0.3)), 0..60),
    ) {
        let life = life(fails, delays, revoked);
        let in_order = play(&life, &[]);
        let expected = if revoked { Status::Revoked } else { Status::Active };
        prop_assert_eq!(in_order.0.status(), Some(expected));
        prop_assert_eq!(play(&life, &choices), in_order);
    }
}
