//! What people wrote of an application: asked for, sent, and kept nowhere but in the vault.

use portico_proto::access::v1 as access;
use portico_sandbox::identity_provider::{Answer, Fault, Operation};
use serde_json::json;

use super::world::{CALLBACK, PETRAS, World, profile_of, profiles};
use crate::oauth_client::{APPLICATION_OWNER, Event, FailureEvent};

/// All that is stored in clear: the files with the write-ahead log, the views, and the messages.
async fn stored(world: &World) -> String {
    let mut found = String::new();
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            found.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
        }
    }
    for sql in [
        "SELECT data FROM events",
        "SELECT state FROM oauth_clients",
        "SELECT differences FROM oauth_clients",
    ] {
        found.extend(world.texts(sql).await);
    }
    for message in world.messages.lock().unwrap().iter() {
        found.push_str(&format!("{:?}", message.payload));
    }
    found
}

fn assert_nowhere(stored: &str) {
    for text in [PETRAS, CALLBACK, "quasebarth.example"] {
        assert!(!stored.contains(text), "{text} is stored in clear");
    }
}

/// Rows of the vault that belong to the application.
pub(super) async fn kept(world: &World) -> usize {
    let subject = format!("{APPLICATION_OWNER}/{}", world.application_id);
    let rows = world.texts("SELECT subject FROM vault_value").await;
    rows.into_iter().filter(|row| *row == subject).count()
}

#[tokio::test]
async fn what_a_provider_repeats_is_in_the_vault_until_the_owner_is_erased() {
    let mut world = World::start().await;
    world.name = PETRAS;
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    let there = world.only_client().metadata;
    assert_eq!(there.client_name.as_deref(), Some(PETRAS));
    assert_eq!(there.redirect_uris, [CALLBACK]);
    let answer = &client.live().unwrap().answer;
    let (whole, in_force) = world
        .worker()
        .whole(world.application_id, answer)
        .await
        .unwrap();
    assert_eq!(whole.granted.text("client_name"), Some(PETRAS));
    assert_eq!(in_force, [CALLBACK]);
    assert_eq!(kept(&world).await, 1);
    assert_nowhere(&stored(&world).await);

    // Scopes grow: the echo of the former answer goes.
    let second = world.approve("ship", "free").await;
    world.until_done(second).await;
    assert_eq!(kept(&world).await, 1);

    let erased = access::ApplicationChanged {
        application_id: world.application_id.to_string(),
        profile_id: profile_of(PETRAS).to_string(),
        erased: true,
        suspended: false,
    };
    world
        .tell("portico.access.application_changed", &erased)
        .await;
    world
        .until("erased", |client| client.application.erased)
        .await;
    until_nothing_is_kept(&world).await;
    world.erased();
    // The provider still knows what nobody else does, so nothing of what it says can be kept.
    let quoted = format!("cannot delete {PETRAS} with {CALLBACK}");
    let error = json!({"error": "server_error", "error_description": quoted});
    let refusal = Fault::Refuse(Answer::json(500, &error));
    world.provider.fail_next(Operation::Delete, 1, refusal);
    world.revoke(request).await;
    world.revoke(second).await;
    world
        .until("deleted", |client| client.live().is_none())
        .await;
    // What an answer brought that came in between goes right after it.
    until_nothing_is_kept(&world).await;
    assert_nowhere(&stored(&world).await);
    let events = world.events().await;
    let kept = events.iter().find_map(|event| match event {
        Event::Failure(FailureEvent::Delayed { delay, .. }) => Some(&delay.problem),
        _ => None,
    });
    let kept = kept.unwrap();
    assert_eq!(kept.code, "server_error");
    assert!(kept.reason.contains("status 500"), "{}", kept.reason);
}

async fn until_nothing_is_kept(world: &World) {
    let gone = async {
        while kept(world).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::world::PATIENCE, gone)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_provider_that_quotes_them_is_not_quoted() {
    let mut world = World::start().await;
    world.name = PETRAS;
    let error = json!({
        "error": "invalid_redirect_uri",
        "error_description": format!("{CALLBACK} of {PETRAS} is not on the list; quasebarth.example is no host of ours"),
    });
    let refusal = Fault::Refuse(Answer::json(400, &error));
    world.provider.fail_next(Operation::Register, 9, refusal);
    let request = world.approve("pay", "free").await;
    let failed = |client: &crate::oauth_client::OauthClient| {
        let grant = client.grants.get(&request);
        grant.and_then(|grant| grant.failure()).cloned()
    };
    let client = world
        .until("failed", move |client| failed(client).is_some())
        .await;
    let problem = client.grants[&request].failure().unwrap();
    assert_eq!(
        problem.reason,
        "[redacted] of [redacted] is not on the list; [redacted] is no host of ours"
    );
    world.until_outcome(request, "failed 1").await;
    assert_nowhere(&stored(&world).await);
}

#[tokio::test]
async fn a_client_waits_for_access_request_however_long_that_takes() {
    let mut world = World::start().await;
    world.provide_access(axum::Router::new());
    let request = world.approve("pay", "free").await;
    // More often than a provider is tried.
    let tries = world.deps.config.retry.max_attempts + 3;
    let waited = async {
        loop {
            let events = world.events().await;
            let delays = events.iter().filter_map(|event| match event {
                Event::Failure(FailureEvent::Delayed { delay, .. }) => {
                    Some((delay.problem.code.clone(), delay.attempts))
                }
                _ => None,
            });
            let delays: Vec<_> = delays.collect();
            if delays.len() > tries as usize {
                return delays;
            }
            tokio::task::yield_now().await;
        }
    };
    let delays = tokio::time::timeout(super::world::PATIENCE, waited)
        .await
        .unwrap();
    for delay in delays {
        assert_eq!(delay, ("application_not_told".to_owned(), 0));
    }
    assert_eq!(world.provider.requests(Operation::Register), 0);
    world.provide_access(profiles());
    world.until_done(request).await;
}
