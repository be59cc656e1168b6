//! given / when / then: does it, refuses it.

use jiff::Timestamp;
use portico_eventstore::{Aggregate as _, NewEvent, testing::given};
use serde_json::json;
use uuid::Uuid;

use super::*;

pub(super) fn submission() -> Submission {
    Submission {
        requester_id: Uuid::from_u128(1),
        application_id: Uuid::from_u128(2),
        application_name: "Shop".into(),
        client_type_id: Uuid::from_u128(3),
        identity_provider_id: Uuid::from_u128(4),
        items: vec![RequestedItem {
            product_id: Uuid::from_u128(5),
            product_name: "Payments".into(),
            product_scopes: vec!["product_payments".into()],
            plan_id: Uuid::from_u128(6),
            plan_name: "Free".into(),
            plan_scopes: vec!["free_plan".into()],
        }],
        ..Submission::default()
    }
}

pub(super) fn submitted() -> Event {
    Event::Submitted(submission())
}

pub(super) fn approved() -> Event {
    Event::Approved {
        items: vec![ApprovedItem::default()],
        note: None,
    }
}

pub(super) fn report(order: i64, fact: Fact) -> Report {
    Report {
        order,
        at: Timestamp::from_second(order).unwrap(),
        fact,
    }
}

fn reported(order: i64, fact: Fact) -> Event {
    Event::Reported(report(order, fact))
}

fn failed() -> Fact {
    Fact::Failed {
        code: "insufficient_scope".into(),
        reason: "Scope is not allowed".into(),
    }
}

fn text() -> VaultRef {
    VaultRef(Uuid::from_u128(7))
}

fn approve() -> Command {
    Command::Approve {
        items: vec![ApprovedItem::default()],
        note: None,
    }
}

/// A past that leads to each status.
fn past(status: Status) -> Vec<Event> {
    let tail = match status {
        Status::Pending => vec![],
        Status::Approved => vec![approved()],
        Status::Provisioning => vec![approved(), reported(1, Fact::Started)],
        Status::Active => vec![approved(), reported(1, Fact::Provisioned)],
        Status::Suspended => vec![
            approved(),
            reported(1, Fact::Provisioned),
            Event::Suspended { reason: None },
        ],
        Status::Failed => vec![approved(), reported(1, failed())],
        Status::Rejected => vec![Event::Rejected { reason: text() }],
        Status::Withdrawn => vec![Event::Withdrawn { reason: None }],
        Status::Revoked => vec![approved(), Event::Revoked { reason: None }],
    };
    [vec![submitted()], tail].concat()
}

#[test]
fn the_pasts_lead_where_they_say() {
    for status in Status::ALL {
        let state = given::<AccessRequest>(past(status)).state();
        assert_eq!(state.status(), Some(status));
    }
}

#[test]
fn it_is_submitted_once() {
    let submit = Command::Submit(submission());
    given::<AccessRequest>([]).when(&submit).then([submitted()]);
    let refused = given::<AccessRequest>([submitted()])
        .when(&submit)
        .then_refused();
    assert_eq!(refused, Rejection::AlreadySubmitted);
}

#[test]
fn a_pending_one_is_decided_or_withdrawn() {
    let pending = || given::<AccessRequest>([submitted()]);
    pending().when(&approve()).then([approved()]);
    pending()
        .when(&Command::Reject { reason: text() })
        .then([Event::Rejected { reason: text() }]);
    pending()
        .when(&Command::Withdraw {
            reason: Some(text()),
        })
        .then([Event::Withdrawn {
            reason: Some(text()),
        }]);
}

#[test]
fn an_approved_one_is_revoked_wherever_its_registration_stands() {
    for status in [
        Status::Approved,
        Status::Provisioning,
        Status::Active,
        Status::Suspended,
        Status::Failed,
    ] {
        given::<AccessRequest>(past(status))
            .when(&Command::Revoke { reason: None })
            .then([Event::Revoked { reason: None }]);
    }
}

#[test]
fn a_failed_one_is_retried() {
    given::<AccessRequest>(past(Status::Failed))
        .when(&Command::Retry)
        .then([Event::Retried]);
    let mut events = past(Status::Failed);
    events.push(Event::Retried);
    let state = given::<AccessRequest>(events).state();
    assert_eq!(state.status(), Some(Status::Approved));
    assert_eq!(state.provisioning.failed(), None);
}

#[test]
fn an_approved_one_is_suspended_and_resumed() {
    let suspend = Command::Suspend {
        reason: Some(text()),
    };
    let suspended = Event::Suspended {
        reason: Some(text()),
    };
    given::<AccessRequest>(past(Status::Active))
        .when(&suspend)
        .then([suspended.clone()]);
    let mut events = past(Status::Active);
    events.push(suspended);
    given::<AccessRequest>(events.clone())
        .when(&Command::Resume)
        .then([Event::Resumed]);
    events.push(Event::Resumed);
    let state = given::<AccessRequest>(events).state();
    assert_eq!((state.status(), state.reason), (Some(Status::Active), None));
}

#[test]
fn what_happens_to_the_client_says_nothing_of_where_a_request_stands() {
    for status in [
        Status::Approved,
        Status::Active,
        Status::Failed,
        Status::Revoked,
    ] {
        let mut events = past(status);
        events.push(reported(
            9,
            Fact::ClientChanged {
                change: ClientChange::parse("secret_rotated"),
                detail: String::new(),
                by: "service:registration".into(),
            },
        ));
        let state = given::<AccessRequest>(events).state();
        assert_eq!(state.status(), Some(status));
    }
    assert_eq!(
        ClientChange::parse("something newer"),
        ClientChange::ClientChanged
    );
}

#[test]
fn every_refusal_has_its_name() {
    let commands: [(&str, Command); 7] = [
        ("approve", approve()),
        ("reject", Command::Reject { reason: text() }),
        ("withdraw", Command::Withdraw { reason: None }),
        ("revoke", Command::Revoke { reason: None }),
        ("retry", Command::Retry),
        ("suspend", Command::Suspend { reason: None }),
        ("resume", Command::Resume),
    ];
    let mut table = Vec::new();
    for (name, command) in &commands {
        let nothing = given::<AccessRequest>([]).when(command).then_refused();
        assert_eq!(nothing, Rejection::NotFound, "{name}");
        let codes: Vec<String> = Status::ALL
            .into_iter()
            .map(|status| {
                let state = given::<AccessRequest>(past(status)).state();
                match state.decide(command) {
                    Ok(_) => "ok".to_owned(),
                    Err(rejection) => Error::from(rejection).code.to_string(),
                }
            })
            .collect();
        table.push(format!("{name}: {}", codes.join(" ")));
    }
    assert_eq!(
        table,
        [
            // pending approved provisioning active suspended failed rejected withdrawn revoked
            "approve: ok already_approved already_approved already_approved already_approved already_approved \
             already_rejected already_withdrawn already_revoked",
            "reject: ok already_approved already_approved already_approved already_approved already_approved \
             already_rejected already_withdrawn already_revoked",
            "withdraw: ok not_pending not_pending not_pending not_pending not_pending already_rejected \
             already_withdrawn already_revoked",
            "revoke: not_approved ok ok ok ok ok already_rejected already_withdrawn already_revoked",
            "retry: not_failed not_failed not_failed not_failed not_failed ok already_rejected already_withdrawn \
             already_revoked",
            "suspend: not_approved ok ok ok already_suspended ok already_rejected already_withdrawn already_revoked",
            "resume: not_approved not_suspended not_suspended not_suspended ok not_suspended already_rejected \
             already_withdrawn already_revoked",
        ]
    );
}

#[test]
fn late_reports_do_not_take_back() {
    let cases = [
        (
            vec![reported(2, Fact::Provisioned), reported(1, Fact::Started)],
            Status::Active,
        ),
        (
            vec![reported(2, Fact::Provisioned), reported(1, failed())],
            Status::Active,
        ),
        (
            vec![reported(2, failed()), reported(1, Fact::Started)],
            Status::Failed,
        ),
        (
            vec![reported(2, failed()), reported(3, Fact::Started)],
            Status::Provisioning,
        ),
        (
            // The client grows for another request: this one still works.
            vec![reported(1, Fact::Provisioned), reported(2, Fact::Started)],
            Status::Active,
        ),
        (
            vec![reported(1, Fact::Provisioned), reported(2, failed())],
            Status::Failed,
        ),
        (
            vec![reported(2, failed()), Event::Retried, reported(2, failed())],
            Status::Approved,
        ),
        (
            vec![
                reported(2, failed()),
                Event::Retried,
                reported(1, Fact::Started),
            ],
            Status::Approved,
        ),
        (
            vec![
                reported(2, failed()),
                Event::Retried,
                reported(3, Fact::Provisioned),
            ],
            Status::Active,
        ),
        (
            vec![
                Event::Revoked { reason: None },
                reported(3, Fact::Provisioned),
            ],
            Status::Revoked,
        ),
        (
            vec![Event::Revoked { reason: None }, reported(3, failed())],
            Status::Revoked,
        ),
    ];
    for (tail, status) in cases {
        let events = [vec![submitted(), approved()], tail.clone()].concat();
        let state = given::<AccessRequest>(events).state();
        assert_eq!(state.status(), Some(status), "{tail:?}");
    }
}

#[test]
fn a_delay_says_when_the_next_try_is_until_something_newer_is_known() {
    let delayed = reported(
        2,
        Fact::Delayed {
            reason: "503".into(),
            next_try_at: "2026-01-01T00:00:00Z".into(),
        },
    );
    let next = |tail: Vec<Event>| {
        let events = [vec![submitted(), approved()], tail].concat();
        let state = given::<AccessRequest>(events).state();
        state.provisioning.next_try_at().to_owned()
    };
    assert_eq!(next(vec![delayed.clone()]), "2026-01-01T00:00:00Z");
    assert_eq!(
        next(vec![delayed.clone(), reported(1, Fact::Started)]),
        "2026-01-01T00:00:00Z"
    );
    assert_eq!(next(vec![delayed.clone(), reported(3, Fact::Started)]), "");
    assert_eq!(next(vec![delayed, reported(3, Fact::Provisioned)]), "");
}

#[test]
fn payloads_stay_as_they_are() {
    let encode = |event: &Event| {
        let new = NewEvent::encode::<AccessRequest>(Uuid::nil(), event, Default::default());
        let new = new.unwrap();
        (new.event_type, new.data)
    };
    let (kind, data) = encode(&reported(9, failed()));
    assert_eq!(kind, "access_request.reported");
    assert_eq!(
        data,
        json!({"order": 9, "at": "1970-01-01T00:00:09Z", "fact": "failed", "code": "insufficient_scope",
            "reason": "Scope is not allowed"})
    );
    let (kind, data) = encode(&Event::Rejected { reason: text() });
    assert_eq!(kind, "access_request.rejected");
    assert_eq!(data, json!({"reason": Uuid::from_u128(7)}));
    let (kind, data) = encode(&approved());
    assert_eq!(kind, "access_request.approved");
    assert_eq!(
        data,
        json!({"items": [{"product_id": Uuid::nil(), "apis": []}]})
    );
    assert_eq!(encode(&Event::Retried).0, "access_request.retried");
    let (_, data) = encode(&submitted());
    assert_eq!(
        data["items"][0]["product_scopes"],
        json!(["product_payments"])
    );
}
