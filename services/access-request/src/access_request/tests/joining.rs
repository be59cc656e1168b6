//! What the reports of the two halves amount to. The numbers are those of the join's rules in the design.

use Half::{Gateway, Registration};

use super::*;

fn announced(revision: u64, second: i64) -> join::Announced {
    join::Announced {
        revision,
        at: Timestamp::from_second(second).unwrap(),
    }
}

fn when(
    events: Vec<Event>,
    half: Half,
    revision: u64,
    position: i64,
    outcome: Outcome,
) -> Vec<Event> {
    let state = given::<AccessRequest>(events).state();
    let report = report(half, revision, position, outcome);
    let mut events = state.decide(&Command::Join(report.clone())).unwrap();
    assert_eq!(events.remove(0), join::Event::Reported(report).into());
    events
}

/// Approved, and what was reported then.
fn so_far(tail: Vec<Event>) -> Vec<Event> {
    [vec![submitted(), approved()], tail].concat()
}

fn status(tail: Vec<Event>) -> Status {
    given::<AccessRequest>(so_far(tail))
        .state()
        .status()
        .unwrap()
}

#[test]
fn rule_1_and_2_only_a_report_at_the_present_revision_counts() {
    let tail = vec![
        reported(Registration, 1, 1, failed()),
        access::Event::Retried.into(),
    ];
    for late in [failed(), Outcome::Started, done()] {
        let tail = [tail.clone(), vec![reported(Registration, 1, 9, late)]].concat();
        assert_eq!(status(tail), Status::Approved);
    }
    let tail = [tail, vec![reported(Registration, 2, 2, done())]].concat();
    assert_eq!(status(tail), Status::Provisioning);
}

#[test]
fn rule_3_a_request_for_keys_needs_only_the_gateway() {
    let keys = vec![keys_submitted(), approved()];
    assert_eq!(
        when(keys, Gateway, 1, 5, done()),
        [join::Event::Activated(announced(1, 5)).into()]
    );
    let both = so_far(vec![]);
    assert_eq!(when(both, Gateway, 1, 5, done()), []);
}

#[test]
fn rule_3_within_a_half_the_highest_revision_and_position_is_the_latest() {
    let cases = [
        (
            vec![(2, done()), (1, Outcome::Started)],
            Status::Provisioning,
        ),
        (vec![(2, done()), (1, failed())], Status::Provisioning),
        (vec![(2, failed()), (1, Outcome::Started)], Status::Failed),
        (vec![(2, failed()), (1, done())], Status::Failed),
        (
            vec![(2, failed()), (3, Outcome::Started)],
            Status::Provisioning,
        ),
        // The gateway has finished: once registration has too, the request is active.
        (
            vec![(1, done()), (2, Outcome::Started)],
            Status::Provisioning,
        ),
    ];
    for (reports, expected) in cases {
        let reports = reports
            .into_iter()
            .map(|(position, outcome)| reported(Registration, 1, position, outcome));
        let tail: Vec<Event> = reports.collect();
        assert_eq!(status(tail.clone()), expected, "{tail:?}");
    }
}

#[test]
fn rule_4_active_when_both_have_finished_and_failed_when_one_has_failed() {
    let nothing = Outcome::NothingToDo;
    for gateway in [done(), nothing] {
        let tail = vec![reported(Gateway, 1, 8, gateway)];
        assert_eq!(status(tail.clone()), Status::Provisioning);
        assert_eq!(
            when(so_far(tail.clone()), Registration, 1, 3, done()),
            [join::Event::Activated(announced(1, 8)).into()]
        );
        assert_eq!(
            when(so_far(tail), Registration, 1, 3, failed()),
            [join::Event::Failed(announced(1, 3)).into()]
        );
    }
    // What works goes on while its client is worked at for another request.
    let active = vec![
        reported(Gateway, 1, 1, done()),
        reported(Registration, 1, 1, done()),
    ];
    let again = reported(Registration, 1, 2, Outcome::Started);
    assert_eq!(
        status([active.clone(), vec![again]].concat()),
        Status::Active
    );
    let broken = reported(Gateway, 1, 2, failed());
    assert_eq!(status([active, vec![broken]].concat()), Status::Failed);
}

#[test]
fn rule_5_each_is_told_once_for_each_revision() {
    let activated = Event::from(join::Event::Activated(announced(1, 2)));
    let active = so_far(vec![
        reported(Gateway, 1, 1, done()),
        reported(Registration, 1, 2, done()),
        activated,
    ]);
    assert_eq!(when(active.clone(), Registration, 1, 2, done()), []);
    let failure = Event::from(join::Event::Failed(announced(1, 3)));
    let told = when(active.clone(), Gateway, 1, 3, failed());
    assert_eq!(told, std::slice::from_ref(&failure));
    let broken = [active, vec![reported(Gateway, 1, 3, failed()), failure]].concat();
    assert_eq!(when(broken.clone(), Gateway, 1, 4, failed()), []);
    // It works again at the same revision: its owner knows.
    assert_eq!(when(broken.clone(), Gateway, 1, 4, done()), []);
    let retried = [
        broken,
        vec![
            access::Event::Retried.into(),
            reported(Gateway, 2, 5, done()),
        ],
    ]
    .concat();
    assert_eq!(
        when(retried, Registration, 2, 3, done()),
        [join::Event::Activated(announced(2, 5)).into()]
    );
}

#[test]
fn rule_5_a_suspension_that_is_done_is_nobodys_news() {
    let suspended = so_far(vec![suspended(None), reported(Gateway, 2, 1, done())]);
    assert_eq!(when(suspended, Registration, 2, 1, done()), []);
}

#[test]
fn rule_7_a_revocation_ends_when_both_have_reported_that_it_is_gone() {
    let gone = Outcome::Done {
        client_id: None,
        client_deleted: true,
    };
    let tail = vec![
        reported(Registration, 1, 1, Outcome::Started),
        revoked(),
        // The approval that it overtook finished after all.
        reported(Registration, 1, 2, done()),
        reported(Gateway, 1, 1, done()),
        reported(Gateway, 2, 2, Outcome::NothingToDo),
    ];
    assert_eq!(status(tail.clone()), Status::Revoked);
    let ended = Event::from(join::Event::Ended(announced(2, 3)));
    let told = when(so_far(tail.clone()), Registration, 2, 3, gone.clone());
    assert_eq!(told, std::slice::from_ref(&ended));
    let tail = [
        tail,
        vec![reported(Registration, 2, 3, gone.clone()), ended],
    ]
    .concat();
    let state = given::<AccessRequest>(so_far(tail.clone())).state();
    assert!(state.client_deleted());
    assert_eq!(when(so_far(tail), Registration, 2, 3, gone), []);
}

#[test]
fn a_delay_says_when_the_next_try_is_until_something_newer_is_known() {
    let delayed = |half, position, second: i64| {
        let outcome = Outcome::Delayed {
            reason: "503".into(),
            next_try_at: Some(Timestamp::from_second(second).unwrap()),
        };
        reported(half, 1, position, outcome)
    };
    let next = |tail: Vec<Event>| {
        let state = given::<AccessRequest>(so_far(tail)).state();
        state.standing().next_try_at().map(Timestamp::as_second)
    };
    let first = delayed(Registration, 2, 60);
    assert_eq!(next(vec![first.clone()]), Some(60));
    let earlier = reported(Registration, 1, 1, Outcome::Started);
    assert_eq!(next(vec![first.clone(), earlier]), Some(60));
    let later = reported(Registration, 1, 3, Outcome::Started);
    assert_eq!(next(vec![first.clone(), later]), None);
    let other = delayed(Gateway, 1, 30);
    assert_eq!(next(vec![first.clone(), other.clone()]), Some(30));
    let done = reported(Gateway, 1, 2, done());
    assert_eq!(next(vec![first, other, done]), Some(60));
}

#[test]
fn a_report_about_nothing_is_refused() {
    let report = report(Gateway, 1, 1, done());
    let refused = given::<AccessRequest>([])
        .when(&Command::Join(report))
        .then_refused();
    assert_eq!(refused, Rejection::NotFound);
}
