//! Against the double of Okta.

use http::Method as Verb;
use portico_sandbox::doubles::{Handle, Reply, okta};
use serde_json::json;

use super::*;
use crate::providers::Method as Way;
use crate::providers::double::{Peer, ids, registered, set, updated, wanted};
use crate::providers::{Disposition, Marker};

const CLIENTS: &str = "/oauth2/v1/clients";

async fn org() -> (Handle<okta::Okta>, Peer) {
    let org = okta::start("api-token", &["a", "b"]).await.unwrap();
    let url = format!(
        "{}/oauth2/default/.well-known/openid-configuration",
        org.url()
    );
    let mut peer = Peer::at(&url, Way::ApiToken).await;
    peer.token = Some(Secret::new("api-token"));
    (org, peer)
}

async fn register(peer: &Peer) -> Result<RegisteredClient, Failure> {
    let prepared = Okta.prepare(peer.session().site(), &wanted(&["a"]), &ids())?;
    Okta.register(&peer.session(), &prepared).await
}

#[tokio::test]
async fn a_client_lives_and_dies() {
    let (org, peer) = org().await;
    let client = registered(&Okta, &peer, &["a"]).await;
    assert_eq!(peer.token_of(&client, "a", "").await, (200, set(&["a"])));
    let id = client.client_id.clone();
    let before = org.double().client(&id).unwrap();
    assert_eq!(before["application_type"], "service");
    assert_eq!(before["response_types"], json!(["token"]));
    assert!(before.get("scope").is_none() && before.get("software_id").is_none());

    let client = updated(&Okta, &peer, client, &["a", "b"]).await;
    assert_eq!(
        org.double().client(&id).unwrap()["client_name"],
        before["client_name"]
    );
    let rotated = Okta
        .rotate_secret(&peer.session(), &client, &chosen("second"))
        .await
        .unwrap();
    assert!(rotated.keeps_old_secret);
    assert_eq!(peer.token_of(&client, "a", "").await.0, 200);
    let before = client.clone();
    let client = rotated.merge_into(client, set(&["a", "b"]));
    assert_eq!(client.client_secret, Some(chosen("second")));
    assert_eq!(peer.token_of(&client, "a b", "").await.0, 200);
    Okta.retire_old_secret(&peer.session(), &client)
        .await
        .unwrap();
    assert_eq!(peer.token_of(&before, "a", "").await.0, 401);
    assert_eq!(peer.token_of(&client, "a b", "").await.0, 200);

    Okta.suspend(&peer.session(), &client).await.unwrap();
    assert_eq!(peer.token_of(&client, "a", "").await.0, 401);
    Okta.resume(&peer.session(), &client, &wanted(&["a", "b"]))
        .await
        .unwrap();
    assert_eq!(peer.token_of(&client, "a", "").await.0, 200);

    let deleted = Okta.delete(&peer.session(), &client).await;
    assert_eq!(deleted, Ok(Deleted::Deleted));
    assert_eq!(peer.token_of(&client, "a", "").await.0, 401);
    assert_eq!(org.double().client_count(), 0);
}

/// Long enough for Okta.
fn chosen(name: &str) -> Secret {
    Secret::new(format!("a-chosen-secret-{name}"))
}

async fn rotated(peer: &Peer, client: KnownClient, name: &str) -> KnownClient {
    let rotated = Okta
        .rotate_secret(&peer.session(), &client, &chosen(name))
        .await
        .unwrap();
    rotated.merge_into(client, set(&["a"]))
}

#[tokio::test]
async fn a_third_secret_ends_the_first() {
    let (org, peer) = org().await;
    let first = registered(&Okta, &peer, &["a"]).await;
    let second = rotated(&peer, first.clone(), "second").await;
    let third = rotated(&peer, second.clone(), "third").await;
    let mut works = Vec::new();
    for client in [&first, &second, &third] {
        works.push(peer.token_of(client, "a", "").await.0);
    }
    assert_eq!(works, [401, 200, 200]);
    // Ended already, by an admin of Okta: nothing is left to do.
    for _ in 0..2 {
        Okta.retire_old_secret(&peer.session(), &third)
            .await
            .unwrap();
        assert_eq!(org.double().secrets().len(), 1);
    }
    assert_eq!(peer.token_of(&third, "a", "").await.0, 200);
}

#[tokio::test]
async fn a_rotation_whose_answer_got_lost_is_repeated() {
    let (org, peer) = org().await;
    let client = registered(&Okta, &peer, &["a"]).await;
    let path = format!("/api/v1/apps/{}/credentials/secrets", client.client_id);
    org.lose_next(Verb::POST, &path);
    let failure = Okta
        .rotate_secret(&peer.session(), &client, &chosen("new"))
        .await
        .unwrap_err();
    assert!(failure.outcome_unknown, "{failure}");
    // Also where the look after it fails.
    let look = format!("{CLIENTS}/{}", client.client_id);
    org.refuse_next(Verb::GET, &look, Reply::empty(503));
    let failure = Okta
        .rotate_secret(&peer.session(), &client, &chosen("new"))
        .await
        .unwrap_err();
    assert!(failure.outcome_unknown, "{failure}");
    let after = rotated(&peer, client.clone(), "new").await;
    assert_eq!(org.double().secrets().len(), 2);
    assert_eq!(peer.token_of(&client, "a", "").await.0, 200);
    assert_eq!(peer.token_of(&after, "a", "").await.0, 200);
    assert_eq!(org.calls(&Verb::POST, &path), 1);
}

#[tokio::test]
async fn a_secret_that_somebody_else_gave_is_not_ended() {
    let (org, peer) = org().await;
    let client = registered(&Okta, &peer, &["a"]).await;
    let stranger = KnownClient {
        client_secret: Some(chosen("gone meanwhile")),
        ..client.clone()
    };
    let failure = Okta
        .retire_old_secret(&peer.session(), &stranger)
        .await
        .unwrap_err();
    assert_eq!(failure.code, "secret_not_at_provider");
    assert_eq!(peer.token_of(&client, "a", "").await.0, 200);
    org.double().remove(&client.client_id);
    let failure = Okta
        .retire_old_secret(&peer.session(), &client)
        .await
        .unwrap_err();
    assert_eq!(failure.disposition, Disposition::Gone);
}

#[tokio::test]
async fn a_token_that_may_not_add_secrets_still_rotates() {
    let (org, peer) = org().await;
    org.double().hide_secrets();
    let before = registered(&Okta, &peer, &["a"]).await;
    let rotated = Okta
        .rotate_secret(&peer.session(), &before, &chosen("new"))
        .await
        .unwrap();
    assert!(!rotated.keeps_old_secret);
    let after = rotated.merge_into(before.clone(), set(&["a"]));
    assert_eq!(peer.token_of(&before, "a", "").await.0, 401);
    assert_eq!(peer.token_of(&after, "a", "").await.0, 200);
    // A token that could once and cannot any more has not ended anything.
    let failure = Okta
        .retire_old_secret(&peer.session(), &after)
        .await
        .unwrap_err();
    assert_eq!(failure.code, "secrets_not_open");
}

#[tokio::test]
async fn a_wrong_api_token_pauses_the_provider_and_is_not_taken_for_a_missing_client() {
    let (org, mut peer) = org().await;
    let client = registered(&Okta, &peer, &["a"]).await;
    org.double().set_api_token("another");
    let failure = register(&peer).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::PauseProvider);
    assert_eq!(failure.code, "api_token_refused");
    assert_eq!(failure.description, "Invalid token provided");
    let failure = Okta.read(&peer.session(), &client).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::Unmanageable);
    let failure = Okta.delete(&peer.session(), &client).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::Unmanageable);
    assert!(Okta.try_authorization(&peer.session()).await.is_err());
    peer.token = Some(Secret::new("another"));
    assert!(Okta.try_authorization(&peer.session()).await.is_ok());
    // A bearer is not what Okta asks for.
    assert_eq!(org.double().client_count(), 1);
}

#[tokio::test]
async fn what_became_of_a_lost_answer_is_found_by_the_marker() {
    let (org, peer) = org().await;
    let prepared = Okta
        .prepare(peer.session().site(), &wanted(&["a"]), &ids())
        .unwrap();
    let nothing = Okta.reconcile(&peer.session(), &prepared).await.unwrap();
    assert!(matches!(nothing, Reconciled::NotThere));
    org.lose_next(Verb::POST, CLIENTS);
    let failure = Okta.register(&peer.session(), &prepared).await.unwrap_err();
    assert!(failure.outcome_unknown, "{failure}");
    let found = Okta.reconcile(&peer.session(), &prepared).await.unwrap();
    let Reconciled::Registered(found) = found else {
        panic!("{found:?}")
    };
    let client = found.into_known(set(&["a"]));
    assert_eq!(peer.token_of(&client, "a", "").await.0, 200);
    // The name is taken now, and by whom is known.
    let again = Okta.register(&peer.session(), &prepared).await.unwrap();
    assert_eq!(again.client_id, client.client_id);
    assert_eq!(org.double().client_count(), 1);
}

#[tokio::test]
async fn a_search_reads_every_page() {
    let (org, peer) = org().await;
    for attempt in 1..=205 {
        let mut wanted = wanted(&[]);
        wanted.marker.attempt = attempt;
        let prepared = Okta
            .prepare(peer.session().site(), &wanted, &ids())
            .unwrap();
        Okta.register(&peer.session(), &prepared).await.unwrap();
    }
    let of = |attempt| Marker {
        attempt,
        ..wanted(&[]).marker
    };
    let find = async |attempt| listing::find_marked(&Okta, &peer.session(), &of(attempt)).await;
    assert_eq!(find(206).await, Ok(None));
    assert_eq!(org.calls(&Verb::GET, CLIENTS), 2, "pages");
    for attempt in [1, 20, 205] {
        assert!(find(attempt).await.unwrap().is_some(), "{attempt}");
    }
}

/// Whatever the application is called now: the name in front of the marker is changed, or erased.
#[tokio::test]
async fn a_name_plays_no_part_in_a_search() {
    let (org, peer) = org().await;
    let client = registered(&Okta, &peer, &["a"]).await;
    let renamed = WantedClient {
        name: "Erased application".into(),
        ..wanted(&["a"])
    };
    let prepared = Okta
        .prepare(peer.session().site(), &renamed, &ids())
        .unwrap();
    let found = Okta.reconcile(&peer.session(), &prepared).await.unwrap();
    let Reconciled::Registered(found) = found else {
        panic!("{found:?}")
    };
    assert_eq!(found.client_id, client.client_id);
    assert_eq!(found.marker, Some(renamed.marker));
    assert_eq!(org.double().client_count(), 1);
}

#[tokio::test]
async fn the_kind_of_application_decides() {
    let (_org, peer) = org().await;
    let site = || peer.session().site().endpoints.clone();
    assert!(site().registration_endpoint.as_str().ends_with(CLIENTS));
    let kind = |change: fn(&mut WantedClient)| {
        let mut wanted = wanted(&[]);
        change(&mut wanted);
        let session = peer.session();
        let prepared = Okta.prepare(session.site(), &wanted, &ids());
        prepared
            .map(|prepared| {
                prepared.body["application_type"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .map_err(|failure| failure.code)
    };
    assert_eq!(kind(|_| {}), Ok("service".into()));
    let web = kind(|wanted| wanted.grant_types = set(&["authorization_code"]));
    assert_eq!(web, Ok("web".into()));
    let browser = kind(|wanted| {
        wanted.grant_types = set(&["authorization_code"]);
        wanted.token_endpoint_auth_method = "none".into();
    });
    assert_eq!(browser, Ok("browser".into()));
    let unfit = Err("okta_application_type_unfit".into());
    let web = kind(|wanted| wanted.okta_application_type = "web".into());
    assert_eq!(web, unfit);
    let service = kind(|wanted| {
        wanted.grant_types = set(&["authorization_code", "client_credentials"]);
        wanted.okta_application_type = "service".into();
    });
    assert_eq!(service, unfit);
}

#[tokio::test]
async fn deleted_by_somebody_else_has_two_faces() {
    let (org, peer) = org().await;
    let client = registered(&Okta, &peer, &["a"]).await;
    org.double().remove(&client.client_id);
    let session = peer.session();
    // 401 invalid_client at most calls, 404 in Okta's own format at the rotation.
    let read = Okta.read(&session, &client).await.unwrap_err();
    let update = Okta
        .update(&session, &client, &wanted(&["a"]))
        .await
        .unwrap_err();
    let rotate = Okta
        .rotate_secret(&session, &client, &Secret::new("x"))
        .await
        .unwrap_err();
    for failure in [&read, &update, &rotate] {
        assert_eq!(failure.disposition, Disposition::Gone, "{failure}");
    }
    assert_eq!((read.status, rotate.status), (Some(401), Some(404)));
    assert_eq!(
        Okta.delete(&session, &client).await,
        Ok(Deleted::AlreadyGone)
    );
}

#[tokio::test]
async fn errors_of_every_shape_are_understood() {
    let (org, peer) = org().await;
    org.refuse_next(Verb::POST, CLIENTS, okta::too_many(40));
    let failure = register(&peer).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::Retry);
    assert_eq!(failure.code, "E0000047");
    let pause = failure.retry_after.unwrap().as_secs();
    assert!((38..=41).contains(&pause), "{pause}");
    assert!(!failure.outcome_unknown);

    let page = Reply::text(400, "text/html", "<html>no</html>");
    org.refuse_next(Verb::POST, CLIENTS, page);
    let failure = register(&peer).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::Fail);
    org.refuse_next(Verb::POST, CLIENTS, Reply::empty(500));
    let failure = register(&peer).await.unwrap_err();
    assert!(failure.outcome_unknown && failure.disposition == Disposition::Retry);
    assert_eq!(org.double().client_count(), 0);
}

#[tokio::test]
async fn an_update_carries_all_settings_and_a_read_no_secret() {
    let (org, peer) = org().await;
    let client = registered(&Okta, &peer, &["a"]).await;
    let read = Okta.read(&peer.session(), &client).await.unwrap();
    assert_eq!(read.client_secret, None);
    let preview = Okta
        .preview_update(peer.session().site(), &client, &wanted(&["b"]))
        .unwrap();
    assert_eq!(preview.method, "PUT");
    assert!(
        preview.body.get("client_secret").is_none(),
        "{}",
        preview.body
    );
    let renamed = WantedClient {
        name: "Another name".into(),
        ..wanted(&["a"])
    };
    Okta.update(&peer.session(), &client, &renamed)
        .await
        .unwrap();
    let name = org.double().client(&client.client_id).unwrap()["client_name"].clone();
    assert_eq!(name, json!(format!("Another name [{}]", renamed.marker)));
}

#[tokio::test]
async fn scopes_are_said_to_be_elsewhere() {
    let (_org, peer) = org().await;
    let client = registered(&Okta, &peer, &["a"]).await;
    let found = Okta.differences(&wanted(&["a"]), &client.granted);
    let members: Vec<&str> = found.iter().map(|one| one.member.as_str()).collect();
    assert_eq!(members, ["scope"]);
    assert!(found[0].consequence.contains("access policies"));
    assert_eq!(Okta.differences(&wanted(&[]), &client.granted), []);
}
