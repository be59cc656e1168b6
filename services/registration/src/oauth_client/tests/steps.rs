//! What is to be done next, in every situation.

use super::*;

fn intended() -> Story {
    Story::new([granted(1)]).then(&intend(wanted(&["free", "p1"])))
}

#[test]
fn from_the_first_grant_to_the_last_revocation_and_again() {
    let mut story = Story::default();
    assert_eq!(story.step(), Step::Idle);
    story = story.then(&granted(1));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p1"])));
    story = story.registered().then(&granted(2));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1", "p2"])));
    story = story.updated().then(&revoked(1, 2));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p2"])));
    story = story.updated().then(&revoked(2, 2));
    assert_eq!(story.step(), Step::Delete);
    story = story.deleted();
    assert_eq!(story.step(), Step::Forget);
    story = story.then(&Command::Deletion(DeletionCommand::ForgetSecrets));
    assert_eq!(story.step(), Step::Idle);
    assert!(story.client.grants.is_empty());
    story = story.then(&granted(3));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p3"])));
}

#[test]
fn an_attempt_without_an_outcome_is_reconciled_whatever_is_wanted() {
    assert_eq!(intended().step(), Step::Reconcile);
    assert_eq!(intended().then(&revoked(1, 2)).step(), Step::Reconcile);
    let delayed = intended().then(&delay("busy", false));
    assert_eq!(delayed.step(), Step::Wait(later()));
    assert_eq!(delayed.client.next_step(later()), Step::Reconcile);
    // An attempt that certainly had no effect is made anew.
    let over = intended().then(&delay("busy", true));
    assert_eq!(
        over.client.next_step(later()),
        Step::Register(wanted(&["free", "p1"]))
    );
}

#[test]
fn an_operation_without_an_outcome_is_repeated() {
    let story = Story::active(&[1]).then(&granted(2));
    let story = story.then(&intend_update(wanted(&["free", "p1", "p2"])));
    let story = story.then(&revoked(2, 2));
    // Although nothing else is wanted than before the update, which may have been done.
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1"])));
    // A deletion that may have been done, and a new grant: the update finds out.
    let story = Story::active(&[1])
        .then(&revoked(1, 2))
        .then(&intend_delete())
        .then(&granted(2));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p2"])));
}

/// Otherwise they would be taken for somebody else's, and stay.
#[test]
fn scopes_of_updates_without_an_outcome_are_ours_until_there_is_one() {
    let own = |story: &Story| story.client.live().unwrap().own_scopes();
    let story = Story::active(&[1]).then(&granted(2));
    assert_eq!(own(&story), set(&["free", "p1"]));
    let story = story.then(&intend_update(wanted(&["free", "p1", "p2"])));
    let story = story.then(&revoked(2, 2));
    let story = story.then(&intend_update(wanted(&["free", "p1"])));
    assert_eq!(own(&story), set(&["free", "p1", "p2"]));
    // One that the provider certainly refused says nothing of the one before.
    let over = story.clone().then(&delay("busy", true));
    assert_eq!(own(&over), set(&["free", "p1", "p2"]));
    assert_eq!(own(&story.updated()), set(&["free", "p1"]));
}

#[test]
fn a_client_that_somebody_deleted_is_registered_anew() {
    let story = Story::active(&[1]).then(&deleted("c1"));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p1"])));
    let unexpected = DeletionEvent::Deleted { unexpected: true };
    assert!(story.events.contains(&unexpected.into()));
}

#[test]
fn a_paused_provider_stops_registrations_and_nothing_else() {
    let story = Story::new([granted(1)]).then(&pause(true));
    assert_eq!(story.step(), Step::Paused);
    assert_eq!(story.clone().then(&revoked(1, 2)).step(), Step::Idle);
    assert_eq!(
        story.then(&RESUME).step(),
        Step::Register(wanted(&["free", "p1"]))
    );
    let live = Story::active(&[1]).then(&pause(true)).then(&revoked(1, 2));
    assert_eq!(live.step(), Step::Delete);
}

#[test]
fn a_refused_grant_does_not_touch_the_working_ones() {
    let story = Story::active(&[1]).then(&granted(2)).then(&refuse(true));
    assert!(story.has_failed(2));
    assert_eq!(story.standing(1), Some(&Standing::Done));
    assert_eq!(story.step(), Step::Idle);
    let story = story.then(&retried(2, 2));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1", "p2"])));
}

#[test]
fn a_refused_change_of_the_application_is_parked_until_something_changes() {
    let change = |as_of| follow(application(&format!("v{as_of}"), as_of));
    let story = Story::active(&[1]).then(&change(2)).then(&refuse(true));
    assert_eq!(
        (story.step(), story.client.status()),
        (Step::Idle, "failed")
    );
    assert_eq!(story.standing(1), Some(&Standing::Done));
    for again in [RESUME, change(3), granted(2)] {
        let step = story.clone().then(&again).step();
        assert!(matches!(step, Step::Update(_)), "{again:?}: {step:?}");
    }
}

#[test]
fn an_intent_that_nobody_can_settle_is_parked() {
    let story = intended().then(&refuse(false));
    assert!(story.has_failed(1));
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.then(&retried(1, 2)).step(), Step::Reconcile);
}

#[test]
fn of_several_refused_ones_each_is_tried_on_its_own() {
    let story = Story::new([granted(1), granted(2)]);
    let story = story
        .then(&intend(wanted(&["free", "p1", "p2"])))
        .then(&refuse(true));
    assert_eq!(story.standing(1), Some(&Standing::Started));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p1"])));
    let story = story
        .then(&intend(wanted(&["free", "p1"])))
        .then(&refuse(true));
    assert!(story.has_failed(1));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p2"])));
    let story = story.registered();
    assert_eq!(
        (story.standing(2), story.step()),
        (Some(&Standing::Done), Step::Idle)
    );
    assert!(!story.client.one_at_a_time);
}

#[test]
fn a_rotation_goes_before_all_else() {
    let story = Story::active(&[1]).then(&rotate(9)).then(&granted(2));
    assert_eq!(story.step(), Step::Rotate);
    let attempt = story.client.attempt;
    let story = story.then(&Command::Rotation(RotationCommand::Refuse(
        RotationRefused {
            attempt,
            problem: problem("no"),
        },
    )));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1", "p2"])));
}

#[test]
fn a_provider_of_whose_attempts_nothing_is_known_gets_the_scopes_afterwards() {
    let bare = Intent {
        without_scopes: true,
        ..intent(wanted(&["free", "p1"]))
    };
    let command = Command::Registration(RegistrationCommand::Intend(bare));
    let story = Story::new([granted(1)]).then(&command);
    assert!(story.client.intended().unwrap().client.scopes.is_empty());
    let story = story.then(&register(1, answer("c1", &set(&[]))));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1"])));
}

#[test]
fn views_know_when_something_is_due() {
    assert_eq!(Story::default().client.due(), None);
    assert_eq!(
        Story::new([granted(1)]).client.due(),
        Some(Timestamp::UNIX_EPOCH)
    );
    let delayed = intended().then(&delay("busy", false));
    assert_eq!(delayed.client.due(), Some(later()));
    assert_eq!(intended().then(&refuse(false)).client.due(), None);
}

#[test]
fn statuses() {
    let status = |story: &Story| story.client.status();
    assert_eq!(status(&Story::new([granted(1)])), "waiting");
    assert_eq!(status(&intended()), "registering");
    assert_eq!(status(&intended().then(&refuse(true))), "failed");
    assert_eq!(status(&intended().then(&pause(true))), "paused");
    assert_eq!(status(&Story::active(&[1])), "ready");
    assert_eq!(status(&Story::active(&[1]).then(&granted(2))), "updating");
    let revoked = Story::active(&[1]).then(&revoked(1, 2));
    assert_eq!(status(&revoked), "deleting");
    assert_eq!(status(&revoked.clone().then(&refuse(true))), "failed");
    assert_eq!(status(&revoked.deleted()), "deleted");
}

fn found(client_id: &str) -> [Command; 2] {
    let client_id = client_id.to_owned();
    let members = vec!["redirect_uris".to_owned()];
    [
        Command::Drift(DriftCommand::Missing {
            client_id: client_id.clone(),
        }),
        Command::Drift(DriftCommand::Changed { client_id, members }),
    ]
}

#[test]
fn a_client_that_was_found_missing_is_registered_again_for_everybody() {
    let [missing, _] = found("c1");
    let story = Story::active(&[1, 2]).then(&missing);
    assert_eq!(story.standing(1), Some(&Standing::Started));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p1", "p2"])));
    let story = story.registered();
    assert_eq!(story.standing(2), Some(&Standing::Done));
    assert_eq!(story.step(), Step::Idle);
}

#[test]
fn a_client_that_was_found_changed_is_updated_once() {
    let [_, changed] = found("c1");
    let mut story = Story::active(&[1]).then(&changed);
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1"])));
    assert_eq!(story.tell(&changed), Ok(Vec::new()));
    let story = story.updated();
    assert_eq!(story.step(), Step::Idle);
}

#[test]
fn what_was_found_of_another_client_or_in_the_middle_of_work_is_nothing() {
    for command in found("another").iter().chain(&found("c1")[..]) {
        let mut story = Story::active(&[1]).then(&rotate(0));
        assert_eq!(story.tell(command), Err(Rejection::Superseded));
    }
    let [missing, _] = found("another");
    let refused = Story::active(&[1]).tell(&missing);
    assert_eq!(refused, Err(Rejection::Superseded));
}
