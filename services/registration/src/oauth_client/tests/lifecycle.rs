//! Suspension, a changed client type, replacement, and the end of secrets.

use jiff::SignedDuration;

use super::*;

const EXPIRES: i64 = 1_800_000_000;

fn suspend(number: u128, suspended: bool, as_of: i64) -> Command {
    Command::SuspendGrant {
        request_id: request(number),
        application_id: APPLICATION,
        identity_provider_id: PROVIDER,
        suspended,
        as_of,
    }
}

fn suspended_application(as_of: i64, suspended: bool) -> Command {
    Command::ChangeApplication(Application {
        suspended,
        ..application("Weather app", as_of)
    })
}

fn days_before(days: i64) -> Timestamp {
    let expires = Timestamp::from_second(EXPIRES).unwrap();
    expires - SignedDuration::from_hours(24 * days)
}

/// Active, with a secret that ends.
fn expiring() -> Story {
    let mut story = Story::active(&[1]);
    let mut answer = answer("c1", &set(&["p1", "free"]));
    answer.secret_expires_at = EXPIRES.unsigned_abs();
    let event = Event::Updated {
        attempt: story.client.attempt,
        answer,
        request_ids: vec![],
    };
    story.client.evolve(&event);
    story
}

#[test]
fn the_last_suspended_grant_leaves_a_client_without_scopes() {
    let story = Story::active(&[1]).then(&suspend(1, true, 5));
    let Step::Update(wanted) = story.step() else {
        panic!("{:?}", story.step());
    };
    assert!(wanted.suspended && wanted.scopes.is_empty());
    let mut story = story.updated();
    assert!(
        story
            .events
            .contains(&Event::SuspensionApplied { suspended: true })
    );
    assert_eq!(story.client.status(), "suspended");
    assert_eq!(story.tell(&Command::Reveal), Err(Rejection::Suspended));
    assert_eq!(
        story.tell(&Command::Rotate {
            secret_ref: VaultRef(Uuid::from_u128(9))
        }),
        Err(Rejection::Suspended)
    );
    // Gateways follow, and then nothing is left to be done.
    let story = story.mapped();
    assert_eq!(story.step(), Step::Idle);

    let story = story.then(&suspend(1, false, 6));
    assert_eq!(story.stage(1), Some(&Stage::Waiting));
    let story = story.updated().mapped().announced();
    assert_eq!(story.stage(1), Some(&Stage::Active));
    assert_eq!(story.client.status(), "ready");
    assert_eq!(story.client.scopes(), set(&["p1", "free"]));
}

#[test]
fn one_suspended_grant_of_two_takes_only_its_scopes() {
    let story = Story::active(&[1, 2]).then(&suspend(2, true, 5));
    let Step::Update(wanted) = story.step() else {
        panic!("{:?}", story.step());
    };
    assert_eq!(wanted.scopes, set(&["p1", "free"]));
    assert!(!wanted.suspended);
    assert_eq!(story.stage(1), Some(&Stage::Active));
}

#[test]
fn a_suspended_application_is_not_registered_before_it_is_resumed() {
    let story = Story::new([granted(1)]).then(&suspended_application(2, true));
    // Gateways are brought in step; there is nothing else to do.
    let story = story.mapped();
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.client.status(), "suspended");
    let story = story.then(&suspended_application(3, false));
    assert!(matches!(story.step(), Step::Register(_)));
    // An approval says so, too.
    let mut late = grant(1);
    late.application.suspended = true;
    let story = Story::new([Event::Granted(late)]).mapped();
    assert_eq!(story.step(), Step::Idle);
}

#[test]
fn a_suspended_application_goes_when_its_last_access_is_revoked() {
    let story = Story::active(&[1])
        .then(&suspended_application(2, true))
        .updated()
        .mapped()
        .then(&withdraw(1));
    assert_eq!(story.step(), Step::Delete);
}

#[test]
fn suspensions_come_in_any_order_and_the_latest_counts() {
    let mut story = Story::active(&[1]).then(&suspend(1, false, 8));
    assert_eq!(story.tell(&suspend(1, true, 7)), Ok(vec![]));
    assert!(!story.client.is_suspended(request(1)));
    // Before its approval.
    let story = Story::new([]).then(&suspend(1, true, 3));
    let story = story.then(&Command::Grant(grant(1))).mapped();
    assert_eq!(story.step(), Step::Idle);
    // After its end.
    let mut ended = Story::new([withdrawn(1)]);
    ended.client.ended.insert(request(1));
    assert_eq!(ended.tell(&suspend(1, true, 9)), Ok(vec![]));
}

#[test]
fn a_changed_client_type_updates_its_clients() {
    let story = Story::active(&[1]).then(&Command::FollowType {
        client_type_id: MACHINE,
    });
    assert!(matches!(story.step(), Step::Update(_)));
    assert_eq!(story.updated().mapped().step(), Step::Idle);
    let mut story = Story::active(&[1]);
    let other = Command::FollowType {
        client_type_id: Uuid::from_u128(0xdd),
    };
    assert_eq!(story.tell(&other), Ok(vec![]));
}

#[test]
fn a_replacement_deletes_and_registers_again() {
    let story = Story::active(&[1]).then(&Command::Replace);
    assert_eq!(story.step(), Step::Delete);
    let story = story
        .then(&Command::IntendDelete)
        .then(&Command::CompleteDelete {
            client_id: "c1".into(),
        });
    assert!(matches!(story.step(), Step::Register(_)));
    assert_eq!(story.stage(1), Some(&Stage::Waiting));
    let story = story.registered().mapped().announced();
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.stage(1), Some(&Stage::Active));
    let mut nobody = Story::new([granted(1)]);
    assert_eq!(
        nobody.tell(&Command::Replace),
        Err(Rejection::NotRegistered)
    );
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
        let notice = Command::NoticeExpiry {
            days_left,
            rotates: false,
            silent: false,
        };
        assert_eq!(story.tell(&notice).unwrap().len(), 1);
        assert_eq!(story.client.next_step(now), Step::Idle);
        assert_eq!(story.client.due(), next.map(days_before));
        // Once.
        assert_eq!(story.tell(&notice), Ok(vec![]));
    }
}

#[test]
fn of_notices_that_were_missed_only_the_last_is_given() {
    let story = expiring();
    let step = story.client.next_step(days_before(3));
    assert_eq!(step, Step::Notice { days_left: 7 });
    let story = story.then(&Command::NoticeExpiry {
        days_left: 7,
        rotates: false,
        silent: false,
    });
    assert_eq!(story.client.next_step(days_before(3)), Step::Idle);
}

#[test]
fn a_new_secret_is_announced_anew() {
    let mut story = expiring().then(&Command::NoticeExpiry {
        days_left: 0,
        rotates: false,
        silent: false,
    });
    assert_eq!(story.client.due(), None);
    let mut answer = answer("c1", &set(&["p1", "free"]));
    answer.secret_expires_at = EXPIRES.unsigned_abs() + 100 * 86_400;
    story.client.evolve(&Event::SecretRotated {
        attempt: 9,
        answer,
        old_secret: None,
    });
    assert_eq!(story.client.due(), Some(days_before(-70)));
}

#[test]
fn an_old_secret_is_ended_when_its_time_has_come() {
    let mut story = Story::active(&[1]);
    let old = OldSecret::until(later());
    story.client.evolve(&Event::SecretRotated {
        attempt: 9,
        answer: answer("c1", &set(&["p1", "free"])),
        old_secret: Some(old),
    });
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.client.due(), Some(later()));
    assert_eq!(story.client.next_step(later()), Step::Retire);
    let story = story.then(&Command::RetireSecret);
    assert_eq!(story.client.next_step(later()), Step::Idle);
    let again = story.client.decide(&Command::EndOldSecret { at: now() });
    assert_eq!(again, Err(Rejection::NoOldSecret));
}

#[test]
fn an_old_secret_ends_before_its_time_where_somebody_wants_it_and_is_never_given_up() {
    let mut story = Story::active(&[1]);
    story.client.evolve(&Event::SecretRotated {
        attempt: 9,
        answer: answer("c1", &set(&["p1", "free"])),
        old_secret: Some(OldSecret::until(later())),
    });
    let asked = Command::EndOldSecret { at: now() };
    let story = story.then(&asked);
    assert_eq!(story.step(), Step::Retire);
    assert_eq!(story.client.decide(&asked), Ok(Vec::new()));
    let story = story.then(&Command::KeepOldSecret {
        failing: failing("provider_unreachable", true),
        again_at: later(),
    });
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.client.due(), Some(later()));
    let old = story.client.old_secret().unwrap();
    assert_eq!((old.attempts, old.not_ended.is_some()), (1, true));
    let story = story.then(&asked).then(&Command::RetireSecret);
    assert_eq!(story.client.old_secret(), None);
}

#[test]
fn states_of_earlier_versions_still_open() {
    let mut state = serde_json::to_value(Story::active(&[1]).client).unwrap();
    let members = state.as_object_mut().unwrap();
    for new in ["suspensions", "replacing", "listed"] {
        members.remove(new).unwrap();
    }
    members["application"]
        .as_object_mut()
        .unwrap()
        .remove("suspended")
        .unwrap();
    let live = members["link"]["live"].as_object_mut().unwrap();
    for new in ["marker", "old_secret", "notice"] {
        live.remove(new).unwrap();
    }
    let client: OauthClient = serde_json::from_value(state).unwrap();
    assert_eq!(client.next_step(now()), Step::Idle);
}
