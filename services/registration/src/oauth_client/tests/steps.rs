//! What is to be done next, in every situation.

use super::*;

fn map(revision: u64) -> Step {
    Step::Map {
        gateway_ids: vec!["g".into()],
        revision,
    }
}

fn delay(target: Target, attempt_over: bool) -> Command {
    Command::Delay {
        target,
        failing: failing("busy", attempt_over),
        next_try_at: later(),
    }
}

fn refuse(attempt_over: bool) -> Command {
    Command::Refuse {
        failing: failing("no", attempt_over),
        again_at: much_later(),
        at: now(),
    }
}

fn intended() -> Story {
    Story::new([granted(1)]).then(&intend(wanted(&["free", "p1"])))
}

#[test]
fn the_straight_way() {
    let story = Story::default();
    assert_eq!(story.step(), Step::Idle);
    let story = Story::new([granted(1)]);
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p1"])));
    let story = story.registered();
    assert_eq!(story.step(), map(1));
    let story = story.mapped();
    assert_eq!(story.step(), Step::Announce);
    let story = story.announced();
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.stage(1), Some(&Stage::Active));
}

#[test]
fn the_way_of_a_second_grant_and_back() {
    let mut story = Story::active(&[1]);
    story = story.then(&Command::Grant(grant(2)));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1", "p2"])));
    story = story.updated().mapped().announced();
    assert_eq!(
        (story.step(), story.stage(2)),
        (Step::Idle, Some(&Stage::Active))
    );
    story = story.then(&withdraw(1));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p2"])));
    story = story.updated();
    assert_eq!(story.step(), map(3));
    story = story.mapped();
    assert_eq!(story.step(), Step::Announce);
    story = story.announced().then(&withdraw(2));
    assert_eq!(story.step(), Step::Delete);
    let client_id = "c1".into();
    story = story
        .then(&Command::IntendDelete)
        .then(&Command::CompleteDelete { client_id });
    assert_eq!(story.step(), map(4));
    story = story.mapped().announced();
    assert_eq!(story.step(), Step::Idle);
    assert!(story.client.grants.is_empty());
    story = story.then(&Command::Grant(grant(3)));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p3"])));
}

#[test]
fn a_grant_whose_scopes_are_there_needs_the_gateway_only() {
    let mut again = grant(2);
    again.items = grant(1).items;
    let story = Story::active(&[1]).then(&Command::Grant(again));
    assert_eq!(story.step(), map(2));
    // And taking one of the two away takes no scope.
    let story = story.mapped().announced().then(&withdraw(1));
    assert_eq!(story.step(), map(3));
    assert_eq!(story.mapped().step(), Step::Announce);
}

#[test]
fn without_apis_there_is_nothing_to_map() {
    let mut plain = grant(1);
    plain.items[0].apis.clear();
    let story = Story::new([Event::Granted(plain)]).registered();
    assert_eq!(story.step(), Step::Announce);
}

#[test]
fn an_attempt_without_an_outcome_is_reconciled_whatever_is_wanted() {
    assert_eq!(intended().step(), Step::Reconcile);
    assert_eq!(intended().then(&withdraw(1)).step(), Step::Reconcile);
    let delayed = intended().then(&delay(Target::Provider, false));
    assert_eq!(delayed.step(), Step::Wait(later()));
    assert_eq!(delayed.client.next_step(later()), Step::Reconcile);
    // A try that certainly had no effect is made anew.
    let over = intended().then(&delay(Target::Provider, true));
    assert_eq!(
        over.client.next_step(later()),
        Step::Register(wanted(&["free", "p1"]))
    );
}

#[test]
fn a_revocation_while_registering_deletes_afterwards() {
    let story = intended().then(&withdraw(1));
    let answer = answer("c1", &set(&["free", "p1"]));
    let story = story.then(&Command::CompleteRegistration { attempt: 1, answer });
    assert_eq!(story.step(), Step::Delete);
}

#[test]
fn an_operation_without_an_outcome_is_repeated() {
    let story = Story::active(&[1]).then(&Command::Grant(grant(2)));
    let both = wanted(&["free", "p1", "p2"]);
    let intent = Command::IntendUpdate {
        wanted: both,
        kind: kind(),
    };
    let story = story.then(&intent).then(&withdraw(2));
    // Although nothing else is wanted than before the update, which may have been done.
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1"])));
    // A deletion that may have been done, and a new grant: the update finds out.
    let story = Story::active(&[1])
        .then(&withdraw(1))
        .then(&Command::IntendDelete)
        .then(&Command::Grant(grant(2)));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p2"])));
}

/// Otherwise they would be taken for somebody else's, and stay.
#[test]
fn scopes_of_updates_without_an_outcome_are_ours_until_there_is_one() {
    let intent = |client: &OauthClient| Command::IntendUpdate {
        wanted: client.wanted().unwrap(),
        kind: kind(),
    };
    let own = |story: &Story| story.client.live().unwrap().own_scopes();
    let story = Story::active(&[1]).then(&Command::Grant(grant(2)));
    assert_eq!(own(&story), set(&["free", "p1"]));
    let first = intent(&story.client);
    let story = story.then(&first).then(&withdraw(2));
    let second = intent(&story.client);
    let story = story.then(&second);
    assert_eq!(own(&story), set(&["free", "p1", "p2"]));
    // One that the provider certainly refused says nothing of the one before.
    let over = story.clone().then(&delay(Target::Provider, true));
    assert_eq!(own(&over), set(&["free", "p1", "p2"]));
    assert_eq!(own(&story.updated()), set(&["free", "p1"]));
}

#[test]
fn a_client_that_somebody_deleted_is_registered_anew() {
    let client_id = "c1".into();
    let story = Story::active(&[1]).then(&Command::CompleteDelete { client_id });
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p1"])));
    assert!(story.events.contains(&Event::Deleted { unexpected: true }));
}

#[test]
fn a_paused_provider_stops_registrations_and_nothing_else() {
    let held = Command::Hold(failing("paused", true));
    let story = Story::new([granted(1)]).then(&held);
    assert_eq!(story.step(), Step::Paused);
    assert_eq!(
        story.clone().then(&withdraw(1)).mapped().step(),
        Step::Announce
    );
    assert_eq!(
        story.then(&Command::Resume).step(),
        Step::Register(wanted(&["free", "p1"]))
    );
    let live = Story::active(&[1]).then(&held).then(&withdraw(1));
    assert_eq!(live.step(), Step::Delete);
}

#[test]
fn a_refused_grant_does_not_touch_the_working_ones() {
    let story = Story::active(&[1]).then(&Command::Grant(grant(2)));
    let story = story.then(&refuse(true));
    assert!(matches!(story.stage(2), Some(Stage::Failed { .. })));
    assert_eq!(story.stage(1), Some(&Stage::Active));
    // The gateway has to be told nothing of the failed one, and is asked to be sure.
    assert_eq!(story.step(), map(2));
    let story = story.mapped();
    assert_eq!(story.step(), Step::Idle);
    let story = story.then(&Command::Retry {
        request_id: request(2),
    });
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1", "p2"])));
}

#[test]
fn a_refused_revocation_is_said_once_and_never_given_up() {
    let mut story = Story::active(&[1]).then(&withdraw(1));
    let told = |events: &[Event]| {
        events
            .iter()
            .filter(|e| matches!(e, Event::Failed(_)))
            .count()
    };
    assert_eq!(told(&story.tell(&refuse(true)).unwrap()), 1);
    assert_eq!(story.stage(1), Some(&Stage::Withdrawn));
    assert_eq!(story.client.status(), "failed");
    // Gateways are told all the same.
    assert_eq!(story.step(), map(2));
    let mut story = story.mapped();
    assert_eq!(story.step(), Step::Wait(much_later()));
    assert_eq!(story.client.next_step(much_later()), Step::Delete);
    assert_eq!(told(&story.tell(&refuse(true)).unwrap()), 0);
    assert_eq!(story.clone().then(&Command::Resume).step(), Step::Delete);
    let request_id = request(1);
    assert_eq!(
        story.then(&Command::Retry { request_id }).step(),
        Step::Delete
    );
}

#[test]
fn a_gateway_that_refuses_a_revocation_is_asked_for_ever() {
    let story = Story::active(&[1, 2]).then(&withdraw(1)).updated();
    let story = story.then(&Command::RefuseMapping {
        gateway_ids: vec!["g".into()],
        revision: 3,
        failing: failing("no", false),
        again_at: much_later(),
        at: now(),
    });
    assert_eq!(story.stage(1), Some(&Stage::Withdrawn));
    assert_eq!(story.stage(2), Some(&Stage::Active));
    assert_eq!(story.step(), Step::Wait(much_later()));
    assert_eq!(story.client.next_step(much_later()), map(3));
    assert_eq!(story.mapped().step(), Step::Announce);
}

#[test]
fn a_refused_change_of_the_application_is_parked_until_something_changes() {
    let change = |as_of| Command::ChangeApplication(application(&format!("v{as_of}"), as_of));
    let story = Story::active(&[1]).then(&change(2)).then(&refuse(true));
    assert_eq!(
        (story.step(), story.client.status()),
        (Step::Idle, "failed")
    );
    assert_eq!(story.stage(1), Some(&Stage::Active));
    for again in [Command::Resume, change(3), Command::Grant(grant(2))] {
        let step = story.clone().then(&again).step();
        assert!(matches!(step, Step::Update(_)), "{again:?}: {step:?}");
    }
}

#[test]
fn an_intent_that_nobody_can_settle_is_parked() {
    let story = intended().then(&refuse(false));
    assert!(matches!(story.stage(1), Some(Stage::Failed { .. })));
    assert_eq!(story.step(), Step::Idle);
    let request_id = request(1);
    assert_eq!(
        story.then(&Command::Retry { request_id }).step(),
        Step::Reconcile
    );
}

#[test]
fn gateways_and_provider_wait_for_themselves_only() {
    let story = Story::new([granted(1)]).registered();
    let story = story.then(&delay(Target::Gateway, false));
    assert_eq!(story.step(), Step::Wait(later()));
    assert_eq!(story.client.next_step(later()), map(1));
    assert_eq!(story.then(&withdraw(1)).step(), Step::Delete);
    // A provider that is away does not keep gateways from letting nobody through any more.
    let story = Story::active(&[1])
        .then(&withdraw(1))
        .then(&delay(Target::Provider, true));
    assert_eq!(story.step(), map(2));
    assert_eq!(story.mapped().step(), Step::Wait(later()));
}

#[test]
fn what_a_gateway_refuses_stays_at_the_provider_until_it_is_retried() {
    let refuse = Command::RefuseMapping {
        gateway_ids: vec!["g".into()],
        revision: 1,
        failing: failing("no", false),
        again_at: much_later(),
        at: now(),
    };
    let story = Story::new([granted(1)]).registered().then(&refuse);
    assert!(matches!(
        story.stage(1),
        Some(Stage::Failed {
            target: Target::Gateway,
            ..
        })
    ));
    assert_eq!(story.step(), Step::Idle);
    let request_id = request(1);
    assert_eq!(
        story.clone().then(&Command::Retry { request_id }).step(),
        map(2)
    );
    assert_eq!(story.then(&withdraw(1)).step(), Step::Delete);
}

#[test]
fn what_was_asked_while_a_gateway_was_written_is_written_next() {
    let story = Story::new([granted(1)]).registered();
    assert_eq!(story.step(), map(1));
    let story = story.then(&Command::Grant(grant(2))).updated();
    // The answer to the first writing.
    let story = story.then(&Command::CompleteMapping {
        gateway_ids: vec!["g".into()],
        revision: 1,
        skipped: false,
    });
    assert_eq!(story.step(), map(2));
}

#[test]
fn of_several_refused_ones_each_is_tried_on_its_own() {
    let story = Story::new([granted(1), granted(2)]);
    let story = story
        .then(&intend(wanted(&["free", "p1", "p2"])))
        .then(&refuse(true));
    assert_eq!(story.stage(1), Some(&Stage::Waiting));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p1"])));
    let story = story
        .then(&intend(wanted(&["free", "p1"])))
        .then(&refuse(true));
    assert!(matches!(story.stage(1), Some(Stage::Failed { .. })));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p2"])));
    let story = story.registered().mapped().announced();
    assert_eq!(
        (story.stage(2), story.step()),
        (Some(&Stage::Active), Step::Idle)
    );
    assert!(!story.client.one_at_a_time);
}

#[test]
fn a_rotation_goes_before_all_else() {
    let secret_ref = VaultRef(Uuid::from_u128(9));
    let story = Story::active(&[1])
        .then(&Command::Rotate { secret_ref })
        .then(&Command::Grant(grant(2)));
    assert_eq!(story.step(), Step::Rotate);
    let attempt = story.client.attempt;
    let story = story.then(&Command::RefuseRotation {
        attempt,
        failing: failing("no", true),
    });
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1", "p2"])));
}

#[test]
fn a_provider_of_whose_attempts_nothing_is_known_gets_the_scopes_afterwards() {
    let command = Command::IntendRegistration {
        wanted: wanted(&["free", "p1"]),
        kind: kind(),
        client_type_id: MACHINE,
        client_id: "chosen".into(),
        secret_ref: VaultRef(Uuid::from_u128(1)),
        without_scopes: true,
    };
    let story = Story::new([granted(1)]).then(&command);
    assert!(story.client.intended().unwrap().client.scopes.is_empty());
    let answer = answer("c1", &set(&[]));
    let story = story.then(&Command::CompleteRegistration { attempt: 1, answer });
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1"])));
}

#[test]
fn views_know_when_something_is_due() {
    assert_eq!(Story::default().client.due(), None);
    assert_eq!(
        Story::new([granted(1)]).client.due(),
        Some(Timestamp::UNIX_EPOCH)
    );
    let delayed = intended().then(&delay(Target::Provider, false));
    assert_eq!(delayed.client.due(), Some(later()));
    assert_eq!(intended().then(&refuse(false)).client.due(), None);
}

#[test]
fn statuses() {
    let status = |story: &Story| story.client.status();
    assert_eq!(status(&Story::new([granted(1)])), "waiting");
    assert_eq!(status(&intended()), "registering");
    assert_eq!(status(&intended().then(&refuse(true))), "failed");
    let held = Command::Hold(failing("paused", true));
    assert_eq!(status(&intended().then(&held)), "paused");
    assert_eq!(status(&Story::active(&[1])), "ready");
    assert_eq!(
        status(&Story::active(&[1]).then(&Command::Grant(grant(2)))),
        "updating"
    );
    assert_eq!(status(&Story::active(&[1]).then(&withdraw(1))), "deleting");
    assert_eq!(
        status(&Story::active(&[1]).then(&withdraw(1)).then(&refuse(true))),
        "failed"
    );
}

fn found(client_id: &str) -> [Command; 2] {
    let client_id = client_id.to_owned();
    let members = vec!["redirect_uris".to_owned()];
    [
        Command::FindMissing {
            client_id: client_id.clone(),
        },
        Command::FindChanged { client_id, members },
    ]
}

#[test]
fn a_client_that_was_found_missing_is_registered_again_for_everybody() {
    let [missing, _] = found("c1");
    let story = Story::active(&[1, 2]).then(&missing);
    assert_eq!(story.stage(1), Some(&Stage::Waiting));
    assert_eq!(story.step(), Step::Register(wanted(&["free", "p1", "p2"])));
    let story = story.registered();
    assert_eq!(story.step(), Step::Announce);
    let story = story.announced();
    assert_eq!(story.stage(2), Some(&Stage::Active));
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
        let mut story = Story::active(&[1]).then(&Command::Rotate {
            secret_ref: VaultRef(Uuid::nil()),
        });
        assert_eq!(story.tell(command), Err(Rejection::Superseded));
    }
    let [missing, _] = found("another");
    let refused = Story::active(&[1]).tell(&missing);
    assert_eq!(refused, Err(Rejection::Superseded));
}
