//! Property (rule 13 of the join): whatever order the reports of the two logs arrive in, however often, and beside
//! whatever people want meanwhile, a request ends in the same state.

use std::collections::BTreeSet;

use portico_eventstore::Aggregate as _;
use proptest::prelude::*;

use super::*;
use crate::{
    terms::CatalogueChange,
    views::timeline::{self, Entry},
};

/// What people want, one after the other. Each waits for the one before it.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Suspend,
    Resume,
    /// The account is suspended.
    Leave,
    /// The account is activated.
    Return,
    Retry,
    ChangeScopes,
    Revoke,
}

/// How a half's work at one revision goes.
#[derive(Debug, Clone, Copy)]
struct Course {
    delays: u8,
    /// It fails, and where not for good, begins again by itself.
    fails: bool,
    for_good: bool,
    nothing_to_do: bool,
}

impl Course {
    fn ends_failed(self) -> bool {
        self.fails && self.for_good
    }

    fn outcomes(self) -> Vec<Outcome> {
        if self.nothing_to_do && !self.ends_failed() {
            return vec![Outcome::NothingToDo];
        }
        let mut outcomes = vec![Outcome::Started];
        for second in 0..self.delays {
            outcomes.push(Outcome::Delayed {
                reason: "503".into(),
                next_try_at: jiff::Timestamp::from_second(second.into()).ok(),
            });
        }
        if self.fails {
            outcomes.push(failed());
        }
        if !self.ends_failed() {
            outcomes.extend([Outcome::Started, done()]);
        }
        outcomes
    }
}

/// Commands in their order, and what both halves report of each revision once its command was taken.
#[derive(Debug, Default)]
struct Life {
    keys: bool,
    commands: Vec<Command>,
    reports: Vec<Report>,
}

/// The wishes that can be had, each with the courses of both halves.
fn life(keys: bool, first: [Course; 2], wishes: &[(Wish, [Course; 2])]) -> Life {
    let mut life = Life {
        keys,
        ..Life::default()
    };
    let mut positions = [0, 0];
    let mut revision = 0;
    let mut raise = |life: &mut Life, command: Command, courses: [Course; 2]| {
        revision += 1;
        life.commands.push(command);
        let halves = [Half::Registration, Half::Gateway].into_iter().zip(courses);
        for (half, course) in halves.skip(usize::from(keys)) {
            let position = &mut positions[half as usize];
            for outcome in course.outcomes() {
                *position += 1;
                life.reports
                    .push(report(half, revision, *position, outcome));
            }
        }
        courses[usize::from(keys)..]
            .iter()
            .any(|course| course.ends_failed())
    };
    let mut is_failed = raise(&mut life, approve(), first);
    let (mut is_suspended, mut is_away, mut version) = (false, false, 7);
    for (wish, courses) in wishes {
        let command = match wish {
            Wish::Suspend if !is_suspended => access(access::Command::Suspend { reason: None }),
            Wish::Resume if is_suspended => access(access::Command::Resume),
            Wish::Leave if !is_away => Command::Account(AccountStatus::Suspended),
            Wish::Return if is_away => Command::Account(AccountStatus::Active),
            Wish::Retry if is_failed => access(access::Command::Retry),
            Wish::ChangeScopes if !keys => {
                version += 1;
                let mut product = items()[0].product.clone();
                product.version = version;
                product.scopes = [format!("scope_{version}")].into();
                access(access::Command::Follow(CatalogueChange::Product(product)))
            }
            Wish::Revoke => access(access::Command::Revoke { reason: None }),
            Wish::Suspend
            | Wish::Resume
            | Wish::Leave
            | Wish::Return
            | Wish::Retry
            | Wish::ChangeScopes => continue,
        };
        match wish {
            Wish::Suspend => is_suspended = true,
            Wish::Resume => is_suspended = false,
            Wish::Leave => is_away = true,
            Wish::Return => is_away = false,
            Wish::Retry | Wish::ChangeScopes | Wish::Revoke => {}
        }
        is_failed = raise(&mut life, command, *courses);
        if matches!(wish, Wish::Revoke) {
            break;
        }
    }
    life
}

/// What there is at the end.
struct End {
    state: AccessRequest,
    timeline: Vec<Entry>,
    announced: Vec<join::Event>,
}

/// Plays a life, choosing among what may arrive next; without a choice each revision's reports in their order. What
/// arrived may arrive again.
fn play(life: &Life, choices: &[(u16, bool)]) -> End {
    let mut end = End {
        state: AccessRequest::default(),
        timeline: Vec::new(),
        announced: Vec::new(),
    };
    let mut submission = submission();
    if life.keys {
        submission.credential = Credential::ApiKey;
    }
    take(
        &mut end,
        &Command::Request(request::Command::Submit(submission)),
        false,
    );
    let mut arrived = BTreeSet::new();
    let mut commands = life.commands.iter().peekable();
    let mut choices = choices.iter().copied().chain(std::iter::repeat((0, false)));
    loop {
        let known = end.state.revision();
        let (choice, again) = choices.next().unwrap_or_default();
        let ready: Vec<usize> = (0..life.reports.len())
            .filter(|n| life.reports[*n].revision <= known)
            .filter(|n| again || !arrived.contains(n))
            .collect();
        let options = ready.len() + usize::from(commands.peek().is_some());
        if options == 0 && !again {
            return end;
        }
        match ready.get(usize::from(choice) % options.max(1)) {
            Some(n) => {
                let report = Command::Join(life.reports[*n].clone());
                take(&mut end, &report, arrived.insert(*n));
            }
            // A retry is refused until the failure is known: it is wanted again then.
            None => {
                if let Some(command) = commands.peek()
                    && take(&mut end, command, false)
                {
                    commands.next();
                }
            }
        }
    }
}

/// Whether the command was taken. `listed`: its report goes into the timeline; the inbox drops what comes again.
fn take(end: &mut End, command: &Command, listed: bool) -> bool {
    let Ok(events) = end.state.decide(command) else {
        return false;
    };
    for event in events {
        end.state.evolve(&event);
        if let Event::Join(event) = event {
            match &event {
                join::Event::Reported(report) if listed => {
                    if let Some(entry) = timeline::of_report(report, &end.state) {
                        timeline::insert(&mut end.timeline, entry);
                    }
                }
                join::Event::Reported(_) => {}
                join::Event::Activated(_) | join::Event::Failed(_) | join::Event::Ended(_) => {
                    end.announced.push(event);
                }
            }
        }
    }
    true
}

fn course() -> impl Strategy<Value = Course> {
    let weighted = proptest::bool::weighted;
    (0..3_u8, weighted(0.4), weighted(0.7), weighted(0.2)).prop_map(
        |(delays, fails, for_good, nothing_to_do)| Course {
            delays,
            fails,
            for_good,
            nothing_to_do,
        },
    )
}

fn wish() -> impl Strategy<Value = (Wish, [Course; 2])> {
    let wish = prop_oneof![
        2 => Just(Wish::Suspend),
        2 => Just(Wish::Resume),
        2 => Just(Wish::Leave),
        2 => Just(Wish::Return),
        3 => Just(Wish::Retry),
        2 => Just(Wish::ChangeScopes),
        1 => Just(Wish::Revoke),
    ];
    (wish, [course(), course()])
}

/// What was announced last of the revision that counts, as the status says it.
fn announced_once(end: &End) -> bool {
    let revision = end.state.revision();
    let is = |announced: &join::Event| match (announced, end.state.status()) {
        (join::Event::Activated(now), Some(Status::Active))
        | (join::Event::Failed(now), Some(Status::Failed))
        | (join::Event::Ended(now), Some(Status::Revoked)) => now.revision == revision,
        _ => false,
    };
    end.announced
        .iter()
        .filter(|announced| is(announced))
        .count()
        == 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_order_ends_alike(
        keys: bool,
        first in [course(), course()],
        wishes in proptest::collection::vec(wish(), 0..5),
        choices in proptest::collection::vec((any::<u16>(), proptest::bool::weighted(0.3)), 0..120),
    ) {
        let life = life(keys, first, &wishes);
        let expected = play(&life, &[]);
        let end = play(&life, &choices);
        prop_assert_eq!(&end.timeline, &expected.timeline);
        // A state between may be announced in one order and be skipped in another; where it ends is announced in each, once.
        let whole = |state: &AccessRequest| AccessRequest {
            announced: join::Announcements::default(),
            ..state.clone()
        };
        prop_assert_eq!(whole(&end.state), whole(&expected.state));
        for end in [&end, &expected] {
            let finished = !matches!(end.state.standing(), join::Standing::Failed(_));
            match end.state.status() {
                Some(Status::Active | Status::Failed) => prop_assert!(announced_once(end)),
                Some(Status::Revoked) if finished => prop_assert!(announced_once(end)),
                Some(Status::Revoked | Status::Suspended) => {}
                other => prop_assert!(false, "ends as {other:?}"),
            }
        }
    }
}
