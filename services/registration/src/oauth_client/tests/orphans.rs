//! Clients that nobody uses.

use super::*;

/// A client without power is given up.
fn refuse_delete(powerless: bool) -> Command {
    Command::Deletion(DeletionCommand::Refuse(undeletable(powerless, powerless)))
}

fn undeletable(powerless: bool, given_up: bool) -> UndeletableClient {
    UndeletableClient {
        marker: format!("{}.1", OauthClient::id(APPLICATION, PROVIDER)),
        client_id: "c1".into(),
        problem: problem("forbidden"),
        powerless,
        given_up,
        rat_ref: Some(VaultRef(Uuid::from_u128(7))),
    }
}

fn dismiss(marker: &str) -> Command {
    Command::Orphan(OrphanCommand::Resolve(Resolved {
        marker: marker.to_owned(),
        how: Resolution::Dismissed,
        note: None,
    }))
}

fn find(marker: &str, client_id: &str) -> Command {
    let found = FoundClient {
        marker: marker.into(),
        client_id: client_id.into(),
        rat_ref: Some(VaultRef(Uuid::from_u128(7))),
        uri: None,
    };
    Command::Orphan(OrphanCommand::Find(found, set(&["p9"])))
}

/// Revoked, and about to be deleted.
fn deleting() -> Story {
    Story::active(&[1])
        .then(&revoked(1, 2))
        .then(&intend_delete())
}

fn marker(story: &Story) -> String {
    let mut markers = story.client.orphans.keys();
    let marker = markers.next().expect("one is listed").clone();
    assert_eq!(markers.next(), None);
    marker
}

/// An attempt without an outcome.
fn suspected() -> Story {
    let story = Story::new([granted(1)]);
    let wanted = story.client.wanted().unwrap();
    story.then(&intend(wanted)).then(&suspect(1, 1))
}

#[test]
fn a_client_that_is_not_deleted_is_listed_and_given_up_where_it_has_no_power() {
    let mut story = deleting().then(&refuse_delete(true));
    let marker = marker(&story);
    assert_eq!(
        marker,
        format!("{}.1", OauthClient::id(APPLICATION, PROVIDER))
    );
    let orphan = story.client.open_orphan(&marker).unwrap();
    assert_eq!(orphan.reason, OrphanReason::DeleteRefused);
    assert_eq!(orphan.client_id, "c1");
    assert!(orphan.powerless && orphan.rat_ref.is_some());
    assert_eq!(story.client.live(), None);
    // The revocation comes to its end.
    assert!(story.client.ended.contains_key(&request(1)));
    assert_eq!(story.tell(&refuse_delete(true)), Err(Rejection::Superseded));
}

#[test]
fn a_client_that_keeps_its_power_stays_until_somebody_says_that_it_is_gone() {
    let mut story = deleting().then(&refuse_delete(false));
    let marker = marker(&story);
    assert_eq!(story.step(), Step::Delete);
    assert_eq!(story.tell(&refuse_delete(false)), Ok(vec![]));
    let dismiss = dismiss(&marker);
    let events = story.tell(&dismiss).unwrap();
    let deleted = DeletionEvent::Deleted { unexpected: false };
    assert_eq!(events[1], deleted.into());
    assert_eq!(story.client.live(), None);
    assert_eq!(story.tell(&dismiss), Err(Rejection::OrphanResolved));
}

#[test]
fn a_suspected_orphan_is_adopted_where_there_is_no_client() {
    let mut story = suspected();
    assert!(story.has_failed(1));
    let marker = marker(&story);
    assert!(story.client.adoptable(&marker).is_ok());
    assert_eq!(story.client.type_for_adoption(), Some(MACHINE));
    let adopt = Command::Orphan(OrphanCommand::Adopt(AdoptedClient {
        marker: marker.clone(),
        answer: answer("found", &set(&[])),
        client_type_id: MACHINE,
    }));
    let events = story.tell(&adopt).unwrap();
    // Parked before, so that its request goes on by it.
    assert_eq!(events[0], report(1, 1, Outcome::Started));
    assert_eq!(story.client.live().unwrap().answer.client_id, "found");
    let Step::Update(wanted) = story.step() else {
        panic!("{:?}", story.step());
    };
    assert_eq!(wanted.scopes, set(&["p1", "free"]));
    let story = story.updated();
    assert_eq!(story.standing(1), Some(&Standing::Done));
    assert_eq!(
        story.client.open_orphan(&marker).err(),
        Some(Rejection::OrphanResolved)
    );
}

#[test]
fn an_orphan_is_not_adopted_beside_a_client_or_for_nobody() {
    let story = suspected();
    let marker = marker(&story);
    let again = story.clone().then(&retried(1, 2)).registered();
    assert_eq!(
        again.client.adoptable(&marker).err(),
        Some(Rejection::HasClient)
    );
    let story = story.then(&revoked(1, 2));
    assert_eq!(
        story.client.adoptable(&marker).err(),
        Some(Rejection::NotWanted)
    );
    assert_eq!(
        story.client.open_orphan("nobody's").err(),
        Some(Rejection::OrphanUnknown)
    );
}

#[test]
fn a_client_that_came_too_late_is_listed_with_what_it_is_managed_with() {
    let story = Story::active(&[1]).then(&find("m", "late"));
    let orphan = story.client.open_orphan("m").unwrap();
    assert_eq!(orphan.reason, OrphanReason::RegisteredLate);
    assert_eq!(story.client.live().unwrap().answer.client_id, "c1");
    assert!(story.client.held.scopes.contains("p9"));
    assert_eq!(story.step(), Step::Idle);
}

fn suspect_then(attempt: u32, detail: &str, then: AfterSuspicion) -> Command {
    Command::Registration(RegistrationCommand::Suspect {
        attempt,
        detail: detail.into(),
        then,
        again_at: much_later(),
        at: now(),
    })
}

/// A search that finds nothing may lag behind.
#[test]
fn what_is_looked_for_again_is_listed_until_it_is_found() {
    let story = Story::new([granted(1)]);
    let wanted = story.client.wanted().unwrap();
    let not_found = AfterSuspicion::LookAgain(failed("not_found", false), later());
    let look_again = || suspect_then(1, "", not_found.clone());
    let mut story = story.then(&intend(wanted.clone())).then(&look_again());
    let marker = marker(&story);
    assert_eq!(story.step(), Step::Wait(later()));
    assert_eq!((story.client.looks, story.client.suspicions), (1, 0));
    assert!(story.client.held.scopes.contains("p1"));
    // However often it is looked for: that is no failed attempt.
    story.tell(&look_again()).unwrap();
    let attempts = story.client.delay.as_ref().map(|delay| delay.attempts);
    assert_eq!((story.client.looks, attempts), (2, Some(0)));
    assert_eq!(story.client.adoptable(&marker).err(), Some(Rejection::Busy));
    let story = story.then(&register(1, answer("c1", &wanted.scopes)));
    assert_eq!(story.standing(1), Some(&Standing::Done));
    let orphan = &story.client.orphans[&marker];
    assert_eq!(orphan.resolution, Some(Resolution::Adopted));
}

#[test]
fn looking_again_undoes_nothing_that_is_known_of_an_orphan() {
    let story = Story::new([granted(1)]);
    let wanted = story.client.wanted().unwrap();
    let look = AfterSuspicion::LookAgain(failed("not_found", false), later());
    let story = story
        .then(&intend(wanted))
        .then(&suspect_then(1, "", look.clone()));
    let marker = marker(&story);
    let story = story
        .then(&dismiss(&marker))
        .then(&suspect_then(1, "", look));
    assert!(
        story.client.open_orphan(&marker).is_err(),
        "it is dismissed"
    );
    let park = AfterSuspicion::Park(problem("provider_answer_invalid"));
    let story = story.then(&suspect_then(1, "an excerpt", park));
    assert_eq!(story.client.orphans[&marker].detail, "an excerpt");
}

#[test]
fn a_success_that_cannot_be_used_is_parked_at_the_first_and_listed_with_an_excerpt() {
    let story = Story::new([granted(1)]);
    let wanted = story.client.wanted().unwrap();
    let park = AfterSuspicion::Park(problem("provider_answer_invalid"));
    let story = story
        .then(&intend(wanted))
        .then(&suspect_then(1, "an excerpt", park));
    let orphan = story.client.open_orphan(&marker(&story)).unwrap();
    assert_eq!(orphan.detail, "an excerpt");
    // What was chosen for the attempt, and nothing at the provider.
    assert_eq!(story.step(), Step::Forget);
    assert_eq!(
        story.reports(1).pop(),
        Some((1, Outcome::Failed(problem("provider_answer_invalid"))))
    );
    // A person may want another one all the same.
    let story = story.then(&retried(1, 2));
    assert!(
        matches!(story.step(), Step::Register(_)),
        "{:?}",
        story.step()
    );
}

#[test]
fn a_client_by_which_nobody_can_get_a_token_serves_nobody_and_goes() {
    let story = Story::new([granted(1)]);
    let wanted = story.client.wanted().unwrap();
    let story = story
        .then(&intend(wanted.clone()))
        .then(&register(1, unusable(&wanted)));
    assert_eq!(
        story.reports(1),
        [
            (1, Outcome::Started),
            (1, Outcome::Failed(problem("client_secret_missing")))
        ]
    );
    assert_eq!(story.step(), Step::Delete);
    // Whoever wants it again before it is gone does not get it as it is.
    let retried = story.then(&retried(1, 2));
    assert!(
        matches!(retried.step(), Step::Update(_)),
        "{:?}",
        retried.step()
    );
    assert!(!retried.reports(1).contains(&(2, DONE)));
    let intended = retried.then(&intend_update(wanted.clone()));
    let attempt = intended.client.attempt;
    let still = intended.clone().then(&update(attempt, unusable(&wanted)));
    assert!(still.has_failed(1));
    assert_eq!(still.step(), Step::Delete);
    let mended = intended.then(&update(attempt, answer("c1", &wanted.scopes)));
    assert_eq!(mended.reports(1).pop(), Some((2, DONE)));
}

fn unusable(wanted: &Wanted) -> Answered {
    Answered {
        unusable: Some(problem("client_secret_missing")),
        ..answer("c1", &wanted.scopes)
    }
}

/// A change that leaves nobody with a token takes nothing from those whose access was done before.
#[test]
fn a_client_that_got_unusable_is_done_for_nobody_new() {
    let story = Story::active(&[1]).then(&granted(2));
    let wanted = story.client.wanted().unwrap();
    let story = story.then(&intend_update(wanted.clone()));
    let attempt = story.client.attempt;
    let story = story.then(&update(attempt, unusable(&wanted)));
    assert_eq!(story.standing(1), Some(&Standing::Done));
    assert!(story.has_failed(2));
    let retried = story.updated().then(&retried(2, 2));
    assert!(
        matches!(retried.step(), Step::Update(_)),
        "{:?}",
        retried.step()
    );
}

/// Another listing of a client that is in use says nothing of it.
#[test]
fn an_old_orphan_with_the_id_of_a_live_client_takes_nothing_away() {
    let mut story = Story::active(&[1]).then(&find("old", "c1"));
    for how in [Resolution::Dismissed, Resolution::Deleted] {
        let resolve = Command::Orphan(OrphanCommand::Resolve(Resolved {
            marker: "old".into(),
            how,
            note: None,
        }));
        assert_eq!(story.tell(&resolve), Err(Rejection::ClientInUse));
    }
    let in_use = story.client.resolvable("old", "c1");
    assert_eq!(in_use, Err(Rejection::ClientInUse));
    assert_eq!(story.client.resolvable("old", "another"), Ok(()));
    // The provider says that it can be managed after all: then it is no orphan.
    let story = story.then(&granted(2)).updated();
    assert!(story.client.open_orphan("old").is_err());
    // One that was given up, and that the provider gives back: the next client has its id.
    let given_up = deleting().then(&refuse_delete(true)).then(&granted(2));
    let listed = marker(&given_up);
    let again = given_up.registered();
    assert_eq!(again.client.live().unwrap().answer.client_id, "c1");
    assert!(again.client.open_orphan(&listed).is_err());
}

/// Nothing more can be found out, and it may have its scopes: it stays listed with them.
#[test]
fn a_client_that_is_given_up_ends_and_stays_listed() {
    let refused = Command::Deletion(DeletionCommand::Refuse(undeletable(false, true)));
    for story in [deleting(), deleting().then(&refuse_delete(false))] {
        let story = story.then(&refused);
        let orphan = story.client.open_orphan(&marker(&story)).unwrap();
        assert_eq!((orphan.client_id.as_str(), orphan.powerless), ("c1", false));
        assert!(orphan.scopes.contains("p1"), "{orphan:?}");
        assert_eq!(story.client.live(), None);
        assert!(story.client.ended.contains_key(&request(1)));
    }
}

/// What the last try was about says nothing of whether the first one made a client.
#[test]
fn an_attempt_to_register_that_is_parked_without_an_outcome_is_listed() {
    let story = Story::new([granted(1)]);
    let wanted = story.client.wanted().unwrap();
    let story = story.then(&intend(wanted)).then(&refuse(false));
    assert!(story.client.open_orphan(&marker(&story)).is_ok());
    assert!(story.has_failed(1) && story.client.intended().is_some());
    let retried = story.then(&retried(1, 2));
    assert_eq!(retried.step(), Step::Reconcile);
}

/// It could be neither managed nor found: whoever says that it is gone gets another one.
#[test]
fn a_client_that_is_said_to_be_gone_is_replaced_where_one_is_wanted() {
    let story = Story::active(&[1]).then(&granted(2));
    let wanted = story.client.wanted().unwrap();
    let story = story
        .then(&intend_update(wanted))
        .then(&refuse_delete(false));
    let marker = marker(&story);
    let cleared = story.clone().updated();
    assert!(
        cleared.client.open_orphan(&marker).is_err(),
        "it is managed again"
    );
    let listed = cleared.then(&refuse_delete(false));
    assert!(listed.client.open_orphan(&marker).is_ok(), "and not again");

    let mut story = story.then(&refuse(true));
    let events = story.tell(&dismiss(&marker)).unwrap();
    let deleted = DeletionEvent::Deleted { unexpected: true };
    assert_eq!(events[1], deleted.into());
    assert!(
        story.client.activated,
        "its developer is told of the next one"
    );
    assert!(
        matches!(story.step(), Step::Register(_)),
        "{:?}",
        story.step()
    );
}
