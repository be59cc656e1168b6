//! Read, update and delete (RFC 7592), and the whole life of a client.

use super::*;

#[tokio::test]
async fn an_update_sends_everything_back_with_what_is_wanted() {
    let fixture = Fixture::start(|_| {
        reply(
            200,
            json!({
                "client_id": "c1", "scope": "a b", "registration_access_token": "rat2", "subject_type": "public",
            }),
        )
    })
    .await;
    let known = fixture.known();
    let updated = Other
        .update(&fixture.session(), &known, &wanted(&["a", "b"]))
        .await
        .unwrap();
    assert_eq!(updated.registration_access_token, Some(Secret::new("rat2")));
    let kept: Vec<Step> = fixture
        .spool
        .kept
        .lock()
        .unwrap()
        .iter()
        .map(|kept| kept.step)
        .collect();
    assert_eq!(kept, [Step::Read, Step::Update]);

    let seen = &fixture.server.seen()[1];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("PUT", "/manage?client=c1")
    );
    assert_eq!(seen.authorization(), "Bearer rat2");
    assert_eq!(
        seen.json(),
        json!({
            "client_id": "c1", "client_secret": "s1", "subject_type": "public",
            "client_name": "Weather app", "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic", "scope": "a b",
        })
    );
    let preview = Other
        .preview_update(fixture.site(), &known, &wanted(&["a", "b"]))
        .unwrap();
    let mut sent = seen.json();
    sent["client_secret"] = "[redacted]".into();
    assert_eq!((preview.method, preview.body), ("PUT", sent));

    let merged = updated.merge_into(known, set(&["a", "b"]));
    assert_eq!(merged.client_secret, Some(Secret::new("s1")));
    assert_eq!(
        merged.registration_client_uri.unwrap().query(),
        Some("client=c1")
    );
}

#[tokio::test]
async fn a_read_never_brings_a_secret_but_may_rotate_the_token() {
    let fixture = Fixture::start(|_| {
        reply(
            200,
            json!({"client_id": "c1", "client_secret": "$2y$hash", "registration_access_token": "rat2"}),
        )
    })
    .await;
    let read = Other
        .read(&fixture.session(), &fixture.known())
        .await
        .unwrap();
    assert_eq!(read.client_secret, None);
    assert_eq!(read.registration_access_token, Some(Secret::new("rat2")));
    assert_eq!(fixture.spool.kept.lock().unwrap()[0].step, Step::Read);
}

#[tokio::test]
async fn an_answer_about_another_client_is_not_taken() {
    let fixture = Fixture::start(|_| reply(200, json!({"client_id": "c2"}))).await;
    let failure = Other
        .read(&fixture.session(), &fixture.known())
        .await
        .unwrap_err();
    assert_eq!(failure.code, "provider_answer_invalid");
}

#[tokio::test]
async fn a_refused_deletion_is_looked_into() {
    for (token_status, token_body, expected) in [
        // It was disabled, or its secret was regenerated: that says nothing of whether it lives.
        (
            401,
            json!({"error": "invalid_client"}),
            Err(Disposition::Unmanageable),
        ),
        (
            200,
            json!({"access_token": "t"}),
            Err(Disposition::Unmanageable),
        ),
        (
            400,
            json!({"error": "invalid_scope"}),
            Err(Disposition::Unmanageable),
        ),
        (500, json!({}), Err(Disposition::Unmanageable)),
    ] {
        let answer = reply(token_status, token_body);
        let fixture = Fixture::start(move |seen: &Seen| match seen.target.as_str() {
            "/token" => answer.clone(),
            _ => reply(401, json!({"error": "invalid_token"})),
        })
        .await;
        let deleted = Other.delete(&fixture.session(), &fixture.known()).await;
        assert_eq!(deleted.map_err(|failure| failure.disposition), expected);
    }
}

/// Calls that carry only the registration access token: the provider knows the secret, too.
#[tokio::test]
async fn no_answer_tells_a_secret_that_is_held_of_the_client() {
    let fixture = Fixture::start(|seen| match seen.method.as_str() {
        "GET" => reply(
            200,
            json!({
                "client_id": "c1", "software_id": "kept", "software_version": "held/secret-7q",
                "tos_uri": "https://a.example/?s=held%2Fsecret-7q",
            }),
        ),
        _ => reply(
            400,
            json!({"error": "invalid_request", "error_description": "c1 has held/secret-7q and held-token-8w"}),
        ),
    })
    .await;
    let known = KnownClient {
        client_secret: Some(Secret::new("held/secret-7q")),
        registration_access_token: Some(Secret::new("held-token-8w")),
        ..fixture.known()
    };
    let session = fixture.session().about(&known);
    let read = Other.read(&session, &known).await.unwrap();
    let members: Vec<&String> = read.granted.members().keys().collect();
    assert_eq!(members, ["client_id", "software_id"]);
    for failure in [
        Other.delete(&session, &known).await.unwrap_err(),
        Other
            .update(&session, &known, &wanted(&["a"]))
            .await
            .unwrap_err(),
    ] {
        assert!(
            failure
                .description
                .contains("c1 has [redacted] and [redacted]"),
            "{failure}"
        );
    }
}

/// It has no credentials that could be asked with.
#[tokio::test]
async fn a_public_client_whose_token_is_refused_may_be_gone() {
    let fixture = Fixture::start(|_| reply(401, json!({"error": "invalid_token"}))).await;
    let public = KnownClient {
        client_secret: None,
        ..fixture.known()
    };
    let failure = Other.delete(&fixture.session(), &public).await.unwrap_err();
    assert_eq!(failure.code, "client_perhaps_gone");
    assert!(
        failure.description.contains("any credentials of its own"),
        "{failure}"
    );
    assert_eq!(fixture.server.seen().len(), 1);
}

/// A fetched secret is one only when the token endpoint took it, and until then what was kept is a read.
#[tokio::test]
async fn a_secret_is_fetched_by_a_read() {
    for (told, taken) in [("s2", true), ("$2y$digest", false)] {
        let fixture = Fixture::start(move |seen: &Seen| match (seen.target.as_str(), taken) {
            ("/token", true) => reply(200, json!({"access_token": "t"})),
            ("/token", false) => reply(401, json!({"error": "invalid_client"})),
            _ => reply(200, json!({"client_id": "c1", "client_secret": told})),
        })
        .await;
        let fetched = Other
            .fetch_secret(&fixture.session(), &fixture.known())
            .await;
        let secret = fetched.unwrap().client_secret;
        assert_eq!(secret, taken.then(|| Secret::new(told)));
        assert_eq!(fixture.spool.kept.lock().unwrap()[0].step, Step::Read);
    }
}

#[tokio::test]
async fn deletes_and_finds_deleted() {
    for (status, expected) in [
        (204, Deleted::Deleted),
        (200, Deleted::Deleted),
        (410, Deleted::AlreadyGone),
    ] {
        let fixture = Fixture::start(move |_| Reply(status, vec![], String::new())).await;
        let deleted = Other
            .delete(&fixture.session(), &fixture.known())
            .await
            .unwrap();
        assert_eq!(deleted, expected);
        assert_eq!(fixture.server.seen()[0].method, "DELETE");
    }
}

#[tokio::test]
async fn a_page_instead_of_a_deletion_is_no_deletion() {
    for (there, expected) in [
        (true, Err(Disposition::Retry)),
        (false, Ok(Deleted::Deleted)),
    ] {
        let fixture = Fixture::start(move |seen: &Seen| match (seen.target.as_str(), there) {
            ("/token", true) => reply(400, json!({"error": "invalid_scope"})),
            ("/token", false) => reply(401, json!({"error": "invalid_client"})),
            _ => Reply(200, vec![], "<h1>Welcome</h1>".to_owned()),
        })
        .await;
        let deleted = Other.delete(&fixture.session(), &fixture.known()).await;
        assert_eq!(deleted.map_err(|failure| failure.disposition), expected);
    }
}

#[tokio::test]
async fn what_it_cannot_do_it_says() {
    let fixture = Fixture::start(|_| reply(500, json!({}))).await;
    let prepared = Other.prepare(fixture.site(), &wanted(&[]), &ids()).unwrap();
    assert!(matches!(
        Other.reconcile(&fixture.session(), &prepared).await,
        Ok(Reconciled::Unknown)
    ));
    let known = fixture.known();
    let failure = Other
        .rotate_secret(&fixture.session(), &known, &Secret::new("n"))
        .await;
    assert_eq!(failure.unwrap_err().code, "secret_rotation_unsupported");
    assert_eq!(fixture.server.seen().len(), 0);
}

/// The whole life of a client at the small provider of the demo.
#[tokio::test]
async fn a_client_lives_and_dies() {
    use portico_sandbox::identity_provider::{Settings, start};
    let provider = start(Settings {
        scopes: vec!["a".into(), "b".into()],
        initial_access_token: Some("initial-token".into()),
        initial_access_token_uses: Some(1),
        ..Settings::default()
    })
    .await
    .unwrap();
    provider.behave(|behaviour| behaviour.rotate_on_read = true);
    let mut fixture = Fixture::start(|_| reply(500, json!({}))).await;
    let outgoing = crate::providers::double::outgoing();
    let fetch = crate::providers::session::Fetch {
        outgoing: &outgoing,
        skip_tls_verify: false,
        trusted_certificates: "",
    };
    let url = provider.well_known_url();
    use crate::providers::discovery::{Overrides, discover};
    fixture.endpoints = discover(fetch, &url, Overrides::default()).await.unwrap();

    let registered = register(&fixture).await.unwrap();
    assert_eq!(differences(&wanted(&["a", "b"]), &registered.granted), []);
    let mut known = registered.into_known(set(&["a", "b"]));
    for scopes in [&["a"][..], &["a", "b"], &[]] {
        let read = Other.read(&fixture.session(), &known).await.unwrap();
        assert!(
            read.registration_access_token.is_some(),
            "it rotates on every read"
        );
        let scopes_before = known.scopes.clone();
        known = read.merge_into(known, scopes_before);
        let updated = Other
            .update(&fixture.session(), &known, &wanted(scopes))
            .await
            .unwrap();
        known = updated.merge_into(known, set(scopes));
        assert_eq!(known.granted.scopes(), Some(set(scopes)));
    }
    let failure = Other
        .update(&fixture.session(), &known, &wanted(&["nowhere"]))
        .await
        .unwrap_err();
    assert_eq!(failure.disposition, Disposition::Fail, "{failure}");
    // The token that the read before it brought is in the spool.
    let read = fixture.spool.kept.lock().unwrap().last().cloned().unwrap();
    let read = Other.parse(&fixture.endpoints, &read).unwrap();
    known = read.merge_into(known, set(&[]));
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(
        failure.disposition,
        Disposition::PauseProvider,
        "used up: {failure}"
    );

    assert_eq!(
        Other.delete(&fixture.session(), &known).await,
        Ok(Deleted::Deleted)
    );
    assert_eq!(provider.client_count(), 0);
    let session = fixture.session();
    let again = Other.delete(&session, &known).await.unwrap_err();
    let updated = Other.update(&session, &known, &wanted(&[])).await;
    for failure in [again, updated.unwrap_err()] {
        assert_eq!(failure.code, "client_perhaps_gone", "{failure}");
        assert_eq!(failure.disposition, Disposition::Unmanageable);
    }
}
