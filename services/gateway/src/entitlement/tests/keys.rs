//! API keys: one attempt at a time, shown once, taken away for good.

use std::collections::BTreeMap;

use super::*;

const KEY: Uuid = Uuid::from_u128(7);

fn keys(revision: u64, state: WantedState) -> Event {
    said(want(Credential::ApiKey, revision, state))
}

fn granted() -> Event {
    keys(1, WantedState::Granted)
}

fn revoked() -> Event {
    keys(2, WantedState::Revoked)
}

fn suspended() -> Event {
    keys(2, WantedState::Suspended)
}

fn key(command: KeyCommand) -> Command {
    Command::Key(command)
}

fn intend() -> Command {
    key(KeyCommand::Intend { key_id: KEY })
}

fn intended(attempt: u32) -> Event {
    KeyEvent::Intended {
        key_id: KEY,
        attempt,
        marker: marker(KEY, attempt),
        policies: KeyPolicies {
            product: None,
            plan: Some("their-plan".into()),
        },
    }
    .into()
}

fn created(attempt: u32) -> Event {
    KeyEvent::Created {
        key_id: KEY,
        attempt,
        hash: format!("hash{attempt}"),
        headers: BTreeMap::new(),
        at: NOW,
        replaces: attempt > 1,
    }
    .into()
}

fn placed() -> Vec<Event> {
    let places = vec![KeyPlace {
        key_id: KEY,
        product_id: "weather".into(),
        gateway_id: GATEWAY,
        api_ids: vec!["weather".into()],
    }];
    let started = reported(1, Outcome::Started);
    vec![granted(), started, KeyEvent::Placed { places }.into()]
}

fn ready() -> Vec<Event> {
    let made = [intended(1), created(1), reported(1, Outcome::Done)];
    with(placed(), made)
}

/// Of the first attempt.
fn of_first(event: fn(Uuid, u32) -> KeyEvent) -> Event {
    event(KEY, 1).into()
}

fn revealed() -> Event {
    of_first(|key_id, attempt| KeyEvent::Revealed {
        key_id,
        attempt,
        at: NOW,
    })
}

fn deleted() -> Event {
    of_first(|key_id, attempt| KeyEvent::Deleted { key_id, attempt })
}

fn undone() -> Event {
    of_first(|key_id, attempt| KeyEvent::Undone { key_id, attempt })
}

fn replacement_asked() -> Event {
    KeyEvent::ReplacementAsked { key_id: KEY }.into()
}

#[test]
fn an_approval_leads_to_a_key_step_by_step() {
    assert_eq!(step(vec![granted()]), Step::Place);
    assert_eq!(step(placed()), Step::Make(KEY));
    given::<Entitlement>(placed())
        .when(&intend())
        .then([intended(1)]);
    let under_way = with(placed(), [intended(1)]);
    assert_eq!(step(under_way.clone()), Step::Look(KEY));
    let complete = key(KeyCommand::Complete {
        key_id: KEY,
        attempt: 1,
        hash: "hash1".into(),
        headers: BTreeMap::new(),
        at: NOW,
    });
    given::<Entitlement>(under_way)
        .when(&complete)
        .then([created(1), reported(1, Outcome::Done)]);
    assert_eq!(step(ready()), Step::Idle);
    let again = want(Credential::ApiKey, 2, WantedState::Granted);
    given::<Entitlement>(ready())
        .when(&command(again.clone()))
        .then([said(again), reported(2, Outcome::Done)]);
}

#[test]
fn an_attempt_is_intended_once_and_has_one_outcome() {
    let under_way = with(placed(), [intended(1)]);
    let undo = |attempt| {
        let key_id = KEY;
        key(KeyCommand::Undo { key_id, attempt })
    };
    for late in [intend(), undo(2)] {
        let refused = given::<Entitlement>(under_way.clone())
            .when(&late)
            .then_refused();
        assert_eq!(refused, Rejection::Superseded);
    }
    given::<Entitlement>(under_way.clone())
        .when(&undo(1))
        .then([undone()]);
    let again = with(under_way, [undone()]);
    assert_eq!(step(again.clone()), Step::Make(KEY));
    given::<Entitlement>(again)
        .when(&intend())
        .then([intended(2)]);
}

#[test]
fn a_key_is_shown_once() {
    let reveal = key(KeyCommand::Reveal {
        key_id: KEY,
        at: NOW,
    });
    given::<Entitlement>(ready())
        .when(&reveal)
        .then([revealed()]);
    let seen = with(ready(), [revealed()]);
    assert_eq!(step(seen.clone()), Step::Wipe(KEY));
    let refused = given::<Entitlement>(seen.clone())
        .when(&reveal)
        .then_refused();
    assert_eq!(refused, Rejection::AlreadyRevealed);
    let wipe = key(KeyCommand::CompleteWipe {
        key_id: KEY,
        attempt: 1,
    });
    let wiped = of_first(|key_id, attempt| KeyEvent::Wiped { key_id, attempt });
    given::<Entitlement>(seen.clone())
        .when(&wipe)
        .then([wiped.clone()]);
    let gone = with(seen, [wiped]);
    given::<Entitlement>(gone.clone())
        .when(&wipe)
        .then_nothing();
    assert_eq!(step(gone), Step::Idle);
    for (past, rejection) in [
        (placed(), Rejection::NotReady),
        (Vec::new(), Rejection::NotFound),
        (with(ready(), [suspended()]), Rejection::Suspended),
        (with(ready(), [revoked()]), Rejection::NotFound),
    ] {
        let refused = given::<Entitlement>(past).when(&reveal).then_refused();
        assert_eq!(refused, rejection);
    }
}

#[test]
fn a_replaced_key_works_until_the_new_one_is_there() {
    let replace = key(KeyCommand::Replace { key_id: KEY });
    given::<Entitlement>(ready())
        .when(&replace)
        .then([replacement_asked()]);
    let asked = with(ready(), [replacement_asked()]);
    given::<Entitlement>(asked.clone())
        .when(&replace)
        .then_nothing();
    assert_eq!(step(asked.clone()), Step::Make(KEY));
    let both = with(asked, [intended(2), created(2)]);
    assert_eq!(step(both.clone()), Step::DeleteOld(KEY));
    let delete = key(KeyCommand::CompleteDelete {
        key_id: KEY,
        attempt: 1,
    });
    let old_deleted = of_first(|key_id, attempt| KeyEvent::OldDeleted { key_id, attempt });
    given::<Entitlement>(both.clone())
        .when(&delete)
        .then([old_deleted.clone()]);
    let done = with(both, [old_deleted]);
    given::<Entitlement>(done.clone())
        .when(&delete)
        .then_nothing();
    assert_eq!(step(done), Step::Idle);
}

#[test]
fn a_revocation_takes_away_whatever_there_may_be() {
    let away = with(ready(), [revoked(), reported(2, Outcome::Started)]);
    assert_eq!(step(away.clone()), Step::Delete(KEY));
    let gone = with(away, [deleted()]);
    assert_eq!(step(gone.clone()), Step::Finish);
    given::<Entitlement>(gone.clone())
        .when(&key(KeyCommand::Finish))
        .then([KeyEvent::Finished.into(), reported(2, Outcome::Done)]);
    assert_eq!(step(with(gone, [KeyEvent::Finished.into()])), Step::Idle);
    let refused = given::<Entitlement>(ready())
        .when(&key(KeyCommand::Finish))
        .then_refused();
    assert_eq!(refused, Rejection::Superseded);
    let unknown = with(placed(), [intended(1), revoked()]);
    assert_eq!(step(unknown), Step::Look(KEY));
    let replacing = with(ready(), [replacement_asked(), revoked()]);
    assert_eq!(step(replacing), Step::DeleteOld(KEY));
}

#[test]
fn a_suspension_takes_the_key_away_and_its_end_makes_another() {
    let away = with(ready(), [suspended()]);
    assert_eq!(step(away.clone()), Step::Delete(KEY));
    let gone = with(away, [deleted()]);
    assert_eq!(step(gone.clone()), Step::Idle);
    let back = with(gone, [keys(3, WantedState::Granted)]);
    assert_eq!(step(back), Step::Make(KEY));
    let stopped = Application {
        suspended: true,
        as_of: 6,
    };
    let stopped = AccessEvent::ApplicationChanged(stopped).into();
    assert_eq!(step(with(ready(), [stopped])), Step::Delete(KEY));
}

#[test]
fn a_refused_attempt_is_parked_and_its_outcome_is_kept_also_when_it_counts_no_more() {
    let of_key = |news| Failing {
        undone: Some(KEY),
        ..failing(news)
    };
    let under_way = with(placed(), [intended(1)]);
    let refuse = Command::Try(TryCommand::Refuse(of_key(1)));
    let told = reported(1, Outcome::Failed(reason()));
    given::<Entitlement>(under_way.clone())
        .when(&refuse)
        .then([undone(), failed(), told.clone()]);
    let parked = with(under_way.clone(), [undone(), failed(), told]);
    assert_eq!(step(parked.clone()), Step::Idle);
    let retried = with(parked, [keys(2, WantedState::Granted)]);
    assert_eq!(step(retried), Step::Make(KEY));
    let overtaken = with(under_way, [revoked(), reported(2, Outcome::Started)]);
    given::<Entitlement>(overtaken)
        .when(&refuse)
        .then([undone()]);
}

/// What the product has no more is not opened any more either; only then is it parked.
#[test]
fn a_product_that_loses_its_apis_loses_its_keys_first() {
    let mut bare = item().product;
    bare.version = 2;
    bare.apis.clear();
    let changed: Event = AccessEvent::CatalogueChanged(CatalogueChange::Product(bare)).into();
    let behind = with(ready(), [changed]);
    assert_eq!(step(behind.clone()), Step::Place);
    assert!(!state(behind.clone()).places().is_empty());
    let places = Vec::new();
    let losing = with(behind, [KeyEvent::Placed { places }.into()]);
    assert_eq!(step(losing.clone()), Step::Delete(KEY));
    let gone = with(losing, [deleted(), KeyEvent::PoliciesWritten.into()]);
    assert_eq!(step(gone.clone()), Step::Place, "to be parked");
    assert!(state(gone).places().is_empty());
}

#[test]
fn a_plan_that_changes_is_written_to_the_gateway() {
    let change = CatalogueChange::Plan(Plan {
        version: 2,
        rate: Some(Limit {
            requests: 1,
            seconds: 1,
        }),
        ..item().plan
    });
    let changed: Event = AccessEvent::CatalogueChanged(change).into();
    let outdated = with(ready(), [changed]);
    assert_eq!(step(outdated.clone()), Step::WritePolicies);
    given::<Entitlement>(outdated)
        .when(&key(KeyCommand::CompletePolicies))
        .then([KeyEvent::PoliciesWritten.into()]);
    given::<Entitlement>(ready())
        .when(&key(KeyCommand::CompletePolicies))
        .then_nothing();
}
