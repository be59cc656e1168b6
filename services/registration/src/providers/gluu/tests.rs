//! Against the double of Gluu.

use portico_sandbox::doubles::{Handle, gluu};
use portico_vault::Secret;

use super::*;
use crate::providers::Deleted;
use crate::providers::double::{Peer, ids, registered, set, updated, wanted};

async fn server(change: impl FnOnce(&mut gluu::Policy)) -> (Handle<gluu::Gluu>, Peer) {
    let mut policy = gluu::Policy {
        scopes: set(&["a", "b"]),
        closed_scopes: set(&["closed"]),
        ..gluu::Policy::default()
    };
    change(&mut policy);
    let server = gluu::start(policy).await.unwrap();
    let url = format!("{}/.well-known/openid-configuration", server.url());
    let peer = Peer::at(&url, Method::None).await;
    (server, peer)
}

#[tokio::test]
async fn a_client_lives_and_dies() {
    let (server, peer) = server(|_| {}).await;
    let client = registered(&Gluu, &peer, &["a"]).await;
    let uri = client.registration_client_uri.clone().unwrap();
    assert!(uri.query().is_some());
    assert_eq!(peer.token_of(&client, "a", "").await, (200, set(&["a"])));
    assert_eq!(peer.token_of(&client, "b", "").await, (200, set(&[])));
    let client = updated(&Gluu, &peer, client, &["a", "b"]).await;
    assert_eq!(peer.token_of(&client, "a b", "").await.1, set(&["a", "b"]));
    let kept = server.double().client(&client.client_id).unwrap();
    assert_eq!(kept["subject_type"], "pairwise");
    assert_eq!(kept["access_token_as_jwt"], true);
    let client = updated(&Gluu, &peer, client, &["b"]).await;
    assert_eq!(peer.token_of(&client, "a b", "").await.1, set(&["b"]));
    let failure = Gluu
        .rotate_secret(&peer.session(), &client, &Secret::new("x"))
        .await
        .unwrap_err();
    assert_eq!(failure.code, "secret_rotation_unsupported");
    assert_eq!(
        Gluu.delete(&peer.session(), &client).await,
        Ok(Deleted::Deleted)
    );
    assert_eq!(peer.token_of(&client, "b", "").await.0, 401);
    let again = Gluu.delete(&peer.session(), &client).await;
    assert_eq!(again.unwrap_err().code, "client_perhaps_gone");
}

#[tokio::test]
async fn what_is_left_out_and_what_ends_is_said() {
    let (_server, peer) = server(|policy| policy.lifetime_seconds = 3600).await;
    let client = registered(&Gluu, &peer, &["a", "closed"]).await;
    let found = Gluu.differences(&wanted(&["a", "closed"]), &client.granted);
    let members: Vec<&str> = found.iter().map(|one| one.member.as_str()).collect();
    assert_eq!(members, ["scope", "client_secret_expires_at"]);
    assert_eq!(found[0].granted, "a");
    assert!(found[1].consequence.contains("the client, and not only"));
}

#[tokio::test]
async fn a_software_statement_is_sent_and_never_shown() {
    let statement = "eyJhbGciOiJub25lIn0.e30.";
    let (server, mut peer) =
        server(|policy| policy.software_statement = Some(statement.into())).await;
    let prepared = Gluu
        .prepare(peer.session().site(), &wanted(&["a"]), &ids())
        .unwrap();
    let failure = Gluu.register(&peer.session(), &prepared).await.unwrap_err();
    assert_eq!(failure.code, "invalid_software_statement");
    peer.software_statement = Some(Secret::new(statement));
    let prepared = Gluu
        .prepare(peer.session().site(), &wanted(&["a"]), &ids())
        .unwrap();
    let shown = prepared.preview().body;
    assert_eq!(shown["software_statement"], "[redacted]");
    Gluu.register(&peer.session(), &prepared).await.unwrap();
    assert_eq!(server.double().client_count(), 1);
}

#[tokio::test]
async fn a_client_that_somebody_else_deleted_may_be_gone() {
    let (server, peer) = server(|_| {}).await;
    let client = registered(&Gluu, &peer, &["a"]).await;
    server.double().remove(&client.client_id);
    let failure = Gluu
        .update(&peer.session(), &client, &wanted(&["a"]))
        .await
        .unwrap_err();
    assert_eq!(failure.code, "client_perhaps_gone");
    let failure = Gluu.read(&peer.session(), &client).await.unwrap_err();
    assert_eq!(failure.code, "client_perhaps_gone");
}

#[tokio::test]
async fn an_authentication_method_that_it_does_not_have_is_named_before_it_is_sent() {
    let (_server, peer) = server(|_| {}).await;
    for method in ["tls_client_auth", "private_key_jwt"] {
        let mut wanted = wanted(&["a"]);
        wanted.token_endpoint_auth_method = method.into();
        let failure = Gluu
            .prepare(peer.session().site(), &wanted, &ids())
            .unwrap_err();
        assert_eq!(failure.code, "auth_method_unsupported", "{method}");
    }
}
