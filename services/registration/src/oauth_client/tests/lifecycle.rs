//! Suspension, a changed client type, replacement, and the end of secrets.

use jiff::SignedDuration;

use super::*;

const EXPIRES: i64 = 1_800_000_000;
const REPLACE: Command = Command::Deletion(DeletionCommand::Replace);

fn suspended_application(as_of: i64, suspended: bool) -> Command {
    follow(Application {
        suspended,
        ..application("Weather app", as_of)
    })
}

fn client_type(id: Uuid) -> Command {
    let client_type_id = id;
    Command::Follow(FollowCommand::ClientType { client_type_id })
}

fn notice(days_left: u32) -> Command {
    Command::Rotation(RotationCommand::NoticeExpiry {
        days_left,
        rotates: false,
        silent: false,
    })
}

fn end_old_secret() -> Command {
    Command::OldSecret(OldSecretCommand::End { at: now() })
}

const RETIRE: Command = Command::OldSecret(OldSecretCommand::Retire);

fn days_before(days: i64) -> Timestamp {
    let expires = Timestamp::from_second(EXPIRES).unwrap();
    expires - SignedDuration::from_hours(24 * days)
}

/// Active, with a secret that ends.
fn expiring() -> Story {
    let mut story = Story::active(&[1]);
    let mut answer = answer("c1", &set(&["p1", "free"]));
    answer.secret_expires_at = EXPIRES.unsigned_abs();
    let attempt = story.client.attempt;
    story.take_in(UpdateEvent::Updated(Succeeded { attempt, answer }).into());
    story
}

/// Both secrets work for a time.
fn rotated() -> Story {
    let mut story = Story::active(&[1]);
    let rotated = RotationEvent::SecretRotated(Rotated {
        attempt: 9,
        answer: Box::new(answer("c1", &set(&["p1", "free"]))),
        old_secret: Some(OldSecret::until(later())),
    });
    story.take_in(rotated.into());
    story
}

#[test]
fn the_last_suspended_request_leaves_a_client_without_scopes() {
    let story = Story::active(&[1]).then(&suspended(1, 2));
    let Step::Update(wanted) = story.step() else {
        panic!("{:?}", story.step());
    };
    assert!(wanted.suspended && wanted.scopes.is_empty());
    let mut story = story.updated();
    let applied = UpdateEvent::SuspensionApplied { suspended: true };
    assert!(story.events.contains(&applied.into()));
    assert_eq!(story.client.status(), "suspended");
    let reveal = Command::Access(AccessCommand::Reveal);
    for refused in [reveal, rotate(9), REPLACE] {
        assert_eq!(story.tell(&refused), Err(Rejection::Suspended));
    }
    assert_eq!(story.step(), Step::Idle);

    let story = story.then(&want(requested(1, 3, Access::Granted)));
    assert_eq!(story.standing(1), Some(&Standing::New));
    let story = story.updated();
    assert_eq!(story.standing(1), Some(&Standing::Done));
    assert_eq!(story.client.status(), "ready");
    assert_eq!(story.client.scopes(), set(&["p1", "free"]));
}

#[test]
fn one_suspended_request_of_two_takes_only_its_scopes() {
    let story = Story::active(&[1, 2]).then(&suspended(2, 2));
    assert_eq!(story.step(), Step::Update(wanted(&["p1", "free"])));
    assert_eq!(story.standing(1), Some(&Standing::Done));
}

#[test]
fn a_suspended_application_is_not_registered_before_it_is_resumed() {
    let story = Story::new([granted(1)]).then(&suspended_application(2, true));
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.client.status(), "suspended");
    // Otherwise the join would wait in silence.
    assert_eq!(story.reports(1), [(1, Outcome::Started)]);
    let story = story.then(&suspended_application(3, false));
    assert!(matches!(story.step(), Step::Register(_)));
    let story = story.registered();
    assert_eq!(story.reports(1), [(1, Outcome::Started), (1, DONE)]);
    // An approval says so, too.
    let mut late = requested(1, 1, Access::Granted);
    late.application.suspended = true;
    let story = Story::new([want(late)]);
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.reports(1), [(1, Outcome::Started)]);
}

#[test]
fn a_suspended_application_goes_when_its_last_access_is_revoked() {
    let story = Story::active(&[1])
        .then(&suspended_application(2, true))
        .updated()
        .then(&revoked(1, 2));
    assert_eq!(story.step(), Step::Delete);
}

#[test]
fn a_failed_request_that_is_suspended_asks_for_nothing() {
    let story = Story::active(&[1]).then(&granted(2)).then(&refuse(true));
    let story = story.then(&suspended(2, 2));
    assert_eq!(story.reports(2).last(), Some(&(2, DONE)));
    assert_eq!(story.step(), Step::Idle);
}

#[test]
fn a_changed_client_type_updates_its_clients() {
    let story = Story::active(&[1]).then(&client_type(MACHINE));
    assert!(matches!(story.step(), Step::Update(_)));
    assert_eq!(story.updated().step(), Step::Idle);
    let mut story = Story::active(&[1]);
    assert_eq!(story.tell(&client_type(Uuid::from_u128(0xdd))), Ok(vec![]));
}

#[test]
fn a_replacement_deletes_and_registers_again() {
    let story = Story::active(&[1]).then(&REPLACE);
    assert_eq!(story.step(), Step::Delete);
    let story = story.deleted();
    assert!(matches!(story.step(), Step::Register(_)));
    let story = story.registered();
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.reports(1).last(), Some(&(1, DONE)));
    let mut nobody = Story::new([granted(1)]);
    assert_eq!(nobody.tell(&REPLACE), Err(Rejection::NotRegistered));
}

#[test]
fn the_end_of_a_secret_is_said_four_times() {
    let mut story = expiring();
    assert_eq!(story.client.next_step(days_before(31)), Step::Idle);
    assert_eq!(story.client.due(), Some(days_before(30)));
    for (days, next) in [(30, Some(7)), (7, Some(1)), (1, Some(0)), (0, None)] {
        let now = days_before(days);
        let days_left = u32::try_from(days).unwrap();
        assert_eq!(story.client.next_step(now), Step::Notice { days_left });
        assert_eq!(story.tell(&notice(days_left)).unwrap().len(), 1);
        assert_eq!(story.client.next_step(now), Step::Idle);
        assert_eq!(story.client.due(), next.map(days_before));
        // Once.
        assert_eq!(story.tell(&notice(days_left)), Ok(vec![]));
    }
}

#[test]
fn of_notices_that_were_missed_only_the_last_is_given() {
    let story = expiring();
    let step = story.client.next_step(days_before(3));
    assert_eq!(step, Step::Notice { days_left: 7 });
    let story = story.then(&notice(7));
    assert_eq!(story.client.next_step(days_before(3)), Step::Idle);
}

#[test]
fn a_new_secret_is_announced_anew() {
    let mut story = expiring().then(&notice(0));
    assert_eq!(story.client.due(), None);
    let mut answer = answer("c1", &set(&["p1", "free"]));
    answer.secret_expires_at = EXPIRES.unsigned_abs() + 100 * 86_400;
    let rotated = RotationEvent::SecretRotated(Rotated {
        attempt: 9,
        answer: Box::new(answer),
        old_secret: None,
    });
    story.take_in(rotated.into());
    assert_eq!(story.client.due(), Some(days_before(-70)));
}

#[test]
fn an_old_secret_is_ended_when_its_time_has_come() {
    let story = rotated();
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.client.due(), Some(later()));
    assert_eq!(story.client.next_step(later()), Step::Retire);
    let mut story = story.then(&RETIRE);
    assert_eq!(story.client.next_step(later()), Step::Idle);
    let again = story.tell(&end_old_secret());
    assert_eq!(again, Err(Rejection::NoOldSecret));
}

#[test]
fn an_old_secret_ends_before_its_time_where_somebody_wants_it_and_is_never_given_up() {
    let mut story = rotated().then(&end_old_secret());
    assert_eq!(story.step(), Step::Retire);
    assert_eq!(story.tell(&end_old_secret()), Ok(vec![]));
    let story = story.then(&Command::OldSecret(OldSecretCommand::Keep {
        problem: problem("provider_unreachable"),
        again_at: later(),
    }));
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.client.due(), Some(later()));
    let old = story.client.old_secret().unwrap();
    assert_eq!((old.attempts, old.not_ended.is_some()), (1, true));
    let story = story.then(&end_old_secret()).then(&RETIRE);
    assert_eq!(story.client.old_secret(), None);
}
