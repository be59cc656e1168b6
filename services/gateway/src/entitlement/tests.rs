//! What is taken, refused, and done quietly.

mod keys;
mod scopes;

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_eventstore::NewEvent;
use portico_eventstore::testing::given;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::event::{AccessEvent, MappingEvent, TryEvent};
use super::*;
use crate::item::{Api, CatalogueChange, Item, Limit, Plan, Product};
use crate::known::Application;

const APPLICATION: Uuid = Uuid::from_u128(1);
const PROVIDER: Uuid = Uuid::from_u128(2);
const GATEWAY: Uuid = Uuid::from_u128(3);
const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const OAUTH: Credential = Credential::OauthClient {
    identity_provider_id: PROVIDER,
};

fn item() -> Item {
    Item {
        product: Product {
            id: "weather".into(),
            version: 1,
            name: "Weather".into(),
            scopes: ["product_weather".to_owned()].into(),
            policy_id: None,
            apis: vec![Api {
                api_id: "weather".into(),
                ..Api::default()
            }],
        },
        plan: Plan {
            id: "free".into(),
            version: 1,
            name: "Free".into(),
            scopes: ["free_plan".to_owned()].into(),
            policy_id: Some("their-plan".into()),
            ..Plan::default()
        },
    }
}

fn want(credential: Credential, revision: u64, state: WantedState) -> Wanted {
    Wanted {
        revision,
        state,
        credential,
        application_id: APPLICATION,
        application: Application {
            suspended: false,
            as_of: i64::try_from(revision).unwrap(),
        },
        items: vec![item()],
    }
}

fn said(wanted: Wanted) -> Event {
    AccessEvent::Wanted(Box::new(wanted)).into()
}

fn command(wanted: Wanted) -> Command {
    Command::Access(AccessCommand::Want(Box::new(wanted)))
}

fn granted(revision: u64) -> Event {
    said(want(OAUTH, revision, WantedState::Granted))
}

fn revoked(revision: u64) -> Event {
    said(want(OAUTH, revision, WantedState::Revoked))
}

fn reported(revision: u64, outcome: Outcome) -> Event {
    ReportEvent::Reported(Report { revision, outcome }).into()
}

fn mapped(asked: u64) -> Event {
    let nothing = None;
    MappingEvent::Mapped { asked, nothing }.into()
}

fn complete(asked: u64) -> Command {
    let nothing = None;
    Command::Mapping(MappingCommand::Complete { asked, nothing })
}

/// Granted, mapped, and told.
fn active() -> Vec<Event> {
    vec![
        granted(1),
        reported(1, Outcome::Started),
        mapped(1),
        reported(1, Outcome::Done),
    ]
}

fn failing(news: u64) -> Failing {
    Failing {
        code: "gateway_refused".into(),
        reason: "no".into(),
        gateway_id: Some(GATEWAY),
        undone: None,
        news,
    }
}

fn reason() -> Reason {
    Reason {
        code: "gateway_refused".into(),
        message: "no".into(),
        gateway_id: Some(GATEWAY),
    }
}

fn delay(news: u64) -> Command {
    Command::Try(TryCommand::Delay {
        failing: failing(news),
        next_try_at: Timestamp::MAX,
        prospect: Prospect::Usual,
    })
}

fn delayed() -> Event {
    TryEvent::Delayed {
        reason: reason(),
        next_try_at: Timestamp::MAX,
        prospect: Prospect::Usual,
    }
    .into()
}

fn failed() -> Event {
    TryEvent::Failed { reason: reason() }.into()
}

fn told_delayed(revision: u64) -> Event {
    let outcome = Outcome::Delayed {
        reason: reason(),
        next_try_at: Some(Timestamp::MAX),
    };
    reported(revision, outcome)
}

fn with(before: Vec<Event>, more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    before.into_iter().chain(more).collect()
}

fn state(events: Vec<Event>) -> Entitlement {
    given::<Entitlement>(events).state()
}

fn step(events: Vec<Event>) -> Step {
    state(events).next_step(NOW)
}

/// Rule 2: the highest revision counts, whatever comes later.
#[test]
fn a_lower_or_repeated_revision_is_ignored() {
    given::<Entitlement>([])
        .when(&command(want(OAUTH, 2, WantedState::Granted)))
        .then([granted(2)]);
    for late in [1, 2] {
        given::<Entitlement>([granted(2)])
            .when(&command(want(OAUTH, late, WantedState::Granted)))
            .then_nothing();
    }
}

/// Of OAuth credentials registration says it.
#[test]
fn that_work_begins_is_said_of_api_keys_only() {
    for (credential, says) in [(Credential::ApiKey, true), (OAUTH, false)] {
        let wanted = want(credential, 1, WantedState::Granted);
        let mut events = vec![said(wanted.clone())];
        events.extend(says.then(|| reported(1, Outcome::Started)));
        given::<Entitlement>([]).when(&command(wanted)).then(events);
    }
}

/// Rule 3: every revision is answered, also where nothing had been created.
#[test]
fn each_revision_is_answered() {
    let started = vec![granted(1), reported(1, Outcome::Started)];
    assert_eq!(step(started.clone()), Step::Map { asked: 1 });
    given::<Entitlement>(started)
        .when(&complete(1))
        .then([mapped(1), reported(1, Outcome::Done)]);
    assert_eq!(step(active()), Step::Idle);
    given::<Entitlement>(active())
        .when(&complete(1))
        .then_nothing();

    let never = Outcome::NothingToDo(Nothing::NeverCreated);
    for credential in [OAUTH, Credential::ApiKey] {
        for state in [WantedState::Revoked, WantedState::Suspended] {
            let wanted = want(credential, 2, state);
            given::<Entitlement>([])
                .when(&command(wanted.clone()))
                .then([said(wanted), reported(2, never.clone())]);
        }
    }
    let nothing = Some(Nothing::NoGateway);
    given::<Entitlement>([granted(1), reported(1, Outcome::Started)])
        .when(&Command::Mapping(MappingCommand::Complete {
            asked: 1,
            nothing,
        }))
        .then([
            MappingEvent::Mapped { asked: 1, nothing }.into(),
            reported(1, Outcome::NothingToDo(Nothing::NoGateway)),
        ]);
    let nowhere = |wanted| Command::Access(AccessCommand::WantWithoutGateway(Box::new(wanted)));
    given::<Entitlement>([])
        .when(&nowhere(want(OAUTH, 1, WantedState::Granted)))
        .then([
            granted(1),
            MappingEvent::Mapped { asked: 1, nothing }.into(),
            reported(1, Outcome::NothingToDo(Nothing::NoGateway)),
        ]);
    // There may have been one for what was wanted before.
    given::<Entitlement>([granted(1), reported(1, Outcome::Started)])
        .when(&nowhere(want(OAUTH, 2, WantedState::Revoked)))
        .then([revoked(2)]);
    // Keys need a gateway: the worker says so.
    given::<Entitlement>([])
        .when(&nowhere(want(Credential::ApiKey, 1, WantedState::Granted)))
        .then([
            said(want(Credential::ApiKey, 1, WantedState::Granted)),
            reported(1, Outcome::Started),
        ]);
}

/// Rule 4: what had finished repeats its answer and calls nobody; what had not is tried again.
#[test]
fn a_retry_repeats_the_answer_of_what_had_finished() {
    let retry = command(want(OAUTH, 2, WantedState::Granted));
    given::<Entitlement>(active())
        .when(&retry)
        .then([granted(2), reported(2, Outcome::Done)]);
    assert_eq!(step(with(active(), [granted(2)])), Step::Idle);
    let parked = vec![granted(1), failed(), reported(1, Outcome::Failed(reason()))];
    assert_eq!(step(parked.clone()), Step::Idle);
    given::<Entitlement>(parked.clone())
        .when(&retry)
        .then([granted(2)]);
    assert_eq!(step(with(parked, [granted(2)])), Step::Map { asked: 1 });
}

/// Rule 7: a revocation overtakes an attempt under way, whose outcome then says nothing.
#[test]
fn a_revocation_wins_over_an_attempt_under_way() {
    let started = vec![granted(1), reported(1, Outcome::Started)];
    let overtaken = with(started, [revoked(2), reported(2, Outcome::Started)]);
    assert_eq!(step(overtaken.clone()), Step::Map { asked: 2 });
    let refused = given::<Entitlement>(overtaken.clone())
        .when(&complete(1))
        .then_refused();
    assert_eq!(refused, Rejection::Superseded);
    let refused = given::<Entitlement>(overtaken.clone())
        .when(&delay(1))
        .then_refused();
    assert_eq!(refused, Rejection::Superseded, "it does not wait for it");
    given::<Entitlement>(overtaken)
        .when(&complete(2))
        .then([mapped(2), reported(2, Outcome::Done)]);
    let late = vec![
        revoked(2),
        reported(2, Outcome::NothingToDo(Nothing::NeverCreated)),
    ];
    given::<Entitlement>(late)
        .when(&command(want(OAUTH, 1, WantedState::Granted)))
        .then_nothing();
}

#[test]
fn a_failed_try_waits_is_told_and_is_parked_only_while_it_is_wanted() {
    let started = vec![granted(1), reported(1, Outcome::Started)];
    given::<Entitlement>(started.clone())
        .when(&delay(1))
        .then([delayed(), told_delayed(1)]);
    let waiting = with(started.clone(), [delayed(), told_delayed(1)]);
    assert_eq!(step(waiting.clone()), Step::Wait(Timestamp::MAX));
    given::<Entitlement>(waiting.clone())
        .when(&Command::Access(AccessCommand::Wake))
        .then([AccessEvent::Woken.into(), reported(1, Outcome::Started)]);
    given::<Entitlement>(active())
        .when(&Command::Access(AccessCommand::Wake))
        .then_nothing();
    given::<Entitlement>(started)
        .when(&Command::Try(TryCommand::Refuse(failing(1))))
        .then([failed(), reported(1, Outcome::Failed(reason()))]);
    assert_eq!(
        step(with(waiting, [revoked(2)])),
        Step::Map { asked: 2 },
        "at once"
    );
}

fn again(prospect: Prospect) -> Event {
    TryEvent::Delayed {
        reason: reason(),
        next_try_at: NOW,
        prospect,
    }
    .into()
}

/// Otherwise the first failure of a gateway after a long wait would be the last.
#[test]
fn waiting_for_another_service_uses_up_no_tries() {
    let waits = || again(Prospect::Waits);
    let waited = state(vec![granted(1), waits(), waits(), waits()]);
    assert_eq!((waited.tries(true), waited.tries(false)), (3, 0));
    let failed = state(vec![granted(1), waits(), waits(), delayed(), delayed()]);
    assert_eq!((failed.tries(true), failed.tries(false)), (0, 2));
}

#[test]
fn what_nobody_has_scheduled_is_told_once() {
    told_once(Prospect::Waits);
    told_once(Prospect::Stuck);
}

/// It is tried again now and then, which is no news to anybody.
fn told_once(prospect: Prospect) {
    let next_try_at = NOW;
    let waits = Command::Try(TryCommand::Delay {
        failing: failing(1),
        next_try_at,
        prospect,
    });
    let waiting = again(prospect);
    let told = reported(
        1,
        Outcome::Delayed {
            reason: reason(),
            next_try_at: None,
        },
    );
    let started = vec![granted(1), reported(1, Outcome::Started)];
    given::<Entitlement>(started.clone())
        .when(&waits)
        .then([waiting.clone(), told.clone()]);
    given::<Entitlement>(with(started, [waiting.clone(), told]))
        .when(&waits)
        .then([waiting]);
}

/// A change that comes without a revision is followed quietly, unless it does not go well.
#[test]
fn a_finished_revision_follows_the_catalogue_by_itself() {
    let mut moved = item().product;
    moved.version = 2;
    moved.apis[0].gateway_id = Some(GATEWAY.to_string());
    moved.scopes.clear();
    let change = CatalogueChange::Product(moved);
    let follow = Command::Access(AccessCommand::FollowCatalogue(change.clone()));
    let changed: Event = AccessEvent::CatalogueChanged(change).into();
    given::<Entitlement>(active())
        .when(&follow)
        .then([changed.clone()]);
    let behind = with(active(), [changed]);
    given::<Entitlement>(behind.clone())
        .when(&follow)
        .then_nothing();
    let entitlement = state(behind.clone());
    assert_eq!(entitlement.next_step(NOW), Step::Map { asked: 2 });
    let both = [None, Some(GATEWAY.to_string())];
    assert_eq!(*entitlement.gateways_to_write(), both.into(), "old and new");
    assert!(!entitlement.items()[0].product.scopes.is_empty());
    given::<Entitlement>(behind.clone())
        .when(&complete(2))
        .then([mapped(2)]);
    given::<Entitlement>(behind.clone())
        .when(&delay(2))
        .then([delayed(), told_delayed(1)]);
    given::<Entitlement>(with(behind, [delayed(), told_delayed(1)]))
        .when(&complete(2))
        .then([mapped(2), reported(1, Outcome::Done)]);
    given::<Entitlement>([revoked(1)])
        .when(&follow)
        .then_nothing();
}

#[test]
fn a_suspended_application_is_not_served_and_is_no_finished_answer() {
    let application = |suspended, as_of| Application { suspended, as_of };
    let change = |suspended, as_of| {
        Command::Access(AccessCommand::ChangeApplication(application(
            suspended, as_of,
        )))
    };
    let changed = |suspended, as_of| -> Event {
        AccessEvent::ApplicationChanged(application(suspended, as_of)).into()
    };
    given::<Entitlement>(active())
        .when(&change(true, 1))
        .then_nothing();
    given::<Entitlement>(active())
        .when(&change(true, 9))
        .then([changed(true, 9)]);
    let away = with(active(), [changed(true, 9)]);
    assert_eq!(step(away.clone()), Step::Map { asked: 2 });
    let back = with(away, [mapped(2), changed(false, 10)]);
    assert_eq!(step(back), Step::Map { asked: 3 });

    let mut wanted = want(OAUTH, 1, WantedState::Granted);
    wanted.application.suspended = true;
    let waits = vec![said(wanted.clone())];
    given::<Entitlement>([])
        .when(&command(wanted))
        .then(waits.clone());
    assert_eq!(step(waits), Step::Idle);
}

/// Once, and only where it was answered that there is none.
#[test]
fn a_gateway_that_comes_later_is_used() {
    let find = Command::Access(AccessCommand::FindGateway);
    let found = || -> Event { AccessEvent::GatewayFound.into() };
    let (asked, nothing) = (1, Some(Nothing::NoGateway));
    let answered = vec![
        granted(1),
        MappingEvent::Mapped { asked, nothing }.into(),
        reported(1, Outcome::NothingToDo(Nothing::NoGateway)),
    ];
    given::<Entitlement>(answered.clone())
        .when(&find)
        .then([found()]);
    let after = with(answered.clone(), [found()]);
    assert_eq!(step(after.clone()), Step::Map { asked: 2 });
    assert_eq!(*state(after.clone()).gateways_to_write(), [None].into());
    given::<Entitlement>(after.clone())
        .when(&complete(2))
        .then([mapped(2), reported(1, Outcome::Done)]);
    for past in [after, active(), with(answered, [revoked(2)])] {
        given::<Entitlement>(past).when(&find).then_nothing();
    }

    let reason = Reason {
        code: GATEWAY_MISSING.into(),
        ..reason()
    };
    let parked = vec![
        said(want(Credential::ApiKey, 1, WantedState::Granted)),
        TryEvent::Failed {
            reason: reason.clone(),
        }
        .into(),
        reported(1, Outcome::Failed(reason)),
    ];
    given::<Entitlement>(parked.clone())
        .when(&find)
        .then([found(), reported(1, Outcome::Started)]);
    assert_eq!(step(with(parked, [found()])), Step::Place);
}

#[test]
fn a_change_of_scopes_is_written_and_answered() {
    let mut other = want(OAUTH, 2, WantedState::Granted);
    other.items[0].product.scopes = ["product_climate".to_owned()].into();
    given::<Entitlement>(active())
        .when(&command(other.clone()))
        .then([said(other.clone())]);
    assert_eq!(step(with(active(), [said(other)])), Step::Map { asked: 2 });
}

#[test]
fn the_status_is_what_it_waits_for_or_where_it_rests() {
    let suspended = said(want(OAUTH, 2, WantedState::Suspended));
    for (events, status) in [
        (vec![granted(1)], "working"),
        (vec![granted(1), delayed()], "delayed"),
        (vec![granted(1), failed()], "failed"),
        (active(), "ready"),
        (with(active(), [suspended, mapped(2)]), "suspended"),
        (with(active(), [revoked(2), mapped(2)]), "deleted"),
        (vec![revoked(1)], "deleted"),
    ] {
        assert_eq!(state(events).status(), status);
    }
}

#[test]
fn payloads_stay_as_they_are() {
    let encode = |event: &Event| {
        let event = NewEvent::encode::<Entitlement>(Uuid::nil(), event, Default::default());
        let event = event.unwrap();
        (event.event_type, event.data.parse().unwrap())
    };
    assert_eq!(
        encode(&mapped(4)),
        (
            "entitlement.mapped".into(),
            json!({"asked": 4, "nothing": null})
        )
    );
    assert_eq!(
        encode(&reported(2, Outcome::NothingToDo(Nothing::NoApis))),
        (
            "entitlement.reported".into(),
            json!({"revision": 2, "outcome": {"nothing_to_do": "no_apis"}})
        )
    );
    let (event_type, data) = encode(&granted(3));
    assert_eq!(event_type, "entitlement.wanted");
    assert_eq!(data["revision"], 3);
    assert_eq!(data["state"], "granted");
    assert_eq!(
        data["credential"],
        json!({"oauth_client": {"identity_provider_id": PROVIDER}})
    );
    let plan = json!({"id": "free", "version": 1, "name": "Free", "scopes": ["free_plan"],
        "policy_id": "their-plan", "rate": null, "quota": null});
    assert_eq!(data["items"][0]["plan"], plan);
}

proptest! {
    /// Revisions and facts that come in any order, with repetitions, end in the same state of what is wanted.
    #[test]
    fn any_order_of_messages_ends_the_same(order in Just(messages()).prop_shuffle(), repeated in 0..7_usize) {
        let fold = |commands: Vec<Command>| {
            let mut entitlement = Entitlement::default();
            for command in commands {
                for event in entitlement.decide(&command).unwrap() {
                    entitlement.evolve(&event);
                }
            }
            entitlement
        };
        let in_order = fold(messages());
        let again = order[repeated].clone();
        let mut all = order;
        all.push(again);
        // As the policies do it: facts are looked up again after each revision.
        all.extend(messages().into_iter().skip(4));
        let shuffled = fold(all);
        prop_assert_eq!(&shuffled.wanted, &in_order.wanted);
        prop_assert_eq!(&shuffled.application, &in_order.application);
        prop_assert_eq!(shuffled.is_wanted(), in_order.is_wanted());
        let wanted = |one: &Entitlement| -> BTreeSet<String> {
            let wanted = one.claims.iter().filter(|claim| claim.unwanted_since.is_none());
            wanted.map(|claim| claim.of.scope.clone()).collect()
        };
        prop_assert_eq!(wanted(&shuffled), wanted(&in_order));
        let claimed = |one: &Entitlement| -> BTreeSet<String> {
            one.claims.iter().map(|claim| claim.of.scope.clone()).collect()
        };
        prop_assert_eq!(claimed(&shuffled), claimed(&in_order));
    }
}

/// Four revisions, and three facts without one.
fn messages() -> Vec<Command> {
    let mut other = want(OAUTH, 2, WantedState::Granted);
    other.items[0].product.scopes = ["product_climate".to_owned()].into();
    let plan = Plan {
        version: 5,
        rate: Some(Limit {
            requests: 1,
            seconds: 1,
        }),
        ..item().plan
    };
    let application = |as_of, suspended| {
        Command::Access(AccessCommand::ChangeApplication(Application {
            suspended,
            as_of,
        }))
    };
    vec![
        command(want(OAUTH, 1, WantedState::Granted)),
        command(other),
        command(want(OAUTH, 3, WantedState::Suspended)),
        command(want(OAUTH, 4, WantedState::Granted)),
        Command::Access(AccessCommand::FollowCatalogue(CatalogueChange::Plan(plan))),
        application(7, true),
        application(8, false),
    ]
}
