//! Against the double of Curity.

use http::Method as Verb;
use portico_sandbox::doubles::{Handle, Reply, curity};

use super::*;
use crate::providers::Deleted;
use crate::providers::double::{Peer, ids, registered, set, updated, wanted};

const REGISTRATION_PATH: &str = "/oauth/v2/oauth-registration";

async fn profile() -> (Handle<curity::Curity>, Peer) {
    let profile = curity::start(("portal", "portal secret"), &["a", "b"], "template")
        .await
        .unwrap();
    let url = format!(
        "{}/oauth/v2/oauth-anonymous/.well-known/openid-configuration",
        profile.url()
    );
    let peer = Peer::at(&url, Method::ClientCredentials)
        .await
        .with_management("portal", "portal secret");
    (profile, peer)
}

async fn register(peer: &Peer) -> Result<RegisteredClient, Failure> {
    let prepared = Curity.prepare(peer.session().site(), &wanted(&["a"]), &ids())?;
    Curity.register(&peer.session(), &prepared).await
}

#[tokio::test]
async fn a_client_lives_and_dies() {
    let (profile, peer) = profile().await;
    let client = registered(&Curity, &peer, &["a"]).await;
    assert_eq!(peer.token_of(&client, "a", "").await, (200, set(&["a"])));
    let first = client.clone();
    let client = updated(&Curity, &peer, client, &["a", "b"]).await;
    assert_ne!(client.client_secret, first.client_secret);
    assert_ne!(
        client.registration_access_token,
        first.registration_access_token
    );
    assert_eq!(peer.token_of(&first, "a", "").await.0, 401);
    assert_eq!(peer.token_of(&client, "a b", "").await.0, 200);
    let found = Curity.differences(&wanted(&["a", "b"]), &client.granted);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].member, "client_secret");

    let read = Curity.read(&peer.session(), &client).await.unwrap();
    assert!(read.client_secret.is_none() && read.warnings.len() == 1);
    assert_eq!(
        peer.token_of(&client, "a", "").await.0,
        200,
        "a read changes nothing"
    );
    assert_eq!(profile.calls(&Verb::GET, REGISTRATION_PATH), 0);

    let rotated = Curity
        .rotate_secret(&peer.session(), &client, &Secret::new("chosen"))
        .await
        .unwrap();
    let rotated = rotated.merge_into(client.clone(), set(&["a", "b"]));
    assert_eq!(peer.token_of(&client, "a", "").await.0, 401);
    let client = updated(&Curity, &peer, rotated, &["b"]).await;
    assert_eq!(peer.token_of(&client, "a", "").await.0, 400);
    assert_eq!(
        Curity.delete(&peer.session(), &client).await,
        Ok(Deleted::Deleted)
    );
    assert_eq!(peer.token_of(&client, "b", "").await.0, 401);
    assert_eq!(profile.double().client_count(), 0);
}

#[tokio::test]
async fn every_registration_has_a_token_of_its_own() {
    let (profile, mut peer) = profile().await;
    register(&peer).await.unwrap();
    register(&peer).await.unwrap();
    assert_eq!(profile.calls(&Verb::POST, "/oauth/v2/oauth-token"), 2);
    assert!(Curity.try_authorization(&peer.session()).await.is_ok());
    // Without the scope the token is good for nothing.
    peer.options.management_scope = "openid".into();
    let failure = register(&peer).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::PauseProvider);
    let mut used = peer;
    used.method = Method::InitialAccessToken;
    used.token = Some(Secret::new("used up"));
    let failure = register(&used).await.unwrap_err();
    assert_eq!(failure.code, "initial_access_token_refused");
    assert_eq!(profile.double().client_count(), 2);
}

#[tokio::test]
async fn an_instance_is_what_its_template_is() {
    let (profile, mut peer) = profile().await;
    peer.options.client_template = "template".into();
    let client = registered(&Curity, &peer, &["a"]).await;
    let found = Curity.differences(&wanted(&["a"]), &client.granted);
    assert!(found.iter().any(|one| one.member == "scope"), "{found:?}");
    // Nothing is sent: it would replace the secret and change nothing else.
    let same = updated(&Curity, &peer, client.clone(), &["b"]).await;
    assert_eq!(same.client_secret, client.client_secret);
    assert_eq!(profile.calls(&Verb::PUT, REGISTRATION_PATH), 0);
    peer.options.client_template = "nowhere".into();
    let failure = register(&peer).await.unwrap_err();
    assert_eq!(failure.status, Some(400));
    assert_eq!(profile.double().client_count(), 1);
}

#[tokio::test]
async fn a_client_that_may_be_gone_is_told_from_an_old_token() {
    let (profile, peer) = profile().await;
    let client = registered(&Curity, &peer, &["a"]).await;
    let mut old = client.clone();
    old.registration_access_token = Some(Secret::new("rotated away"));
    let failure = Curity
        .update(&peer.session(), &old, &wanted(&["b"]))
        .await
        .unwrap_err();
    assert_eq!(failure.code, "registration_access_token_refused");
    assert_eq!(failure.disposition, Disposition::Unmanageable);
    profile.double().remove(&client.client_id);
    let session = peer.session();
    for failure in [
        Curity.read(&session, &client).await.unwrap_err(),
        Curity
            .update(&session, &client, &wanted(&["b"]))
            .await
            .unwrap_err(),
        Curity.delete(&session, &client).await.unwrap_err(),
    ] {
        assert_eq!(failure.code, "client_perhaps_gone");
        assert_eq!(failure.disposition, Disposition::Unmanageable);
    }
}

#[tokio::test]
async fn a_page_for_an_answer_is_understood() {
    let page = |status| Reply::text(status, "text/html", "<html><body>Oops</body></html>");
    let (profile, peer) = profile().await;
    profile.refuse_next(Verb::POST, REGISTRATION_PATH, page(500));
    let failure = register(&peer).await.unwrap_err();
    assert!(failure.outcome_unknown, "{failure}");
    assert_eq!(profile.calls(&Verb::POST, REGISTRATION_PATH), 1);
    // A definite refusal without a reason is followed by requests that mean the same.
    for _ in 0..8 {
        profile.refuse_next(Verb::POST, REGISTRATION_PATH, page(400));
    }
    let failure = register(&peer).await.unwrap_err();
    assert_eq!(failure.code, "http_400");
    assert_eq!(failure.disposition, Disposition::Fail);
    assert!(profile.calls(&Verb::POST, REGISTRATION_PATH) <= 5);
}
