//! Any sequence of messages, outcomes and crashes, against a provider that exists in memory: when all is well
//! again, exactly what is wanted is there, and every request's newest revision has its answer.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Debug, Clone)]
enum Action {
    /// The request `.0` in revision `.1`; what is wanted follows from the revision alone, as it does at access-request.
    Want(u128, u64),
    Rename(i64),
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

/// Granted, with other scopes, suspended, resumed and retried, and revoked in the end.
fn wanted_at(number: u128, revision: u64) -> Requested {
    let access = match revision {
        3 => Access::Suspended,
        5.. => Access::Revoked,
        _ => Access::Granted,
    };
    let scope = match revision {
        1 => format!("p{number}"),
        _ => format!("p{number}v2"),
    };
    Requested {
        scopes: set(&[&scope, "free"]),
        retried: revision == 4,
        ..requested(number, revision, access)
    }
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
    made: u32,
    /// The newest revision of each request that was a message, and with the retries of the end.
    last: BTreeMap<u128, u64>,
    newest: BTreeMap<u128, u64>,
}

impl Machine {
    fn apply(&mut self, action: &Action) {
        match action {
            Action::Want(number, revision) => {
                for known in [&mut self.last, &mut self.newest] {
                    let known = known.entry(*number).or_default();
                    *known = (*known).max(*revision);
                }
                self.tell(&want(wanted_at(*number, *revision)));
            }
            Action::Rename(as_of) => self.tell(&follow(application(&format!("v{as_of}"), *as_of))),
            Action::Resume => self.tell(&RESUME),
            Action::Work(fate) => self.work(*fate),
        }
        self.holds_all();
    }

    fn tell(&mut self, command: &Command) {
        self.story.tell(command).unwrap();
    }

    /// Whatever is at the provider was said to be held.
    fn holds_all(&self) {
        let there: BTreeSet<String> = self.provider.clients.values().flatten().cloned().collect();
        let held = &self.story.client.held.scopes;
        let gone = self.story.client.live().is_none() && self.story.client.intended().is_none();
        assert!(gone || there.is_subset(held), "{there:?} {held:?}");
    }

    /// One step; pauses are always over.
    fn work(&mut self, fate: Fate) {
        if fate == Fate::Gone {
            self.provider.clients.clear();
        }
        match self.story.client.next_step(Timestamp::MAX) {
            Step::Register(wanted) => {
                self.made += 1;
                let chosen = Intent {
                    client_id: format!("c{}", self.made),
                    ..intent(wanted)
                };
                self.tell(&Command::Registration(RegistrationCommand::Intend(chosen)));
                if fate != Fate::Crash {
                    self.register(fate, true);
                }
            }
            Step::Reconcile => self.register(fate, false),
            Step::Update(wanted) => self.update(wanted, fate),
            Step::Delete => self.delete(fate),
            Step::Forget => self.tell(&Command::Deletion(DeletionCommand::ForgetSecrets)),
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
                self.tell(&register(intended.attempt, answer));
            }
            Fate::LostAnswer => {
                self.provider
                    .clients
                    .entry(id)
                    .or_insert(intended.client.scopes);
                self.tell(&delay("timeout", false));
            }
            Fate::LostRequest => self.tell(&delay("timeout", false)),
            // It says nothing of the attempt before it.
            Fate::Busy => self.tell(&delay("busy", first)),
            Fate::Refused if !there => self.tell(&refuse(true)),
            Fate::Paused if !there => self.tell(&pause(first)),
            // The provider finds the client that an earlier try made.
            Fate::Refused | Fate::Paused => self.register(Fate::Good, first),
            Fate::Crash => {}
        }
    }

    fn update(&mut self, wanted: Wanted, fate: Fate) {
        // What was sent before may have been done, whatever is answered now.
        let certain = self.story.client.live().unwrap().operation.is_none();
        self.tell(&intend_update(wanted.clone()));
        let live = self.story.client.live().unwrap();
        let client_id = live.answer.client_id.clone();
        let attempt = live.operation.as_ref().unwrap().attempt;
        if fate == Fate::Crash {
            return;
        }
        let Some(scopes) = self.provider.clients.get_mut(&client_id) else {
            return self.tell(&deleted(&client_id));
        };
        match fate {
            Fate::Good | Fate::Gone | Fate::Paused => {
                *scopes = wanted.scopes;
                let answer = answer(&client_id, scopes);
                self.tell(&update(attempt, answer));
            }
            Fate::LostAnswer => {
                *scopes = wanted.scopes;
                self.tell(&delay("timeout", false));
            }
            Fate::LostRequest => self.tell(&delay("timeout", false)),
            Fate::Busy => self.tell(&delay("busy", certain)),
            Fate::Refused => self.tell(&refuse(certain)),
            Fate::Crash => {}
        }
    }

    fn delete(&mut self, fate: Fate) {
        let mut grants = self.story.client.grants.values();
        let served = grants.any(|grant| grant.is_granted() && grant.served);
        assert!(!served, "a working client goes: {:#?}", self.story.client);
        self.tell(&intend_delete());
        let client_id = self.story.client.live().unwrap().answer.client_id.clone();
        match fate {
            Fate::Good | Fate::Gone | Fate::Paused => {
                self.provider.clients.remove(&client_id);
                self.tell(&deleted(&client_id));
            }
            Fate::LostAnswer => {
                self.provider.clients.remove(&client_id);
                self.tell(&delay("timeout", false));
            }
            Fate::LostRequest => self.tell(&delay("timeout", false)),
            Fate::Busy => self.tell(&delay("busy", true)),
            Fate::Refused => self.tell(&refuse(true)),
            Fate::Crash => {}
        }
    }

    /// Everything works again, and an admin retries what failed.
    fn heal(&mut self) {
        // Makes the worker look at the client: that somebody deleted it is seen when it is changed next.
        self.apply(&Action::Rename(100));
        for round in 0..3 {
            self.apply(&Action::Resume);
            for (number, last) in self.last.clone() {
                if self.story.has_failed(number) {
                    let revision = 10 + round;
                    self.newest.insert(number, revision);
                    self.tell(&want(Requested {
                        revision,
                        retried: true,
                        ..wanted_at(number, last)
                    }));
                }
            }
            let mut steps = 0;
            while self.story.client.next_step(Timestamp::MAX) != Step::Idle {
                self.work(Fate::Good);
                self.holds_all();
                steps += 1;
                assert!(steps < 100, "no end: {:#?}", self.story.client);
            }
        }
    }

    fn check(&self) {
        let client = &self.story.client;
        let scopes: Vec<BTreeSet<String>> = self.provider.clients.values().cloned().collect();
        let wanted: Vec<Requested> = self.last.iter().map(|(n, r)| wanted_at(*n, *r)).collect();
        let granted = wanted.iter().filter(|one| one.access == Access::Granted);
        let expected: BTreeSet<String> = granted.flat_map(|one| one.scopes.clone()).collect();
        // A suspended request alone keeps a client that was registered, without scopes.
        let kept = wanted.iter().any(|one| one.access == Access::Suspended);
        assert!(
            scopes == [expected.clone()] || (scopes.is_empty() && expected.is_empty()),
            "at the provider: {scopes:?}, {expected:?}, {client:#?}"
        );
        assert!(kept || !expected.is_empty() || scopes.is_empty());
        assert_eq!(client.held.scopes, expected);
        for (number, revision) in &self.newest {
            let answers = self.story.reports(*number);
            let (answered, outcome) = answers.last().unwrap();
            assert_eq!(answered, revision, "{number}: {answers:?}");
            let well = matches!(outcome, Outcome::Done { .. } | Outcome::NeverCreated);
            assert!(well, "{number}: {answers:?}");
            assert_eq!(client.held.answered[&request(*number)], *revision);
        }
        let mut refolded = OauthClient::default();
        self.story
            .events
            .iter()
            .for_each(|event| refolded.evolve(event));
        assert_eq!(refolded, *client, "a refold");
    }
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
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
    let action = prop_oneof![
        6 => (1..5_u128, 1..7_u64).prop_map(|(number, revision)| Action::Want(number, revision)),
        1 => (0..9_i64).prop_map(Action::Rename),
        1 => Just(Action::Resume),
        8 => fate.prop_map(Action::Work),
    ];
    prop::collection::vec(action, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_ends_well(actions in actions()) {
        let mut machine = Machine::default();
        for action in &actions {
            machine.apply(action);
            prop_assert!(machine.provider.clients.len() <= 1, "two clients: {:?}", machine.provider.clients);
        }
        machine.heal();
        machine.check();
    }

    /// Messages come in any order and more than once: the end is the same.
    #[test]
    fn the_order_of_messages_does_not_matter(
        messages in Just(vec![
            Action::Want(1, 1), Action::Want(1, 2), Action::Want(2, 1), Action::Want(2, 5), Action::Want(3, 1), Action::Want(3, 3),
            Action::Want(3, 4), Action::Want(1, 1), Action::Want(4, 6), Action::Want(4, 1), Action::Rename(3), Action::Rename(7),
        ]).prop_shuffle(),
        works in prop::collection::vec(0..4_usize, 12),
    ) {
        let mut machine = Machine::default();
        for (message, works) in messages.iter().zip(works) {
            machine.apply(message);
            for _ in 0..works {
                machine.work(Fate::Good);
            }
        }
        machine.heal();
        prop_assert_eq!(&machine.last, &BTreeMap::from([(1, 2), (2, 5), (3, 4), (4, 6)]));
        machine.check();
    }
}
