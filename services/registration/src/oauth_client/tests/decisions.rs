//! Does it, refuses it, stays quiet.

use portico_eventstore::testing::given;

use super::*;

const REVEAL: Command = Command::Access(AccessCommand::Reveal);

fn activate(number: u128) -> Command {
    let request_id = request(number);
    Command::Access(AccessCommand::Activate { request_id })
}

#[test]
fn only_the_newest_application_counts() {
    let mut story = Story::new([granted(1)]);
    let newer = application("New", 2);
    let changed = FollowEvent::ApplicationChanged(newer.clone());
    assert_eq!(story.tell(&follow(newer)), Ok(vec![changed.into()]));
    assert_eq!(story.tell(&follow(application("Old", 0))), Ok(vec![]));
    given::<OauthClient>([])
        .when(&follow(application("New", 2)))
        .then_nothing();
    // An approval that was sent before the change and comes after it.
    let story = story.then(&granted(2));
    assert_eq!(story.client.application.profile, profile_of("New"));
}

#[test]
fn an_intent_is_of_what_is_wanted_now_and_there_is_one() {
    let mut story = Story::new([granted(1)]);
    let stale = intend(wanted(&["free", "p2"]));
    assert_eq!(story.tell(&stale), Err(Rejection::Superseded));
    let right = intend(wanted(&["free", "p1"]));
    let events = story.tell(&right).unwrap();
    assert!(matches!(
        &events[..],
        [started, Event::Registration(RegistrationEvent::Intended(intended))]
            if *started == report(1, 1, Outcome::Started)
                && intended.attempt == 1
                && intended.client.marker.attempt == 1
    ));
    // The fence: of two workers one wins.
    assert_eq!(story.tell(&right), Err(Rejection::Superseded));
}

#[test]
fn an_outcome_belongs_to_its_attempt() {
    let mut story = Story::new([granted(1)]).then(&intend(wanted(&["free", "p1"])));
    let complete = |attempt| register(attempt, answer("c1", &set(&["free", "p1"])));
    assert_eq!(story.tell(&complete(2)), Err(Rejection::Superseded));
    assert!(story.tell(&complete(1)).is_ok());
    assert_eq!(story.tell(&complete(1)), Err(Rejection::Superseded));
}

#[test]
fn suspicions_are_capped() {
    let mut story = Story::new([granted(1)]);
    for attempt in 1..=2 {
        story = story.then(&intend(wanted(&["free", "p1"])));
        story = story.then(&suspect(attempt, 2));
    }
    assert!(story.has_failed(1));
    let id = OauthClient::id(APPLICATION, PROVIDER);
    let markers: Vec<&String> = story.client.orphans.keys().collect();
    assert_eq!(markers, [&format!("{id}.1"), &format!("{id}.2")]);
}

#[test]
fn a_rotation_needs_a_client_at_rest() {
    let mut waiting = Story::new([granted(1)]);
    assert_eq!(waiting.tell(&rotate(9)), Err(Rejection::NotRegistered));
    let mut unready = waiting.registered();
    assert_eq!(unready.tell(&rotate(9)), Err(Rejection::NotReady));
    let mut active = Story::active(&[1]);
    let intended = RotationEvent::Intended {
        attempt: active.client.attempt + 1,
        secret_ref: VaultRef(Uuid::from_u128(9)),
    };
    assert_eq!(active.tell(&rotate(9)), Ok(vec![intended.into()]));
    assert_eq!(active.tell(&rotate(9)), Err(Rejection::Busy));
}

#[test]
fn credentials_are_shown_once_access_was_active_and_every_time_it_is_recorded() {
    let mut story = Story::new([granted(1)]);
    assert_eq!(story.tell(&REVEAL), Err(Rejection::NotRegistered));
    let mut story = story.registered();
    assert_eq!(story.tell(&REVEAL), Err(Rejection::NotReady));
    assert_eq!(
        story.tell(&activate(1)),
        Ok(vec![AccessEvent::Activated.into()])
    );
    assert_eq!(story.tell(&activate(1)), Ok(vec![]));
    for _ in 0..2 {
        let revealed = AccessEvent::CredentialsRevealed.into();
        assert_eq!(story.tell(&REVEAL), Ok(vec![revealed]));
    }
}

#[test]
fn activation_is_of_a_request_that_is_not_over() {
    given::<OauthClient>([]).when(&activate(1)).then_nothing();
    let mut story = Story::new([granted(1)]).registered();
    assert_eq!(story.tell(&activate(2)), Ok(vec![]));
    // Asked for where the news is still on its way.
    let confirm = Command::Access(AccessCommand::ConfirmActivation);
    assert!(story.clone().then(&confirm).client.activated);
    // The next client of the application is another one.
    let story = story.then(&activate(1)).then(&revoked(1, 2)).deleted();
    assert!(!story.client.activated);
    let story = story.then(&activate(1)).then(&granted(2)).registered();
    assert!(!story.client.activated);
}

#[test]
fn a_later_failure_and_a_replacement_hide_nothing() {
    let replace = Command::Deletion(DeletionCommand::Replace);
    let story = Story::active(&[1]).then(&replace).deleted();
    assert!(story.client.activated);
    let mut story = story.registered().then(&granted(2)).then(&refuse(true));
    assert!(story.has_failed(2));
    assert!(story.tell(&REVEAL).is_ok());
}

#[test]
fn events_and_state_read_back() {
    let story = Story::active(&[1, 2]).then(&revoked(1, 2)).updated();
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

/// What is stored has the same names whatever the enums are called.
#[test]
fn event_types_are_stable() {
    let story = Story::active(&[1]).then(&rotate(9));
    let types: BTreeSet<String> = story
        .events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["type"].to_string())
        .collect();
    let expected = [
        "activated",
        "registered",
        "registration_intended",
        "reported",
        "rotation_intended",
        "scopes_held",
        "wanted",
    ];
    assert!(types.iter().map(|one| one.trim_matches('"')).eq(expected));
}
