//! Does it, refuses it, stays quiet.

use portico_eventstore::testing::given;

use super::*;

fn deprovisioned(number: u128, client_deleted: bool) -> Event {
    Event::Deprovisioned {
        request_id: request(number),
        application_id: APPLICATION,
        client_deleted,
    }
}

#[test]
fn a_grant_is_taken_in_once() {
    given::<OauthClient>([])
        .when(&Command::Grant(grant(1)))
        .then([granted(1)]);
    given::<OauthClient>([granted(1)])
        .when(&Command::Grant(grant(1)))
        .then_nothing();
}

#[test]
fn a_withdrawal_before_its_grant_ends_it() {
    let both = [withdrawn(1), deprovisioned(1, false)];
    given::<OauthClient>([])
        .when(&withdraw(1))
        .then(both.clone());
    given::<OauthClient>(both.clone())
        .when(&Command::Grant(grant(1)))
        .then_nothing();
    given::<OauthClient>(both).when(&withdraw(1)).then_nothing();
}

#[test]
fn a_withdrawal_is_taken_in_once() {
    given::<OauthClient>([granted(1)])
        .when(&withdraw(1))
        .then([withdrawn(1)]);
    given::<OauthClient>([granted(1), withdrawn(1)])
        .when(&withdraw(1))
        .then_nothing();
}

#[test]
fn only_the_newest_application_counts() {
    let change = |name, as_of| Command::ChangeApplication(application(name, as_of));
    given::<OauthClient>([granted(1)])
        .when(&change("New", 2))
        .then([Event::ApplicationChanged(application("New", 2))]);
    given::<OauthClient>([granted(1)])
        .when(&change("Old", 0))
        .then_nothing();
    given::<OauthClient>([])
        .when(&change("New", 2))
        .then_nothing();
    // An approval that was sent before the change and comes after it.
    let state = given::<OauthClient>([
        granted(1),
        Event::ApplicationChanged(application("New", 5)),
        granted(2),
    ])
    .state();
    assert_eq!(state.application.name, "New");
}

#[test]
fn a_retry_concerns_what_is_not_active() {
    let request_id = request(1);
    let retry = Command::Retry { request_id };
    given::<OauthClient>([granted(1)])
        .when(&retry)
        .then([Event::Retried { request_id }]);
    given::<OauthClient>([]).when(&retry).then_nothing();
    given::<OauthClient>(Story::active(&[1]).events)
        .when(&retry)
        .then_nothing();
}

#[test]
fn an_intent_is_of_what_is_wanted_now_and_there_is_one() {
    let stale = intend(wanted(&["free", "p2"]));
    let right = intend(wanted(&["free", "p1"]));
    let refused = given::<OauthClient>([granted(1)])
        .when(&stale)
        .then_refused();
    assert_eq!(refused, Rejection::Superseded);
    let story = Story::new([granted(1)]).then(&right);
    assert!(matches!(
        &story.events[1..],
        [Event::Started { .. }, Event::RegistrationIntended(intended)]
            if intended.attempt == 1 && intended.client.marker.attempt == 1
    ));
    // The fence: of two workers one wins.
    let refused = given::<OauthClient>(story.events)
        .when(&right)
        .then_refused();
    assert_eq!(refused, Rejection::Superseded);
}

#[test]
fn an_outcome_belongs_to_its_attempt() {
    let story = Story::new([granted(1)]).then(&intend(wanted(&["free", "p1"])));
    let complete = |attempt| Command::CompleteRegistration {
        attempt,
        answer: answer("c1", &set(&["free", "p1"])),
    };
    let refused = given::<OauthClient>(story.events.clone())
        .when(&complete(2))
        .then_refused();
    assert_eq!(refused, Rejection::Superseded);
    let story = story.then(&complete(1));
    let refused = given::<OauthClient>(story.events)
        .when(&complete(1))
        .then_refused();
    assert_eq!(refused, Rejection::Superseded);
}

#[test]
fn requests_are_named_in_what_was_registered_for_them() {
    let story = Story::new([granted(1), granted(2)]).registered();
    let Some(Event::Registered { request_ids, .. }) = story.events.last() else {
        panic!("{:?}", story.events);
    };
    assert_eq!(*request_ids, [request(1), request(2)]);
    // What only takes away is for nobody.
    let story = story.mapped().announced().then(&withdraw(1)).updated();
    let Some(Event::Updated { request_ids, .. }) = story.events.last() else {
        panic!("{:?}", story.events);
    };
    assert!(request_ids.is_empty());
}

#[test]
fn a_scope_that_was_not_granted_fails_its_request() {
    let story = Story::new([granted(1)]).then(&intend(wanted(&["free", "p1"])));
    let story = story.then(&Command::CompleteRegistration {
        attempt: 1,
        answer: answer("c1", &set(&["free"])),
    });
    assert!(matches!(
        story.stage(1),
        Some(Stage::Failed { words, .. }) if words.code == "scope_not_granted" && words.reason.contains("p1")
    ));
    assert_eq!(story.step(), Step::Delete);
}

#[test]
fn every_waiting_request_is_told_of_a_delay_and_tries_are_counted_once() {
    let delay = Command::Delay {
        target: Target::Provider,
        failing: failing("busy", true),
        next_try_at: later(),
    };
    let mut story = Story::new([granted(1), granted(2)]);
    for attempts in 1..=3 {
        let events = story.tell(&delay).unwrap();
        let told: Vec<_> = events
            .iter()
            .map(|event| match event {
                Event::Delayed(delayed) => (delayed.request_id, delayed.attempts),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            told,
            [(Some(request(1)), attempts), (Some(request(2)), attempts)]
        );
    }
}

#[test]
fn suspicions_are_capped() {
    let mut story = Story::new([granted(1)]);
    for attempt in 1..=2 {
        story = story.then(&intend(wanted(&["free", "p1"])));
        let suspect = Command::SuspectOrphan {
            attempt,
            cap: 2,
            again_at: much_later(),
            at: now(),
        };
        story = story.then(&suspect);
    }
    assert!(matches!(story.stage(1), Some(Stage::Failed { .. })));
    let suspected = story.events.iter().filter_map(|event| match event {
        Event::OrphanSuspected { marker, .. } => Some(marker.clone()),
        _ => None,
    });
    let id = OauthClient::id(APPLICATION, PROVIDER);
    assert_eq!(
        suspected.collect::<Vec<_>>(),
        [format!("{id}.1"), format!("{id}.2")]
    );
}

#[test]
fn a_rotation_needs_a_client_at_rest() {
    let secret_ref = VaultRef(Uuid::from_u128(9));
    let rotate = Command::Rotate { secret_ref };
    let refused = given::<OauthClient>([granted(1)])
        .when(&rotate)
        .then_refused();
    assert_eq!(refused, Rejection::NotRegistered);
    let active = Story::active(&[1]);
    let attempt = active.client.attempt + 1;
    given::<OauthClient>(active.events.clone())
        .when(&rotate)
        .then([Event::RotationIntended {
            attempt,
            secret_ref,
        }]);
    let busy = active.then(&rotate);
    let refused = given::<OauthClient>(busy.events)
        .when(&rotate)
        .then_refused();
    assert_eq!(refused, Rejection::Busy);
}

#[test]
fn looking_is_recorded_every_time_and_needs_a_client() {
    let refused = given::<OauthClient>([granted(1)])
        .when(&Command::Reveal)
        .then_refused();
    assert_eq!(refused, Rejection::NotRegistered);
    given::<OauthClient>(Story::active(&[1]).then(&Command::Reveal).events)
        .when(&Command::Reveal)
        .then([Event::CredentialsRevealed]);
}

#[test]
fn the_end_names_everything_that_others_need() {
    let story = Story::new([granted(1)]).registered().mapped();
    let provisioned = Event::Provisioned(Provisioned {
        request_id: request(1),
        application_id: APPLICATION,
        application_name: "Weather app".into(),
        identity_provider_id: PROVIDER,
        client_id: "c1".into(),
        scopes: set(&["free", "p1"]),
        product_names: vec!["P1".into()],
        requester_id: "developer".into(),
    });
    given::<OauthClient>(story.events.clone())
        .when(&Command::Announce)
        .then([provisioned]);
    given::<OauthClient>(story.announced().events)
        .when(&Command::Announce)
        .then_nothing();
}

#[test]
fn events_and_state_read_back() {
    let story = Story::active(&[1, 2]).then(&withdraw(1)).updated();
    for event in &story.events {
        let json = serde_json::to_value(event).unwrap();
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), *event);
    }
    let json = serde_json::to_string(&story.client).unwrap();
    assert_eq!(
        serde_json::from_str::<OauthClient>(&json).unwrap(),
        story.client
    );
}
