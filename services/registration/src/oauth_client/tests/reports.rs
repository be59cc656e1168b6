//! Every revision of a request is answered, by the newest that is known, in whatever order messages come.

use portico_eventstore::testing::given;

use super::*;

fn after(story: &Story) -> portico_eventstore::testing::Given<OauthClient> {
    given::<OauthClient>(story.events.clone())
}

#[test]
fn a_revision_is_taken_in_once_and_a_lower_one_is_ignored() {
    let mut story = Story::new([rescoped(1, 3, &["new"])]);
    for late in [rescoped(1, 3, &["new"]), granted(1), revoked(1, 2)] {
        assert_eq!(story.tell(&late), Ok(vec![]), "{late:?}");
    }
    assert_eq!(story.step(), Step::Register(wanted(&["new"])));
}

#[test]
fn a_registration_is_started_and_done() {
    let story = Story::new([granted(1)]).registered();
    assert_eq!(story.reports(1), [(1, Outcome::Started), (1, DONE)]);
    assert_eq!(story.standing(1), Some(&Standing::Done));
    assert_eq!(story.step(), Step::Idle);
}

#[test]
fn a_repeated_revision_of_what_is_done_repeats_the_answer_and_calls_nobody() {
    let story = Story::active(&[1]).then(&retried(1, 2));
    assert_eq!(story.reports(1)[2..], [(2, DONE)]);
    assert_eq!(story.step(), Step::Idle);
    // The same for what is suspended and revoked.
    let story = story.then(&suspended(1, 3)).updated();
    let story = story.then(&suspended(1, 4));
    assert_eq!(story.reports(1)[3..], [(3, DONE), (4, DONE)]);
    let story = story.then(&revoked(1, 5)).deleted().then(&revoked(1, 6));
    assert_eq!(story.reports(1)[5..], [(5, DELETED), (6, DELETED)]);
    assert_eq!(story.client.ended[&request(1)], 6);
    assert_eq!(story.step(), Step::Forget);
}

#[test]
fn a_request_whose_scopes_are_there_is_done_at_once() {
    let again = want(Requested {
        scopes: set(&["p1", "free"]),
        ..requested(2, 1, Access::Granted)
    });
    let story = Story::active(&[1]).then(&again);
    assert_eq!(story.reports(2), [(1, DONE)]);
    assert_eq!(story.step(), Step::Idle);
    // And taking one of the two away takes no scope.
    let story = story.then(&revoked(1, 2));
    assert_eq!(story.reports(1).last(), Some(&(2, DONE)));
    assert_eq!(story.step(), Step::Idle);
}

#[test]
fn what_was_never_created_is_not_taken_away() {
    for gone in [suspended(1, 2), revoked(1, 2)] {
        // Before its approval, which comes later and has no effect.
        let story = Story::new([gone.clone(), granted(1)]);
        assert_eq!(story.reports(1), [(2, Outcome::NeverCreated)]);
        assert_eq!(story.step(), Step::Idle);
        // And after it, before anything was attempted.
        let story = Story::new([granted(1), gone]);
        assert_eq!(story.reports(1), [(2, Outcome::NeverCreated)]);
    }
}

#[test]
fn a_revocation_that_overtakes_an_attempt_waits_for_its_outcome() {
    let story = Story::new([granted(1)]).then(&intend(wanted(&["free", "p1"])));
    let story = story.then(&revoked(1, 2));
    assert_eq!(story.reports(1), [(1, Outcome::Started)]);
    assert_eq!(story.step(), Step::Reconcile);
    let story = story.then(&register(1, answer("c1", &set(&["free", "p1"]))));
    assert_eq!(story.step(), Step::Delete);
    let story = story.deleted();
    assert_eq!(story.reports(1).last(), Some(&(2, DELETED)));
}

#[test]
fn a_suspension_is_done_when_the_client_lacks_the_scopes() {
    let story = Story::active(&[1, 2]).then(&suspended(2, 2));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1"])));
    assert_eq!(story.reports(2).len(), 2);
    let story = story.updated();
    assert_eq!(story.reports(2).last(), Some(&(2, DONE)));
    // Back again, the request waits for its scopes.
    let story = story.then(&want(requested(2, 3, Access::Granted)));
    assert_eq!(story.standing(2), Some(&Standing::New));
    let story = story.updated();
    assert_eq!(story.reports(2)[3..], [(3, Outcome::Started), (3, DONE)]);
}

/// The update under way takes them away again.
#[test]
fn scopes_that_an_update_under_way_takes_away_are_not_there() {
    let story = Story::active(&[1, 2]).then(&suspended(2, 2));
    let story = story.then(&intend_update(wanted(&["free", "p1"])));
    let story = story.then(&want(requested(2, 3, Access::Granted)));
    assert_eq!(story.standing(2), Some(&Standing::New));
    let story = story.updated();
    assert_eq!(story.reports(2).last(), Some(&(3, DONE)));
}

#[test]
fn every_waiting_request_is_told_of_a_delay_and_attempts_are_counted_once() {
    let mut story = Story::new([granted(1), granted(2)]);
    for attempts in 1..=3 {
        story.tell(&delay("busy", true)).unwrap();
        assert_eq!(story.client.delay.as_ref().unwrap().attempts, attempts);
    }
    let delayed = Outcome::Delayed {
        problem: problem("busy"),
        next_try_at: Some(later()),
    };
    for number in [1, 2] {
        assert_eq!(story.reports(number), vec![(1, delayed.clone()); 3]);
    }
}

#[test]
fn who_waits_for_a_paused_provider_is_told_so_also_who_comes_later() {
    let story = Story::new([granted(1)])
        .then(&pause(true))
        .then(&granted(2));
    for number in [1, 2] {
        let [
            (
                1,
                Outcome::Delayed {
                    problem,
                    next_try_at: None,
                },
            ),
        ] = &story.reports(number)[..]
        else {
            panic!("{:?}", story.reports(number));
        };
        assert!(problem.reason.contains("is paused"), "{problem:?}");
    }
    // Once.
    let mut story = story;
    assert_eq!(story.tell(&pause(false)), Ok(vec![]));
    assert_eq!(
        story.then(&RESUME).step(),
        Step::Register(wanted(&["free", "p1", "p2"]))
    );
}

/// A revision that comes while the client waits for something else is answered, and a retry ends the pause.
#[test]
fn who_comes_during_a_pause_is_told_until_when() {
    let story = Story::active(&[1])
        .then(&granted(2))
        .then(&delay("busy", true));
    let delayed = Outcome::Delayed {
        problem: problem("busy"),
        next_try_at: Some(later()),
    };
    let story = story.then(&granted(3)).then(&revoked(1, 2));
    assert_eq!(story.reports(3), [(1, delayed.clone())]);
    assert_eq!(story.reports(1)[2..], [(2, delayed)]);
    assert_eq!(story.step(), Step::Wait(later()));
    let story = story.then(&retried(3, 2)).updated();
    assert_eq!(story.reports(3)[1..], [(2, Outcome::Started), (2, DONE)]);
    assert_eq!(story.reports(1).last(), Some(&(2, DONE)));
}

/// What is stuck is tried again in an hour; nobody else waits for that.
#[test]
fn a_new_revision_is_tried_at_once_where_something_is_stuck() {
    let stuck = Story::active(&[1, 2])
        .then(&suspended(1, 2))
        .then(&refuse(true));
    assert_eq!(stuck.step(), Step::Wait(much_later()));
    let story = stuck.then(&granted(3));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p2", "p3"])));
    let story = story.updated();
    assert_eq!(story.reports(3), [(1, Outcome::Started), (1, DONE)]);
    assert_eq!(story.reports(1).last(), Some(&(2, DONE)));
}

#[test]
fn a_scope_that_was_not_granted_fails_its_request() {
    let story = Story::new([granted(1)]).then(&intend(wanted(&["free", "p1"])));
    let story = story.then(&register(1, answer("c1", &set(&["free"]))));
    let [.., (1, Outcome::Failed(problem))] = &story.reports(1)[..] else {
        panic!("{:?}", story.reports(1));
    };
    assert_eq!(problem.code, "scope_not_granted");
    assert!(problem.reason.contains("p1"));
    assert_eq!(story.step(), Step::Delete);
}

#[test]
fn a_refused_take_away_is_said_once_never_given_up_and_done_in_the_end() {
    for gone in [suspended(1, 2), revoked(1, 2)] {
        let mut story = Story::active(&[1]).then(&gone);
        let step = story.step();
        story.tell(&refuse(true)).unwrap();
        let failed = [(2, Outcome::Failed(problem("no")))];
        assert_eq!(story.reports(1)[2..], failed);
        assert_eq!(story.client.status(), "failed");
        assert_eq!(story.step(), Step::Wait(much_later()));
        assert_eq!(story.client.next_step(much_later()), step);
        story.tell(&refuse(true)).unwrap();
        assert_eq!(story.reports(1)[2..], failed);
        assert_eq!(story.clone().then(&RESUME).step(), step);
        let story = match step {
            Step::Delete => story.deleted(),
            _ => story.updated(),
        };
        assert!(matches!(
            story.reports(1).last(),
            Some((2, Outcome::Done { .. }))
        ));
    }
}

#[test]
fn a_client_that_is_there_again_is_reported_again_with_its_new_id() {
    let story = Story::active(&[1]).then(&deleted("c1"));
    assert_eq!(story.standing(1), Some(&Standing::Started));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p1"])));
    let story = story.registered();
    assert_eq!(story.reports(1)[2..], [(1, DONE)]);
}

#[test]
fn an_application_that_is_resumed_is_told_only_where_it_goes_wrong() {
    let stop = |as_of, suspended| {
        follow(Application {
            suspended,
            ..application("Weather app", as_of)
        })
    };
    let story = Story::active(&[1]).then(&stop(2, true)).updated();
    assert_eq!(story.client.status(), "suspended");
    let story = story.then(&stop(3, false));
    assert_eq!(story.clone().updated().reports(1).len(), 2);
    let troubled = story.then(&delay("busy", true));
    assert_eq!(troubled.standing(1), Some(&Standing::Delayed));
    assert_eq!(troubled.updated().reports(1).last(), Some(&(1, DONE)));
}

#[test]
fn reports_are_part_of_the_decision() {
    let story = Story::new([granted(1)]).then(&intend(wanted(&["free", "p1"])));
    let answer = answer("c1", &set(&["free", "p1"]));
    let registered = RegistrationEvent::Registered(Succeeded {
        attempt: 1,
        answer: answer.clone(),
    });
    after(&story)
        .when(&register(1, answer))
        .then([registered.into(), report(1, 1, DONE)]);
}
