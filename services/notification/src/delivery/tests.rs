use jiff::Timestamp;
use portico_eventstore::testing::given;
use uuid::Uuid;

use super::*;

fn mail() -> Mail {
    Mail {
        template: Template::AccessRejected,
        recipient_id: Uuid::from_u128(1),
        subject_id: Some(Uuid::from_u128(2)),
        failure: None,
    }
}

fn queued() -> Event {
    Event::Queued(mail())
}

fn started(attempt: u32) -> Event {
    Event::SendingStarted { attempt }
}

const SENT: Event = Event::Sent { reply_code: 250 };

fn delayed() -> Event {
    Event::Delayed {
        error: "451 later".to_owned(),
        next_try_at: Timestamp::UNIX_EPOCH,
    }
}

fn failed() -> Event {
    Event::Failed {
        reason: Reason::Refused,
        error: "550 no".to_owned(),
    }
}

fn delay(attempt: u32) -> Command {
    Command::Delay {
        attempt,
        error: "451 later".to_owned(),
        next_try_at: Timestamp::UNIX_EPOCH,
    }
}

fn fail(attempt: u32) -> Command {
    Command::Fail {
        attempt,
        reason: Reason::Refused,
        error: "550 no".to_owned(),
    }
}

const RECORD: Command = Command::RecordSent { reply_code: 250 };

#[test]
fn the_same_fact_queues_once() {
    given::<Delivery>([])
        .when(&Command::Queue(mail()))
        .then([queued()]);
    given::<Delivery>([queued(), started(1), SENT])
        .when(&Command::Queue(mail()))
        .then_nothing();
}

#[test]
fn what_was_never_queued_is_unknown() {
    for command in [
        Command::StartSending,
        RECORD,
        delay(1),
        fail(1),
        Command::Resend,
    ] {
        let rejection = given::<Delivery>([]).when(&command).then_refused();
        assert_eq!(rejection, Rejection::Unknown);
    }
}

#[test]
fn attempts_are_counted_also_after_a_crash() {
    given::<Delivery>([queued()])
        .when(&Command::StartSending)
        .then([started(1)]);
    given::<Delivery>([queued(), started(1), delayed()])
        .when(&Command::StartSending)
        .then([started(2)]);
    // No outcome was recorded.
    given::<Delivery>([queued(), started(1)])
        .when(&Command::StartSending)
        .then([started(2)]);
}

#[test]
fn what_is_settled_is_not_sent_again() {
    for outcome in [SENT, failed()] {
        let rejection = given::<Delivery>([queued(), started(1), outcome])
            .when(&Command::StartSending)
            .then_refused();
        assert_eq!(rejection, Rejection::Settled);
    }
}

#[test]
fn outcomes_are_recorded() {
    let sending = || given::<Delivery>([queued(), started(1)]);
    sending().when(&RECORD).then([SENT]);
    sending().when(&delay(1)).then([delayed()]);
    sending().when(&fail(1)).then([failed()]);
}

#[test]
fn a_late_success_counts_and_a_late_failure_does_not() {
    given::<Delivery>([queued(), started(1), started(2), delayed()])
        .when(&RECORD)
        .then([SENT]);
    given::<Delivery>([queued(), started(1), SENT])
        .when(&RECORD)
        .then_nothing();
    for late in [delay(1), fail(1)] {
        given::<Delivery>([queued(), started(1), started(2)])
            .when(&late)
            .then_nothing();
        given::<Delivery>([queued(), started(1), SENT])
            .when(&late)
            .then_nothing();
    }
}

#[test]
fn resend_begins_a_new_round() {
    for outcome in [SENT, failed()] {
        given::<Delivery>([queued(), started(1), outcome.clone()])
            .when(&Command::Resend)
            .then([Event::ResendRequested { resend: 1 }]);
        let state = given::<Delivery>([
            queued(),
            started(1),
            outcome,
            Event::ResendRequested { resend: 1 },
            started(2),
        ])
        .state();
        assert_eq!(
            (state.attempts, state.attempts_of_round, state.resends),
            (2, 1, 1)
        );
    }
}

#[test]
fn a_delay_sets_the_next_attempt_and_a_resend_is_due_at_once() {
    let past = [queued(), started(1), delayed()];
    let state = given::<Delivery>(past.clone()).state();
    assert_eq!(state.next_try_at, Some(Timestamp::UNIX_EPOCH));
    let resent = [started(2), failed(), Event::ResendRequested { resend: 1 }];
    let state = given::<Delivery>(past.into_iter().chain(resent)).state();
    assert_eq!(state.next_try_at, None);
}

#[test]
fn what_is_under_way_cannot_be_resent() {
    for past in [vec![queued()], vec![queued(), started(1)]] {
        let rejection = given::<Delivery>(past)
            .when(&Command::Resend)
            .then_refused();
        assert_eq!(rejection, Rejection::UnderWay);
    }
}

#[test]
fn the_message_id_changes_with_a_resend_only() {
    assert_eq!(message_id("0190-a", 0, "x.example"), "<0190-a@x.example>");
    assert_eq!(message_id("0190-a", 2, "x.example"), "<0190-a.2@x.example>");
}
