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
