//! Against the double of Auth0.

use portico_sandbox::doubles::{Handle, Reply, auth0};

use super::*;
use crate::providers::Disposition;
use crate::providers::double::{Peer, ids, registered, set, updated, wanted};

const API: &str = "https://api.example/";
const CLIENTS: &str = "/api/v2/clients";

async fn tenant() -> (Handle<auth0::Auth0>, Peer) {
    let tenant = auth0::start(("portal", "portal secret"), API, &["a", "b"])
        .await
        .unwrap();
    let url = format!("{}/.well-known/openid-configuration", tenant.url());
    let mut peer = Peer::at(&url, Method::ClientCredentials)
        .await
        .with_management("portal", "portal secret");
    peer.options.api_audience = API.into();
    (tenant, peer)
}

async fn register(peer: &Peer) -> Result<RegisteredClient, Failure> {
    let prepared = Auth0.prepare(peer.session().site(), &wanted(&["a"]), &ids())?;
    Auth0.register(&peer.session(), &prepared).await
}

#[tokio::test]
async fn a_client_lives_and_dies() {
    let (tenant, peer) = tenant().await;
    assert!(!Auth0.registers_scopes(peer.session().site()));
    let client = registered(&Auth0, &peer, &[]).await;
    assert_eq!(client.granted.scopes(), Some(set(&[])));
    assert_eq!(client.granted.text("client_name"), Some("Weather app"));
    assert_eq!(
        peer.token_of(&client, "a", API).await.0,
        403,
        "no client grant yet"
    );

    let client = updated(&Auth0, &peer, client, &["a"]).await;
    assert_eq!(peer.token_of(&client, "a", API).await, (200, set(&["a"])));
    assert_eq!(peer.token_of(&client, "b", API).await.0, 403);
    let client = updated(&Auth0, &peer, client, &["a", "b"]).await;
    assert_eq!(peer.token_of(&client, "a b", API).await.0, 200);
    let read = Auth0.read(&peer.session(), &client).await.unwrap();
    assert_eq!(read.granted.scopes(), Some(set(&["a", "b"])));
    assert_eq!(Auth0.differences(&wanted(&["a", "b"]), &read.granted), []);
    assert_eq!(read.client_secret, None);
    assert_eq!(read.marker, Some(wanted(&[]).marker));
    let client = updated(&Auth0, &peer, client, &["b"]).await;
    assert_eq!(peer.token_of(&client, "a", API).await.0, 403);

    let rotated = Auth0
        .rotate_secret(&peer.session(), &client, &Secret::new("chosen"))
        .await
        .unwrap();
    assert_eq!(peer.token_of(&client, "b", API).await.0, 401);
    let client = rotated.merge_into(client, set(&["b"]));
    assert_eq!(peer.token_of(&client, "b", API).await.0, 200);
    assert_eq!(client.granted.scopes(), Some(set(&["b"])));

    Auth0.suspend(&peer.session(), &client).await.unwrap();
    assert_eq!(peer.token_of(&client, "b", API).await.0, 403);
    Auth0
        .resume(&peer.session(), &client, &wanted(&["b"]))
        .await
        .unwrap();
    assert_eq!(peer.token_of(&client, "b", API).await.0, 200);

    let client = updated(&Auth0, &peer, client, &[]).await;
    assert_eq!(tenant.double().granted(&client.client_id), None);
    assert_eq!(
        Auth0.delete(&peer.session(), &client).await,
        Ok(Deleted::Deleted)
    );
    assert_eq!(peer.token_of(&client, "b", API).await.0, 401);
    assert_eq!(tenant.double().client_count(), 0);
}

#[tokio::test]
async fn credentials_that_are_refused_pause_the_provider() {
    let (tenant, peer) = tenant().await;
    assert!(Auth0.try_authorization(&peer.session()).await.is_ok());
    let wrong = peer.with_management("portal", "wrong");
    let failure = register(&wrong).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::PauseProvider);
    assert_eq!(failure.code, "management_credentials_refused");
    assert!(Auth0.try_authorization(&wrong.session()).await.is_err());
    let mut static_token = wrong;
    static_token.method = Method::ApiToken;
    static_token.token = Some(Secret::new("expired"));
    let failure = register(&static_token).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::PauseProvider);
    assert_eq!(failure.code, "management_token_refused");
    assert_eq!(tenant.double().client_count(), 0);
}

#[tokio::test]
async fn what_became_of_a_lost_answer_is_found_by_the_marker() {
    let (tenant, peer) = tenant().await;
    let prepared = Auth0
        .prepare(peer.session().site(), &wanted(&[]), &ids())
        .unwrap();
    let nothing = Auth0.reconcile(&peer.session(), &prepared).await.unwrap();
    assert!(matches!(nothing, Reconciled::NotThere));
    // Others may have the same name.
    let mut other = wanted(&[]);
    other.marker.attempt = 7;
    let others = Auth0
        .prepare(peer.session().site(), &other, &ids())
        .unwrap();
    Auth0.register(&peer.session(), &others).await.unwrap();
    tenant.lose_next(Verb::POST, CLIENTS);
    let failure = Auth0
        .register(&peer.session(), &prepared)
        .await
        .unwrap_err();
    assert!(failure.outcome_unknown, "{failure}");
    let found = Auth0.reconcile(&peer.session(), &prepared).await.unwrap();
    let Reconciled::Registered(found) = found else {
        panic!("{found:?}")
    };
    let client = updated(&Auth0, &peer, found.into_known(set(&[])), &["a"]).await;
    assert_eq!(peer.token_of(&client, "a", API).await.0, 200);
    assert_eq!(tenant.double().client_count(), 2);
}

#[tokio::test]
async fn a_scope_that_the_api_does_not_have_is_named() {
    let (_tenant, peer) = tenant().await;
    let client = registered(&Auth0, &peer, &[]).await;
    let failure = Auth0
        .update(&peer.session(), &client, &wanted(&["nowhere"]))
        .await
        .unwrap_err();
    assert_eq!(failure.code, "scope_unknown_at_provider");
    assert_eq!(failure.disposition, Disposition::Fail);
}

#[tokio::test]
async fn what_auth0_would_refuse_is_refused_before_it_is_sent() {
    let (tenant, mut peer) = tenant().await;
    peer.options.api_audience.clear();
    assert_eq!(
        register(&peer).await.unwrap_err().code,
        "api_audience_missing"
    );
    let mut angled = wanted(&[]);
    angled.name = "<b>App</b>".into();
    peer.options.api_audience = API.into();
    let prepared = Auth0
        .prepare(peer.session().site(), &angled, &ids())
        .unwrap();
    let made = Auth0.register(&peer.session(), &prepared).await.unwrap();
    assert_eq!(made.granted.text("client_name"), Some("bApp/b"));
    assert_eq!(tenant.double().client_count(), 1);
}

#[tokio::test]
async fn open_registration_is_for_people_who_sign_in() {
    let (tenant, mut peer) = tenant().await;
    peer.method = Method::None;
    assert_eq!(
        register(&peer).await.unwrap_err().code,
        "grant_type_unsupported"
    );
    let mut web = wanted(&[]);
    web.grant_types = set(&["authorization_code", "refresh_token"]);
    web.redirect_uris = vec!["https://app.example/cb".into()];
    web.token_endpoint_auth_method = "client_secret_post".into();
    let prepared = Auth0.prepare(peer.session().site(), &web, &ids()).unwrap();
    let failure = Auth0
        .register(&peer.session(), &prepared)
        .await
        .unwrap_err();
    assert_eq!(failure.status, Some(404), "closed: {failure}");
    tenant.double().open();
    let made = Auth0.register(&peer.session(), &prepared).await.unwrap();
    assert!(made.client_secret.is_some());
    let found = Auth0.differences(&web, &made.granted);
    assert!(
        found.iter().any(|one| one.member == "is_first_party"),
        "{found:?}"
    );
    let client = made.into_known(set(&[]));
    assert!(!Auth0.can_manage(&peer.session(), &client));
    let failure = Auth0.delete(&peer.session(), &client).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::Unmanageable);
}

#[tokio::test]
async fn deleted_by_somebody_else_is_gone() {
    let (tenant, peer) = tenant().await;
    let client = registered(&Auth0, &peer, &[]).await;
    tenant.double().remove(&client.client_id);
    let session = peer.session();
    for failure in [
        Auth0.read(&session, &client).await.unwrap_err(),
        Auth0
            .update(&session, &client, &wanted(&["a"]))
            .await
            .unwrap_err(),
        Auth0
            .rotate_secret(&session, &client, &Secret::new("x"))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(failure.disposition, Disposition::Gone, "{failure}");
    }
    // Auth0 deletes what is not there, too.
    assert_eq!(Auth0.delete(&session, &client).await, Ok(Deleted::Deleted));
}

#[tokio::test]
async fn errors_of_every_shape_are_understood() {
    let (tenant, peer) = tenant().await;
    tenant.refuse_next(
        Verb::POST,
        CLIENTS,
        Reply::text(400, "text/plain", "Bad Request"),
    );
    let failure = register(&peer).await.unwrap_err();
    assert_eq!(failure.to_string(), "http_400: Bad Request");
    tenant.refuse_next(Verb::POST, CLIENTS, auth0::too_many(25));
    let failure = register(&peer).await.unwrap_err();
    assert_eq!(
        (failure.code.as_str(), failure.disposition),
        ("too_many_requests", Disposition::Retry)
    );
    let pause = failure.retry_after.unwrap().as_secs();
    assert!((23..=26).contains(&pause), "{pause}");
    let why = "Insufficient scope, expected any of: create:clients";
    let lacking = auth0::error(403, "Forbidden", why, "insufficient_scope");
    tenant.refuse_next(Verb::POST, CLIENTS, lacking);
    let failure = register(&peer).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::PauseProvider);
    assert_eq!(failure.description, why);
    tenant.refuse_next(Verb::POST, CLIENTS, Reply::text(500, "text/html", "<html>"));
    assert!(register(&peer).await.unwrap_err().outcome_unknown);
    assert_eq!(tenant.double().client_count(), 0);
}

#[tokio::test]
async fn a_search_reads_every_page_and_not_one_more() {
    let (tenant, peer) = tenant().await;
    let of = |attempt| {
        let mut wanted = wanted(&[]);
        wanted.marker.attempt = attempt;
        wanted
    };
    for attempt in 1..=101 {
        let prepared = Auth0.prepare(peer.session().site(), &of(attempt), &ids());
        let (session, prepared) = (peer.session(), prepared.unwrap());
        Auth0.register(&session, &prepared).await.unwrap();
    }
    let find = async |attempt| {
        let marker = of(attempt).marker;
        listing::find_marked(&Auth0, &peer.session(), &marker).await
    };
    assert_eq!(find(102).await, Ok(None));
    assert_eq!(tenant.calls(&Verb::GET, CLIENTS), 2, "pages");
    assert!(find(101).await.unwrap().is_some());
    let mut open = peer;
    open.method = Method::None;
    let unlisted = Auth0.list_clients(&open.session(), None).await;
    assert_eq!(unlisted.unwrap_err().code, UNLISTED);
}
