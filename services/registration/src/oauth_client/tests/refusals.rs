//! A change that is refused, or comes to nothing, leaves what works alone.

use super::*;

const REVEAL: Command = Command::Access(AccessCommand::Reveal);

/// Active, and another revision with these scopes was refused.
fn refused_change(scopes: &[&str]) -> Story {
    let story = Story::active(&[1]).then(&rescoped(1, 2, scopes));
    let wanted = story.client.wanted().unwrap();
    story.then(&intend_update(wanted)).then(&refuse(true))
}

fn stop(as_of: i64, suspended: bool) -> Command {
    follow(Application {
        suspended,
        ..application("Weather app", as_of)
    })
}

/// The client is there, its owner sees it, and it can be given a new secret.
#[track_caller]
fn assert_works(story: &Story, scopes: &[&str]) {
    let live = story.client.live().expect("a client");
    assert_eq!(live.applied.scopes, set(scopes));
    assert!(!live.applied.suspended);
    for command in [REVEAL, rotate(9)] {
        assert!(story.clone().tell(&command).is_ok(), "{command:?}");
    }
    assert_eq!(story.client.status(), "ready");
}

#[test]
fn a_refused_change_of_scopes_leaves_the_client_and_its_credentials() {
    let story = refused_change(&["p1", "free", "other"]);
    assert!(story.has_failed(1));
    assert_eq!(story.step(), Step::Idle);
    assert_works(&story, &["p1", "free"]);
    let story = story.then(&retried(1, 3));
    assert_eq!(story.reports(1).last(), Some(&(3, DONE)));
}

/// What is not asked for any more goes, and a refusal of that leaves the client too.
#[test]
fn a_refused_change_of_scopes_takes_away_what_was_given_up() {
    let story = refused_change(&["free", "other"]);
    assert_eq!(story.step(), Step::Update(wanted(&["free"])));
    let refused = story.clone().then(&intend_update(wanted(&["free"])));
    let refused = refused.then(&refuse(true));
    assert_eq!(refused.step(), Step::Idle);
    assert_eq!(refused.client.status(), "failed");
    assert_eq!(
        refused.client.live().unwrap().applied,
        wanted(&["free", "p1"])
    );
    let story = story.updated();
    assert_works(&story, &["free"]);
    let story = story.then(&rescoped(1, 3, &["free", "other"]));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "other"])));
}

#[test]
fn a_change_whose_outcome_is_unknown_to_the_last_is_taken_back() {
    let story = Story::active(&[1]).then(&rescoped(1, 2, &["p1", "free", "other"]));
    let story = story.then(&intend_update(wanted(&["p1", "free", "other"])));
    let story = story.then(&delay("timeout", false)).then(&refuse(false));
    assert!(story.has_failed(1));
    assert_eq!(story.step(), Step::Update(wanted(&["p1", "free"])));
    assert!(story.client.held.scopes.contains("other"));
    assert_works(&story.updated(), &["p1", "free"]);
}

/// Otherwise a retry would be answered at once, without the scope.
#[test]
fn a_scope_that_was_left_out_is_asked_for_again_by_a_retry() {
    let story = Story::active(&[1]).then(&rescoped(1, 2, &["p1", "free", "other"]));
    let story = story.then(&intend_update(wanted(&["p1", "free", "other"])));
    let attempt = story.client.attempt;
    let story = story.then(&update(attempt, answer("c1", &set(&["p1", "free"]))));
    assert!(story.has_failed(1));
    assert_eq!(story.step(), Step::Update(wanted(&["p1", "free"])));
    let story = story.updated();
    assert_works(&story, &["p1", "free"]);
    let again = Requested {
        scopes: set(&["p1", "free", "other"]),
        retried: true,
        ..requested(1, 3, Access::Granted)
    };
    let story = story.then(&want(again));
    assert_eq!(story.step(), Step::Update(wanted(&["p1", "free", "other"])));
}

#[test]
fn a_refused_resumption_leaves_the_client_as_it_was_suspended() {
    let story = Story::active(&[1]).then(&suspended(1, 2)).updated();
    let story = story.then(&want(requested(1, 3, Access::Granted)));
    let mut story = story
        .then(&intend_update(wanted(&["p1", "free"])))
        .then(&refuse(true));
    assert!(story.has_failed(1));
    assert_eq!(
        (story.step(), story.client.status()),
        (Step::Idle, "suspended")
    );
    assert_eq!(story.tell(&REVEAL), Err(Rejection::Suspended));
    let story = story.then(&retried(1, 4)).updated();
    assert_works(&story, &["p1", "free"]);
    assert_eq!(story.reports(1).last(), Some(&(4, DONE)));
}

/// Each of two is tried on its own; the one that waits for its turn keeps what it has.
#[test]
fn who_waits_for_a_turn_keeps_what_works() {
    let story = Story::active(&[1, 2])
        .then(&rescoped(1, 2, &["p1", "free", "a"]))
        .then(&rescoped(2, 2, &["p2", "free", "b"]));
    let both = wanted(&["a", "b", "free", "p1", "p2"]);
    let story = story.then(&intend_update(both)).then(&refuse(true));
    assert!(story.client.one_at_a_time);
    let first = wanted(&["a", "free", "p1", "p2"]);
    assert_eq!(story.step(), Step::Update(first.clone()));
    let story = story.then(&intend_update(first)).then(&refuse(true));
    assert!(story.has_failed(1) && !story.has_failed(2));
    let second = wanted(&["b", "free", "p1", "p2"]);
    assert_eq!(story.step(), Step::Update(second));
    let story = story.updated();
    assert_eq!(story.standing(2), Some(&Standing::Done));
    assert_works(&story, &["b", "free", "p1", "p2"]);
}

/// A request that the client never served keeps nothing of it.
#[test]
fn the_client_goes_with_the_last_request_that_it_served() {
    let story = Story::active(&[1]).then(&granted(2)).then(&refuse(true));
    assert_eq!(story.then(&revoked(1, 2)).step(), Step::Delete);
    let story = refused_change(&["p1", "free", "other"]).then(&revoked(1, 3));
    assert_eq!(story.step(), Step::Delete);
    assert_eq!(story.deleted().reports(1).last(), Some(&(3, DELETED)));
}

/// What the former client kept is lost with it, so the revision is tried again with the next one.
#[test]
fn a_client_whose_change_was_refused_is_replaced_and_registered_again() {
    let replace = Command::Deletion(DeletionCommand::Replace);
    let lost = refused_change(&["p1", "free", "other"]).then(&deleted("c1"));
    let replaced = refused_change(&["p1", "free", "other"]).then(&replace);
    assert_eq!(replaced.step(), Step::Delete);
    for story in [lost, replaced.deleted()] {
        assert!(story.client.activated);
        let all = wanted(&["p1", "free", "other"]);
        assert_eq!(story.step(), Step::Register(all));
        let story = story.registered();
        let last = [(2, Outcome::Started), (2, DONE)];
        assert!(story.reports(1).ends_with(&last), "{:?}", story.reports(1));
    }
}

#[test]
fn an_application_that_is_resumed_has_a_refused_change_tried_again() {
    let story = refused_change(&["p1", "free", "other"]).then(&stop(2, true));
    let story = story.updated();
    assert!(story.has_failed(1));
    assert_eq!(story.client.status(), "suspended");
    let story = story.then(&stop(3, false));
    let all = wanted(&["p1", "free", "other"]);
    assert_eq!(story.step(), Step::Update(all));
}

/// Which of the two messages comes first makes no difference.
#[test]
fn a_resumption_that_comes_with_another_request_tries_a_refused_change_again() {
    let story = refused_change(&["p1", "free", "other"]).then(&stop(2, true));
    let story = story.updated().then(&want(Requested {
        application: application("Weather app", 3),
        ..requested(2, 1, Access::Granted)
    }));
    let all = wanted(&["p1", "p2", "free", "other"]);
    assert_eq!(story.clone().then(&stop(3, false)).step(), story.step());
    assert_eq!(story.step(), Step::Update(all));
}

#[test]
fn a_suspension_does_not_wait_for_what_is_stuck() {
    let stuck = Story::active(&[1, 2]).then(&revoked(1, 2));
    let stuck = stuck.then(&refuse(true));
    assert_eq!(stuck.step(), Step::Wait(much_later()));
    let step = stuck.then(&stop(2, true)).step();
    assert!(
        matches!(&step, Step::Update(wanted) if wanted.suspended),
        "{step:?}"
    );
}

/// A pause belongs to what was tried; nobody wants that any more.
#[test]
fn a_pause_ends_where_nothing_is_left_to_do() {
    let story = Story::active(&[1]).then(&rescoped(1, 2, &["p1", "free", "other"]));
    let story = story.then(&delay("busy", true));
    assert_eq!(story.step(), Step::Wait(later()));
    let story = story.then(&rescoped(1, 3, &["p1", "free"]));
    assert_eq!(story.step(), Step::Idle);
    let story = story.then(&rescoped(1, 4, &["p1", "free", "third"]));
    let all = wanted(&["p1", "free", "third"]);
    assert_eq!(story.step(), Step::Update(all));
}

/// What is shown as in force is what the provider has.
#[test]
fn a_profile_that_is_refused_is_not_in_force() {
    let in_force = |story: &Story| story.client.live().unwrap().applied.profile;
    let (first, refused) = (application("First", 5), application("Refused", 6));
    let story = Story::active(&[1]).then(&follow(first.clone())).updated();
    assert_eq!(in_force(&story), first.profile);
    let story = story.then(&follow(refused.clone()));
    let wanted = story.client.wanted().unwrap();
    let story = story.then(&intend_update(wanted)).then(&refuse(true));
    assert_eq!(in_force(&story), first.profile);
    assert_eq!(story.client.last_error(), Some(&problem("no")));
    let story = story.then(&follow(application("Refused", 7))).updated();
    assert_eq!(in_force(&story), refused.profile);
}
