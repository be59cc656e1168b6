//! What is taken, refused, and done quietly.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use portico_eventstore::NewEvent;
use portico_eventstore::testing::given;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::granted::{Application, CatalogueChange, Item, PlanChange};

const KEY: Uuid = Uuid::from_u128(7);
const GATEWAY: Uuid = Uuid::from_u128(3);
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn item() -> Item {
    Item {
        product_id: "weather".into(),
        product_name: "Weather".into(),
        product_scopes: BTreeSet::new(),
        product_policy_id: String::new(),
        apis: Vec::new(),
        plan_id: "free".into(),
        plan_name: "Free".into(),
        plan_scopes: BTreeSet::new(),
        plan_policy_id: "their-plan".into(),
        rate: None,
        quota: None,
        product_version: 1,
        plan_version: 1,
    }
}

fn granted() -> Granted {
    Granted {
        application_id: Uuid::from_u128(1),
        requester_id: "dana".into(),
        application: Application {
            name: "Shop".into(),
            as_of: 5,
            ..Application::default()
        },
        items: vec![item()],
    }
}

fn place() -> Place {
    Place {
        key_id: KEY,
        product_id: "weather".into(),
        gateway_id: GATEWAY,
        api_ids: vec!["weather".into()],
    }
}

fn intended(attempt: u32) -> Event {
    Event::Intended {
        key_id: KEY,
        attempt,
        marker: marker(KEY, attempt),
        policies: Policies {
            product: String::new(),
            plan: "their-plan".into(),
        },
    }
}

fn created(attempt: u32) -> Event {
    Event::Created {
        key_id: KEY,
        attempt,
        hash: format!("hash{attempt}"),
        headers: BTreeMap::new(),
        at: NOW,
        replaces: attempt > 1,
    }
}

fn placed() -> Vec<Event> {
    let places = vec![place()];
    vec![Event::Granted(granted()), Event::Placed { places }]
}

fn ready() -> Vec<Event> {
    let made = [intended(1), created(1), Event::Provisioned];
    placed().into_iter().chain(made).collect()
}

fn with(before: Vec<Event>, more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    before.into_iter().chain(more).collect()
}

fn revoked() -> Event {
    let application_id = Uuid::from_u128(1);
    Event::Withdrawn { application_id }
}

fn suspended(suspended: bool, as_of: i64) -> Event {
    Event::SuspensionChanged { suspended, as_of }
}

fn revealed() -> Event {
    Event::Revealed {
        key_id: KEY,
        attempt: 1,
        at: NOW,
    }
}

fn step(events: Vec<Event>) -> Step {
    given::<KeyOrder>(events).state().next_step(NOW)
}

fn failing(undone: Option<Uuid>) -> Failing {
    Failing {
        code: "gateway_refused".into(),
        reason: "no".into(),
        gateway_id: Some(GATEWAY),
        undone,
    }
}

#[test]
fn an_approval_leads_to_a_key_step_by_step() {
    given::<KeyOrder>([])
        .when(&Command::Grant(granted()))
        .then([Event::Granted(granted())]);
    given::<KeyOrder>([Event::Granted(granted())])
        .when(&Command::Grant(granted()))
        .then_nothing();
    assert_eq!(step(vec![Event::Granted(granted())]), Step::Place);
    assert_eq!(step(placed()), Step::Make(KEY));
    given::<KeyOrder>(placed())
        .when(&Command::Intend { key_id: KEY })
        .then([intended(1)]);
    let under_way = with(placed(), [intended(1)]);
    assert_eq!(step(under_way.clone()), Step::Look(KEY));
    let complete = Command::Complete {
        key_id: KEY,
        attempt: 1,
        hash: "hash1".into(),
        headers: BTreeMap::new(),
        at: NOW,
    };
    given::<KeyOrder>(under_way)
        .when(&complete)
        .then([created(1)]);
    let made = with(placed(), [intended(1), created(1)]);
    assert_eq!(step(made.clone()), Step::Announce);
    given::<KeyOrder>(made)
        .when(&Command::Announce)
        .then([Event::Provisioned]);
    assert_eq!(step(ready()), Step::Idle);
}

#[test]
fn an_attempt_is_intended_once_and_has_one_outcome() {
    let under_way = with(placed(), [intended(1)]);
    let refused = given::<KeyOrder>(under_way.clone())
        .when(&Command::Intend { key_id: KEY })
        .then_refused();
    assert_eq!(refused, Rejection::Superseded);
    let undo = |attempt| Command::Undo {
        key_id: KEY,
        attempt,
    };
    let undone = Event::Undone {
        key_id: KEY,
        attempt: 1,
    };
    given::<KeyOrder>(under_way.clone())
        .when(&undo(1))
        .then([undone.clone()]);
    let refused = given::<KeyOrder>(under_way.clone())
        .when(&undo(2))
        .then_refused();
    assert_eq!(refused, Rejection::Superseded);
    let again = with(under_way, [undone]);
    assert_eq!(step(again.clone()), Step::Make(KEY));
    given::<KeyOrder>(again)
        .when(&Command::Intend { key_id: KEY })
        .then([intended(2)]);
}

#[test]
fn a_key_is_shown_once() {
    let reveal = Command::Reveal {
        key_id: KEY,
        at: NOW,
    };
    given::<KeyOrder>(ready()).when(&reveal).then([revealed()]);
    let seen = with(ready(), [revealed()]);
    assert_eq!(step(seen.clone()), Step::Wipe(KEY));
    let refused = given::<KeyOrder>(seen.clone()).when(&reveal).then_refused();
    assert_eq!(refused, Rejection::AlreadyRevealed);
    let wipe = Command::CompleteWipe {
        key_id: KEY,
        attempt: 1,
    };
    let wiped = Event::Wiped {
        key_id: KEY,
        attempt: 1,
    };
    given::<KeyOrder>(seen.clone())
        .when(&wipe)
        .then([wiped.clone()]);
    let gone = with(seen, [wiped]);
    given::<KeyOrder>(gone.clone()).when(&wipe).then_nothing();
    assert_eq!(step(gone), Step::Idle);
    for (past, rejection) in [
        (placed(), Rejection::NotReady),
        (Vec::new(), Rejection::NotFound),
        (with(ready(), [suspended(true, 9)]), Rejection::Suspended),
        (with(ready(), [revoked()]), Rejection::NotFound),
    ] {
        let refused = given::<KeyOrder>(past).when(&reveal).then_refused();
        assert_eq!(refused, rejection);
    }
}

#[test]
fn a_replaced_key_works_until_the_new_one_is_there() {
    let replace = Command::Replace { key_id: KEY };
    let asked = Event::ReplacementAsked { key_id: KEY };
    given::<KeyOrder>(ready())
        .when(&replace)
        .then([asked.clone()]);
    let asked = with(ready(), [asked]);
    given::<KeyOrder>(asked.clone())
        .when(&replace)
        .then_nothing();
    assert_eq!(step(asked.clone()), Step::Make(KEY));
    let both = with(asked, [intended(2), created(2)]);
    assert_eq!(step(both.clone()), Step::DeleteOld(KEY));
    let delete = |attempt| Command::CompleteDelete {
        key_id: KEY,
        attempt,
    };
    let old_deleted = Event::OldDeleted {
        key_id: KEY,
        attempt: 1,
    };
    given::<KeyOrder>(both.clone())
        .when(&delete(1))
        .then([old_deleted.clone()]);
    let done = with(both, [old_deleted]);
    given::<KeyOrder>(done.clone())
        .when(&delete(1))
        .then_nothing();
    assert_eq!(step(done), Step::Idle);
}

#[test]
fn a_revocation_takes_away_whatever_there_may_be() {
    let deleted = Event::Deleted {
        key_id: KEY,
        attempt: 1,
    };
    assert_eq!(step(with(ready(), [revoked()])), Step::Delete(KEY));
    let gone = with(ready(), [revoked(), deleted]);
    assert_eq!(step(gone.clone()), Step::Finish);
    given::<KeyOrder>(gone.clone())
        .when(&Command::Announce)
        .then([Event::Deprovisioned]);
    assert_eq!(step(with(gone, [Event::Deprovisioned])), Step::Idle);
    let unknown = with(placed(), [intended(1), revoked()]);
    assert_eq!(step(unknown), Step::Look(KEY));
    let asked = Event::ReplacementAsked { key_id: KEY };
    let replacing = with(ready(), [asked, revoked()]);
    assert_eq!(step(replacing), Step::DeleteOld(KEY));
    // It came before the approval.
    let late = vec![revoked(), Event::Granted(granted())];
    assert_eq!(step(late), Step::Finish);
}

#[test]
fn a_suspension_takes_the_key_away_and_its_end_makes_another() {
    let deleted = Event::Deleted {
        key_id: KEY,
        attempt: 1,
    };
    let away = with(ready(), [suspended(true, 9)]);
    assert_eq!(step(away.clone()), Step::Delete(KEY));
    let gone = with(away, [deleted]);
    assert_eq!(step(gone.clone()), Step::Idle);
    let back = with(gone.clone(), [suspended(false, 10)]);
    assert_eq!(step(back), Step::Make(KEY));
    let suspend = |suspended, as_of| Command::Suspend { suspended, as_of };
    given::<KeyOrder>(gone.clone())
        .when(&suspend(false, 8))
        .then_nothing();
    let application = Application {
        as_of: 6,
        suspended: true,
        ..granted().application
    };
    let stopped = with(ready(), [Event::ApplicationChanged(application.clone())]);
    assert_eq!(step(stopped.clone()), Step::Delete(KEY));
    given::<KeyOrder>(stopped)
        .when(&Command::ChangeApplication(application))
        .then_nothing();
}

#[test]
fn what_is_wanted_waits_and_is_parked_and_what_is_not_is_never_given_up() {
    let delay = Command::Delay {
        failing: failing(Some(KEY)),
        next_try_at: Timestamp::MAX,
    };
    let delayed = Event::Delayed {
        code: "gateway_refused".into(),
        reason: "no".into(),
        next_try_at: Timestamp::MAX,
    };
    let undone = Event::Undone {
        key_id: KEY,
        attempt: 1,
    };
    let under_way = with(placed(), [intended(1)]);
    given::<KeyOrder>(under_way.clone())
        .when(&delay)
        .then([undone.clone(), delayed.clone()]);
    let waiting = with(under_way.clone(), [delayed]);
    assert_eq!(step(waiting.clone()), Step::Wait(Timestamp::MAX));
    assert_eq!(step(with(waiting.clone(), [revoked()])), Step::Look(KEY));
    let failed = Event::Failed {
        code: "gateway_refused".into(),
        reason: "no".into(),
        gateway_id: Some(GATEWAY),
    };
    given::<KeyOrder>(under_way.clone())
        .when(&Command::Refuse(failing(Some(KEY))))
        .then([undone.clone(), failed.clone()]);
    let parked = with(under_way, [undone, failed]);
    assert_eq!(step(parked.clone()), Step::Idle);
    given::<KeyOrder>(parked.clone())
        .when(&Command::Retry)
        .then([Event::Retried]);
    assert_eq!(
        step(with(parked.clone(), [Event::Retried])),
        Step::Make(KEY)
    );
    given::<KeyOrder>(ready())
        .when(&Command::Retry)
        .then_nothing();
    let refused = given::<KeyOrder>(with(ready(), [revoked()]))
        .when(&Command::Refuse(failing(None)))
        .then_refused();
    assert_eq!(refused, Rejection::Superseded);
}

#[test]
fn a_plan_that_changes_is_written_to_the_gateway() {
    let change = CatalogueChange::Plan(PlanChange {
        plan_id: "free".into(),
        version: 2,
        name: "Free".into(),
        policy_id: "their-plan".into(),
        rate: Some(crate::granted::Rate {
            requests: 1,
            per_seconds: 1,
        }),
        ..PlanChange::default()
    });
    let changed = Event::CatalogueChanged(change.clone());
    given::<KeyOrder>(ready())
        .when(&Command::FollowCatalogue(change.clone()))
        .then([changed.clone()]);
    let outdated = with(ready(), [changed]);
    given::<KeyOrder>(outdated.clone())
        .when(&Command::FollowCatalogue(change))
        .then_nothing();
    assert_eq!(step(outdated.clone()), Step::WritePolicies);
    assert_eq!(step(with(outdated, [Event::PoliciesWritten])), Step::Idle);
}

#[test]
fn payloads_stay_as_they_are() {
    let encode = |event: &Event| {
        NewEvent::encode::<KeyOrder>(Uuid::nil(), event, Default::default())
            .unwrap()
            .data
    };
    assert_eq!(
        encode(&intended(1)),
        json!({"key_id": KEY, "attempt": 1, "marker": format!("portico-{KEY}-1"),
            "policies": {"product": "", "plan": "their-plan"}})
    );
    assert_eq!(
        encode(&created(1)),
        json!({"key_id": KEY, "attempt": 1, "hash": "hash1", "at": NOW})
    );
    assert_eq!(
        encode(&suspended(true, 4)),
        json!({"suspended": true, "as_of": 4})
    );
}
