//! The secret before a rotation, at the double of Okta: it works for a time, and ends before it where somebody wants so.

use http::Method;
use portico_proto::time::from_proto;
use portico_sandbox::doubles::{Handle, Reply, okta};

use super::*;
use crate::oauth_client::{Command, OauthClient, OldSecretCommand, Problem};
use crate::worker::tests::world::TOKEN;

const SCOPES: [&str; 4] = ["product_pay", "product_ship", "free_plan", "gold_plan"];

async fn start() -> (Test, Handle<okta::Okta>) {
    let org = okta::start(TOKEN, &SCOPES).await.unwrap();
    let mut world = World::start().await;
    world.use_okta(&org.url()).await;
    (Test::with(world).await, org)
}

async fn end(test: &mut Test, caller: &Caller) -> Result<(), Error> {
    let message = api::EndOldSecretRequest {
        application_id: test.world.application_id.to_string(),
        identity_provider_id: None,
    };
    let request = test.world.deps.identity.request(caller, message);
    test.service.end_old_secret(request).await?;
    Ok(())
}

async fn listed(test: &mut Test) -> api::OauthClient {
    test.list(&OWNER).await.unwrap().remove(0)
}

#[tokio::test]
async fn both_secrets_work_until_the_old_one_is_ended() {
    let (mut test, org) = start().await;
    let first = test.credentials(&OWNER).await.unwrap().remove(0);
    assert_eq!(first.old_secret_valid_until, None);
    let refused = end(&mut test, &OWNER).await.unwrap_err();
    assert_eq!(
        (refused.kind, &*refused.code),
        (Kind::Conflict, "no_old_secret")
    );

    let second = test.rotate(&OWNER).await.unwrap();
    assert_ne!(second.client_secret, first.client_secret);
    assert_eq!(
        org.double().secrets(),
        [first.client_secret(), second.client_secret()]
    );
    let until = second.old_secret_valid_until.as_ref().and_then(from_proto);
    let until = until.unwrap();
    let lifetime = until.duration_since(test.world.deps.clock.now());
    assert!((23..=24).contains(&lifetime.as_hours()), "{lifetime}");
    assert!(!second.granted.contains("portico"), "{second:?}");

    for (caller, kind) in [
        (STRANGER, Kind::NotFound),
        (Caller::Anonymous, Kind::Unauthenticated),
    ] {
        assert_eq!(end(&mut test, &caller).await.unwrap_err().kind, kind);
    }
    end(&mut test, &ADMIN).await.unwrap();
    assert_eq!(org.double().secrets(), [second.client_secret()]);
    assert_eq!(listed(&mut test).await.old_secret_valid_until, None);
}

#[tokio::test]
async fn an_end_that_fails_is_said_and_tried_again() {
    let (mut test, org) = start().await;
    test.rotate(&OWNER).await.unwrap();
    let id = org.double().client_ids().remove(0);
    let path = format!("/api/v1/apps/{id}/credentials/secrets");
    let slow = Reply::empty(503).with("retry-after", "3600");
    org.refuse_next(Method::GET, &path, slow);
    let refused = end(&mut test, &OWNER).await.unwrap_err();
    assert_eq!(
        (refused.kind, &*refused.code),
        (Kind::Unavailable, "old_secret_not_ended")
    );
    let client = listed(&mut test).await;
    assert_ne!(client.old_secret_error, None);
    let again = client.old_secret_valid_until.as_ref().and_then(from_proto);
    assert!(again.unwrap() > test.world.deps.clock.now());
    // Nobody has to wait for that.
    end(&mut test, &OWNER).await.unwrap();
    assert_eq!(org.double().secrets().len(), 1);
    assert_eq!(listed(&mut test).await.old_secret_error, None);
}

#[tokio::test]
async fn it_ends_by_itself() {
    let (mut test, org) = start().await;
    test.rotate(&OWNER).await.unwrap();
    let command = Command::OldSecret(OldSecretCommand::Keep {
        problem: Problem {
            code: "test".into(),
            reason: "its time comes soon".into(),
        },
        again_at: test.world.deps.clock.now() + jiff::SignedDuration::from_millis(50),
    });
    let id = test.world.id();
    test.world.execute::<OauthClient>(id, &command).await;
    test.world
        .until("without an old secret", |client| {
            client.old_secret().is_none()
        })
        .await;
    assert_eq!(org.double().secrets().len(), 1);
}

#[tokio::test]
async fn a_deleted_client_has_no_old_secret_to_end() {
    let (mut test, org) = start().await;
    test.rotate(&OWNER).await.unwrap();
    test.world.revoke(test.request).await;
    test.world.until_ended(test.request).await;
    assert_eq!(org.double().client_count(), 0);
    let refused = end(&mut test, &OWNER).await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotFound);
}
