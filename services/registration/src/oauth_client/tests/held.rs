//! Scopes that a client may hold, from the first grant until nothing of it may be left.

use super::*;

fn held(story: &Story) -> BTreeSet<String> {
    story.client.held.scopes.clone()
}

#[test]
fn what_is_granted_may_be_held_from_now_on() {
    let mut story = Story::default();
    let events = story.tell(&granted(1)).unwrap();
    let expected = HeldScopes {
        scopes: set(&["free", "p1"]),
        answered: [(request(1), 1)].into(),
    };
    assert_eq!(events[1..], [GrantEvent::ScopesHeld(expected).into()]);
    // The same scopes of the same revision are said once.
    let told = |event: &Event| matches!(event, Event::Grant(GrantEvent::ScopesHeld(_)));
    assert_eq!(
        story.registered().events.iter().filter(|e| told(e)).count(),
        1
    );
}

#[test]
fn a_scope_that_was_given_up_is_held_until_the_update_is_done() {
    let story = Story::active(&[1]).then(&rescoped(1, 2, &["other"]));
    assert_eq!(held(&story), set(&["free", "other", "p1"]));
    assert_eq!(story.client.held.answered, [(request(1), 2)].into());
    assert_eq!(held(&story.updated()), set(&["other"]));
}

#[test]
fn an_update_without_an_outcome_may_have_given_its_scopes() {
    let story = Story::active(&[1]).then(&granted(2));
    let story = story.then(&intend_update(wanted(&["free", "p1", "p2"])));
    let story = story.then(&delay("timeout", false)).then(&revoked(2, 2));
    assert_eq!(held(&story), set(&["free", "p1", "p2"]));
    let story = story.then(&intend_update(wanted(&["free", "p1"])));
    assert_eq!(held(&story), set(&["free", "p1", "p2"]));
    // The second one is certainly refused, so the first one may still be in effect: it is tried again.
    let story = story.then(&delay("busy", true));
    assert_eq!(held(&story), set(&["free", "p1", "p2"]));
    assert_eq!(
        story.client.next_step(later()),
        Step::Update(wanted(&["free", "p1"]))
    );
    let story = story.updated();
    assert_eq!(held(&story), set(&["free", "p1"]));
    assert_eq!(story.reports(2).last(), Some(&(2, DONE)));
}

#[test]
fn a_client_that_cannot_be_taken_away_holds_its_scopes() {
    let story = Story::active(&[1]).then(&revoked(1, 2)).then(&refuse(true));
    assert_eq!(held(&story), set(&["free", "p1"]));
    let story = story.deleted();
    assert_eq!(held(&story), set(&[]));
    assert_eq!(story.client.held.answered, [(request(1), 2)].into());
}

#[test]
fn an_orphan_holds_what_was_asked_for_until_it_is_resolved() {
    let story = Story::new([granted(1)]).then(&intend(wanted(&["free", "p1"])));
    let story = story.then(&suspect(1, 3)).then(&revoked(1, 2));
    assert_eq!(story.reports(1).last(), Some(&(2, DELETED)));
    assert_eq!(held(&story), set(&["free", "p1"]));
    let marker = story.client.orphans.keys().next().unwrap().clone();
    let resolve = Command::Orphan(OrphanCommand::Resolve(Resolved {
        marker,
        how: Resolution::Dismissed,
        note: None,
    }));
    assert_eq!(held(&story.then(&resolve)), set(&[]));
}

#[test]
fn what_failed_is_held_no_more_and_a_retry_holds_it_again() {
    let story = Story::new([granted(1)]).then(&refuse(true));
    assert_eq!(held(&story), set(&[]));
    assert_eq!(held(&story.then(&retried(1, 2))), set(&["free", "p1"]));
}

#[test]
fn a_scope_that_the_provider_keeps_is_held() {
    let story = Story::active(&[1]).then(&rescoped(1, 2, &["free"]));
    let story = story.then(&intend_update(wanted(&["free"])));
    let attempt = story.client.attempt;
    let story = story.then(&update(attempt, answer("c1", &set(&["free", "p1"]))));
    assert_eq!(held(&story), set(&["free", "p1"]));
}
