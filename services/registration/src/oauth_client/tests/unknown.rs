//! Clients that a provider lists and nobody here knows.

use super::*;
use crate::client_metadata::Marker;

/// What the next attempt of this client is marked with, in a log that has forgotten the one before.
fn marker() -> Marker {
    Marker {
        id: OauthClient::id(APPLICATION, PROVIDER).to_string(),
        attempt: 1,
    }
}

fn list(client_id: &str) -> Command {
    Command::Orphan(OrphanCommand::List(UnknownClient {
        marker: UnknownClient::listed_as(&marker(), client_id),
        client_id: client_id.into(),
        identity_provider_id: PROVIDER,
        scopes: set(&["p9"]),
    }))
}

fn resolve(client_id: &str, how: Resolution) -> Command {
    Command::Orphan(OrphanCommand::Resolve(Resolved {
        marker: UnknownClient::listed_as(&marker(), client_id),
        how,
        note: None,
    }))
}

#[test]
fn what_is_in_use_or_listed_is_not_listed_again() {
    let mut story = Story::active(&[1]);
    assert_eq!(story.tell(&list("c1")), Ok(vec![]));
    for client_id in ["c8", "c9"] {
        let events = story.tell(&list(client_id)).unwrap();
        assert!(!events.is_empty());
        assert_eq!(story.tell(&list(client_id)), Ok(vec![]));
    }
    assert_eq!(story.client.orphans.len(), 2);
    assert!(story.client.held.scopes.contains("p9"));
    let mut story = story.then(&resolve("c8", Resolution::Dismissed));
    assert_eq!(
        story.tell(&list("c8")),
        Ok(vec![]),
        "somebody has seen to it"
    );
    let mut story = story.then(&resolve("c9", Resolution::Deleted));
    assert_ne!(
        story.tell(&list("c9")),
        Ok(vec![]),
        "it is there all the same"
    );
    let listed = UnknownClient::listed_as(&marker(), "c9");
    assert!(story.client.open_orphan(&listed).is_ok());
}

/// The application is not known before its next request; until then nobody is told what the client may hold.
#[test]
fn the_next_attempt_may_have_the_marker_of_an_unknown_client() {
    let story = Story::default().then(&list("c9"));
    assert_eq!(story.client.identity_provider_id, PROVIDER);
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.client.status(), "deleted");
    assert_eq!(story.events.len(), 1, "{:?}", story.events);
    let story = story.then(&granted(1));
    assert!(story.client.held.scopes.contains("p9"));
    let story = story.registered();
    assert_eq!(story.client.live().unwrap().marker, marker().to_string());
    let listed = UnknownClient::listed_as(&marker(), "c9");
    assert!(story.client.open_orphan(&listed).is_ok(), "c9 is another");
}
