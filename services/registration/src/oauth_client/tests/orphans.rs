//! Clients that nobody uses.

use super::*;

fn refuse_delete(powerless: bool) -> Command {
    Command::Deletion(DeletionCommand::Refuse {
        client_id: "c1".into(),
        problem: problem("forbidden"),
        powerless,
        rat_ref: Some(VaultRef(Uuid::from_u128(7))),
    })
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
    let dismiss = Command::Orphan(OrphanCommand::Resolve {
        marker: marker.clone(),
        how: Resolution::Dismissed,
        note: Some(VaultRef(Uuid::from_u128(8))),
    });
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
    let adopt = Command::Orphan(OrphanCommand::Adopt {
        marker: marker.clone(),
        answer: answer("found", &set(&[])),
        client_type_id: MACHINE,
    });
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
    let story = Story::active(&[1]).then(&Command::Orphan(OrphanCommand::Find {
        marker: "m".into(),
        client_id: "late".into(),
        scopes: set(&["p9"]),
        rat_ref: Some(VaultRef(Uuid::from_u128(7))),
        uri: None,
    }));
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
    let look_again = || suspect_then(1, "", AfterSuspicion::LookAgain);
    let mut story = story.then(&intend(wanted.clone())).then(&look_again());
    let marker = marker(&story);
    assert_eq!(story.step(), Step::Reconcile);
    assert_eq!(story.client.suspicions, 0);
    assert!(story.client.held.scopes.contains("p1"));
    assert_eq!(story.tell(&look_again()), Ok(vec![]));
    assert_eq!(story.client.adoptable(&marker).err(), Some(Rejection::Busy));
    let story = story.then(&register(1, answer("c1", &wanted.scopes)));
    assert_eq!(story.standing(1), Some(&Standing::Done));
    let orphan = &story.client.orphans[&marker];
    assert_eq!(orphan.resolution, Some(Resolution::Adopted));
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
    let unusable = Some(problem("client_secret_missing"));
    let story = story
        .then(&intend(wanted.clone()))
        .then(&Command::Registration(RegistrationCommand::Complete {
            attempt: 1,
            answer: answer("c1", &wanted.scopes),
            unusable,
        }));
    assert_eq!(
        story.reports(1),
        [
            (1, Outcome::Started),
            (1, Outcome::Failed(problem("client_secret_missing")))
        ]
    );
    assert_eq!(story.step(), Step::Delete);
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
    let dismiss = || {
        Command::Orphan(OrphanCommand::Resolve {
            marker: marker.clone(),
            how: Resolution::Dismissed,
            note: None,
        })
    };
    let cleared = story.clone().updated();
    assert!(
        cleared.client.open_orphan(&marker).is_err(),
        "it is managed again"
    );
    let listed = cleared.then(&refuse_delete(false));
    assert!(listed.client.open_orphan(&marker).is_ok(), "and not again");

    let mut story = story.then(&refuse(true));
    let events = story.tell(&dismiss()).unwrap();
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
