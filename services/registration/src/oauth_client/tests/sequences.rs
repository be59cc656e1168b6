//! Any sequence of messages, outcomes and crashes, against a provider that exists in memory: when all is well
//! again, exactly what is wanted is there, and every request has come to one end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Debug, Clone)]
enum Act {
    Grant(u128),
    Withdraw(u128),
    Retry(u128),
    Rename(i64),
    /// The catalogue gives product `.0` another scope, in this version.
    Change(u128, u64),
    Resume,
    /// The worker does the next step, and it ends so.
    Work(Fate),
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    /// 503 before anything was done.
    Busy,
    /// 400.
    Refused,
    /// Done, and the answer is lost.
    LostAnswer,
    /// Not done, and nobody knows.
    LostRequest,
    /// The process dies after the intent.
    Crash,
    /// The token is used up.
    Paused,
    /// Somebody deletes the client before.
    Gone,
}

/// The provider, of the class with chosen ids: it knows its clients by the attempt's id.
#[derive(Default)]
struct Provider {
    clients: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Default)]
struct Machine {
    story: Story,
    provider: Provider,
    gateway: BTreeSet<Uuid>,
    made: u32,
    /// The newest version of products, as far as anybody has them.
    versions: BTreeMap<u128, u64>,
}

impl Machine {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Grant(number) => self.tell(&Command::Grant(grant(*number))),
            Act::Withdraw(number) => self.tell(&withdraw(*number)),
            Act::Retry(number) => self.tell(&Command::Retry {
                request_id: request(*number),
            }),
            Act::Rename(as_of) => {
                self.tell(&Command::ChangeApplication(application(
                    &format!("v{as_of}"),
                    *as_of,
                )));
            }
            Act::Change(number, version) => self.change(*number, *version),
            Act::Resume => self.tell(&Command::Resume),
            Act::Work(fate) => self.work(*fate),
        }
    }

    fn change(&mut self, number: u128, version: u64) {
        let living = self
            .story
            .stage(number)
            .is_some_and(|stage| *stage != Stage::Withdrawn);
        if living {
            let newest = self.versions.entry(number).or_default();
            *newest = version.max(*newest);
        }
        self.tell(&Command::FollowCatalogue(product(number, version)));
    }

    fn tell(&mut self, command: &Command) {
        self.story.tell(command).unwrap();
    }

    /// One step; pauses are always over.
    fn work(&mut self, fate: Fate) {
        if fate == Fate::Gone {
            self.provider.clients.clear();
        }
        match self.story.client.next_step(Timestamp::MAX) {
            Step::Register(wanted) => {
                self.made += 1;
                let mut command = intend(wanted);
                if let Command::IntendRegistration { client_id, .. } = &mut command {
                    *client_id = format!("c{}", self.made);
                }
                self.tell(&command);
                if fate != Fate::Crash {
                    self.register(fate, true);
                }
            }
            Step::Reconcile => self.register(fate, false),
            Step::Update(wanted) => self.update(wanted, fate),
            Step::Delete => self.delete(fate),
            Step::Map {
                gateway_ids,
                revision,
            } => self.map(gateway_ids, revision, fate),
            Step::Announce => self.tell(&Command::Announce),
            Step::Rotate => unreachable!("nobody rotates here"),
            Step::Notice { .. } | Step::Retire => unreachable!("no secret ends here"),
            Step::Wait(_) | Step::Paused | Step::Idle => {}
        }
    }

    fn register(&mut self, fate: Fate, first: bool) {
        let intended = self.story.client.intended().unwrap().clone();
        let id = intended.client_id.clone();
        let there = self.provider.clients.contains_key(&id);
        match fate {
            Fate::Good | Fate::Gone => {
                let scopes = self
                    .provider
                    .clients
                    .entry(id.clone())
                    .or_insert(intended.client.scopes.clone());
                let answer = answer(&id, scopes);
                let attempt = intended.attempt;
                self.tell(&Command::CompleteRegistration { attempt, answer });
            }
            Fate::LostAnswer => {
                self.provider
                    .clients
                    .entry(id)
                    .or_insert(intended.client.scopes);
                self.fail("timeout", false);
            }
            Fate::LostRequest => self.fail("timeout", false),
            Fate::Busy => self.fail("busy", first),
            Fate::Refused if !there => self.refuse(true),
            Fate::Paused if !there => self.tell(&Command::Hold(failing("paused", first))),
            // The provider finds the client that an earlier try made.
            Fate::Refused | Fate::Paused => self.register(Fate::Good, first),
            Fate::Crash => {}
        }
    }

    fn update(&mut self, wanted: Wanted, fate: Fate) {
        let intent = Command::IntendUpdate {
            wanted: wanted.clone(),
            kind: kind(),
        };
        self.tell(&intent);
        let client_id = self.story.client.live().unwrap().answer.client_id.clone();
        let attempt = self
            .story
            .client
            .live()
            .unwrap()
            .operation
            .as_ref()
            .unwrap()
            .attempt;
        if fate == Fate::Crash {
            return;
        }
        let Some(scopes) = self.provider.clients.get_mut(&client_id) else {
            return self.tell(&Command::CompleteDelete { client_id });
        };
        match fate {
            Fate::Good | Fate::Gone | Fate::Paused => {
                *scopes = wanted.scopes;
                let answer = answer(&client_id, scopes);
                self.tell(&Command::CompleteUpdate { attempt, answer });
            }
            Fate::LostAnswer => {
                *scopes = wanted.scopes;
                self.fail("timeout", false);
            }
            Fate::LostRequest => self.fail("timeout", false),
            Fate::Busy => self.fail("busy", true),
            Fate::Refused => self.refuse(true),
            Fate::Crash => {}
        }
    }

    fn delete(&mut self, fate: Fate) {
        self.tell(&Command::IntendDelete);
        let client_id = self.story.client.live().unwrap().answer.client_id.clone();
        match fate {
            Fate::Good | Fate::Gone | Fate::Paused => {
                self.provider.clients.remove(&client_id);
                self.tell(&Command::CompleteDelete { client_id });
            }
            Fate::LostAnswer => {
                self.provider.clients.remove(&client_id);
                self.fail("timeout", false);
            }
            Fate::LostRequest => self.fail("timeout", false),
            Fate::Busy => self.fail("busy", true),
            Fate::Refused => self.refuse(true),
            Fate::Crash => {}
        }
    }

    fn map(&mut self, gateway_ids: Vec<String>, revision: u64, fate: Fate) {
        match fate {
            Fate::Good | Fate::Gone | Fate::Paused => {
                let grants = &self.story.client.grants;
                let wanted = grants.iter().filter(|(_, grant)| grant.is_wanted());
                self.gateway = wanted.map(|(id, _)| *id).collect();
                self.tell(&Command::CompleteMapping {
                    gateway_ids,
                    revision,
                    skipped: false,
                });
            }
            Fate::Refused => self.tell(&Command::RefuseMapping {
                gateway_ids,
                revision,
                failing: failing("no", false),
                again_at: much_later(),
                at: now(),
            }),
            Fate::Busy | Fate::LostAnswer | Fate::LostRequest => self.tell(&Command::Delay {
                target: Target::Gateway,
                failing: failing("busy", false),
                next_try_at: later(),
            }),
            Fate::Crash => {}
        }
    }

    fn fail(&mut self, code: &str, attempt_over: bool) {
        self.tell(&Command::Delay {
            target: Target::Provider,
            failing: failing(code, attempt_over),
            next_try_at: later(),
        });
    }

    fn refuse(&mut self, attempt_over: bool) {
        let failing = failing("no", attempt_over);
        self.tell(&Command::Refuse {
            failing,
            again_at: much_later(),
            at: now(),
        });
    }

    /// Everything works again, and an admin retries what failed.
    fn heal(&mut self) {
        // Makes the worker look at the client: that somebody deleted it is seen when it is changed next.
        self.act(&Act::Rename(100));
        for _ in 0..3 {
            self.act(&Act::Resume);
            let ids: Vec<Uuid> = self.story.client.grants.keys().copied().collect();
            for request_id in ids {
                self.tell(&Command::Retry { request_id });
            }
            let mut steps = 0;
            while self.story.client.next_step(Timestamp::MAX) != Step::Idle {
                self.work(Fate::Good);
                steps += 1;
                assert!(steps < 100, "no end: {:#?}", self.story.client);
            }
        }
    }

    fn check(&self, wanted: &BTreeSet<u128>, withdrawn: &BTreeSet<u128>) {
        let client = &self.story.client;
        let scopes: Vec<BTreeSet<String>> = self.provider.clients.values().cloned().collect();
        let expected: BTreeSet<String> = wanted
            .iter()
            .map(|n| match self.versions.get(n) {
                Some(version) => format!("p{n}v{version}"),
                None => format!("p{n}"),
            })
            .chain((!wanted.is_empty()).then(|| "free".to_owned()))
            .collect();
        let one = if wanted.is_empty() {
            vec![]
        } else {
            vec![expected]
        };
        assert_eq!(scopes, one, "at the provider: {client:#?}");
        for number in wanted {
            assert_eq!(self.story.stage(*number), Some(&Stage::Active), "{number}");
            assert!(
                self.gateway.contains(&request(*number)),
                "{number} at the gateway"
            );
        }
        for number in withdrawn {
            assert!(
                client.ended.contains(&request(*number)),
                "{number} has no end"
            );
            assert!(
                !self.gateway.contains(&request(*number)),
                "{number} at the gateway"
            );
            let ends = self.story.events.iter().filter(|event| {
                matches!(event, Event::Deprovisioned { request_id, .. } if *request_id == request(*number))
            });
            assert_eq!(ends.count(), 1, "{number}");
        }
        assert_eq!(
            Story::new(self.story.events.clone()).client,
            *client,
            "a refold"
        );
    }
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let fate = prop_oneof![
        6 => Just(Fate::Good),
        1 => Just(Fate::Busy),
        1 => Just(Fate::Refused),
        1 => Just(Fate::LostAnswer),
        1 => Just(Fate::LostRequest),
        1 => Just(Fate::Crash),
        1 => Just(Fate::Paused),
        1 => Just(Fate::Gone),
    ];
    let act = prop_oneof![
        3 => (1..5_u128).prop_map(Act::Grant),
        2 => (1..5_u128).prop_map(Act::Withdraw),
        1 => (1..5_u128).prop_map(Act::Retry),
        1 => (0..9_i64).prop_map(Act::Rename),
        1 => (1..5_u128, 1..4_u64).prop_map(|(number, version)| Act::Change(number, version)),
        1 => Just(Act::Resume),
        8 => fate.prop_map(Act::Work),
    ];
    prop::collection::vec(act, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_ends_well(acts in acts()) {
        let mut machine = Machine::default();
        let (mut granted, mut withdrawn) = (BTreeSet::new(), BTreeSet::new());
        for act in &acts {
            match act {
                Act::Grant(number) => { granted.insert(*number); }
                Act::Withdraw(number) => { withdrawn.insert(*number); }
                _ => {}
            }
            machine.act(act);
            prop_assert!(machine.provider.clients.len() <= 1, "two clients: {:?}", machine.provider.clients);
        }
        machine.heal();
        let wanted = granted.difference(&withdrawn).copied().collect();
        machine.check(&wanted, &withdrawn);
    }

    /// Messages come in any order and more than once: the end is the same.
    #[test]
    fn the_order_of_messages_does_not_matter(
        messages in Just(vec![
            Act::Grant(1), Act::Grant(2), Act::Withdraw(2), Act::Grant(3), Act::Rename(3), Act::Rename(7),
            Act::Grant(1), Act::Withdraw(2), Act::Withdraw(4), Act::Grant(4),
        ]).prop_shuffle(),
        works in prop::collection::vec(0..4_usize, 10),
    ) {
        let mut machine = Machine::default();
        for (message, works) in messages.iter().zip(works) {
            machine.act(message);
            for _ in 0..works {
                machine.work(Fate::Good);
            }
        }
        machine.heal();
        machine.check(&BTreeSet::from([1, 3]), &BTreeSet::from([2, 4]));
    }
}
