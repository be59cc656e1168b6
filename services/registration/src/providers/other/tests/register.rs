//! Registration (RFC 7591), and what is taken from the answer.

use super::*;

#[tokio::test]
async fn registers_and_spools_before_it_reads() {
    let fixture = Fixture::start(|seen| {
        let host = seen.headers["host"].to_str().unwrap();
        reply(
            201,
            json!({
                "client_id": "c1", "client_secret": "s1", "registration_access_token": "r1",
                "registration_client_uri": format!("http://{host}/manage?client=c1"),
                "client_secret_expires_at": 7, "scope": "b a", "echoed_by_provider": true,
            }),
        )
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    assert_eq!(registered.client_id, "c1");
    assert_eq!(registered.client_secret, Some(Secret::new("s1")));
    assert_eq!(
        registered.registration_access_token,
        Some(Secret::new("r1"))
    );
    assert_eq!(registered.client_secret_expires_at, 7);
    let uri = registered.registration_client_uri.unwrap();
    assert_eq!(uri.query(), Some("client=c1"));

    let seen = &fixture.server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/register")
    );
    assert_eq!(seen.authorization(), "Bearer initial-token");
    let members: Vec<String> = seen.json().as_object().unwrap().keys().cloned().collect();
    let mut expected = vec![
        "client_name",
        "grant_types",
        "scope",
        "software_id",
        "software_version",
        "token_endpoint_auth_method",
    ];
    expected.sort_unstable();
    assert_eq!(set(&expected), members.into_iter().collect());

    // What a restarted process would find.
    let kept = fixture.spool.kept.lock().unwrap().clone();
    let text = kept[0].to_secret().unwrap();
    let again = RawAnswer::from_secret(&text).unwrap();
    assert_eq!(again.step, Step::Register);
    let parsed = Other.parse(&fixture.endpoints, &again).unwrap();
    assert_eq!(parsed.client_secret, Some(Secret::new("s1")));
    assert!(!format!("{again:?}{parsed:?}").contains("s1\""));
}

#[tokio::test]
async fn takes_200_for_201_and_does_without_management() {
    let fixture = Fixture::start(|_| reply(200, json!({"client_id": "c1"}))).await;
    let registered = register(&fixture).await.unwrap();
    assert!(registered.client_secret.is_none() && registered.warnings.is_empty());
    let known = registered.into_known(set(&["a", "b"]));
    assert!(!Other.can_manage(&fixture.session(), &known));
    let failure = Other
        .update(&fixture.session(), &known, &wanted(&["a"]))
        .await
        .unwrap_err();
    assert_eq!(failure.disposition, Disposition::Unmanageable);
    let failure = Other.delete(&fixture.session(), &known).await.unwrap_err();
    assert_eq!(failure.code, "client_unmanageable");
    assert_eq!(fixture.server.seen().len(), 1);
}

#[tokio::test]
async fn a_provider_that_refuses_the_marker_gets_it_in_the_name() {
    let fixture = Fixture::start(|seen| {
        if seen.json().get("software_id").is_some() {
            let why = json!({"error": "invalid_client_metadata", "error_description": "unknown member software_id"});
            return reply(400, why);
        }
        reply(201, json!({"client_id": "c1", "client_secret": "s1"}))
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    assert_eq!(registered.client_id, "c1");
    let seen = fixture.server.seen();
    assert_eq!(seen.len(), 2);
    let marker = wanted(&[]).marker.to_string();
    let name = format!("Weather app [{marker}]");
    assert_eq!(seen[1].json()["client_name"], json!(name));
    assert!(seen[1].json().get("software_version").is_none());
}

#[tokio::test]
async fn a_token_that_the_first_refusal_used_up_does_not_hide_why() {
    let uses = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let fixture = Fixture::start(move |_| {
        if uses.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
            return reply(401, json!({"error": "invalid_token"}));
        }
        reply(
            400,
            json!({"error": "invalid_client_metadata", "error_description": "unknown member"}),
        )
    })
    .await;
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "invalid_client_metadata: unknown member"
    );
    assert_eq!(fixture.server.seen().len(), 2);
}

#[tokio::test]
async fn shows_what_was_granted_otherwise() {
    let fixture = Fixture::start(|_| {
        reply(
            201,
            json!({"client_id": "c1", "scope": ["a"], "grant_types": ["client_credentials"]}),
        )
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    let found = differences(&wanted(&["a", "b"]), &registered.granted);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].member.as_str(), found[0].granted.as_str()),
        ("scope", "a")
    );
}

#[tokio::test]
async fn a_management_url_elsewhere_gets_no_token() {
    let fixture = Fixture::start(|_| {
        reply(
            201,
            json!({
                "client_id": "c1", "client_secret": "s", "registration_access_token": "r",
                "registration_client_uri": "http://127.0.0.2:9/c1",
            }),
        )
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    assert_eq!(registered.registration_client_uri, None);
    assert!(registered.warnings[0].contains("http://127.0.0.2:9"));
    // And if it had been stored before the check existed:
    let mut known = fixture.known();
    known.registration_client_uri = Some(Url::parse("http://127.0.0.2:9/c1").unwrap());
    let failure = Other.read(&fixture.session(), &known).await.unwrap_err();
    assert_eq!(failure.code, "endpoint_foreign_origin");
}

#[tokio::test]
async fn a_spool_that_fails_stops_before_anything_is_read() {
    let mut fixture = Fixture::start(|_| reply(201, json!({"client_id": "c1"}))).await;
    fixture.spool = MemorySpool {
        broken: true,
        ..MemorySpool::default()
    };
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(
        (failure.code.as_str(), failure.outcome_unknown),
        ("spool_unavailable", true)
    );
}

#[tokio::test]
async fn management_credentials_fetch_a_token_for_each_registration() {
    let mut fixture = Fixture::start(|seen: &Seen| match seen.target.as_str() {
        "/token" => reply(200, json!({"access_token": "fresh"})),
        _ => reply(201, json!({"client_id": "c1"})),
    })
    .await;
    fixture = fixture.with_management("portal:1", "p w");
    register(&fixture).await.unwrap();
    let seen = fixture.server.seen();
    // RFC 6749 section 2.3.1: form-encoded before base64.
    assert_eq!(seen[0].authorization(), "Basic cG9ydGFsJTNBMTpwK3c=");
    assert_eq!(&seen[0].body[..], b"grant_type=client_credentials");
    assert_eq!(seen[1].authorization(), "Bearer fresh");

    let mut fixture = Fixture::start(|_| reply(401, json!({"error": "invalid_client"}))).await;
    fixture = fixture.with_management("portal", "wrong");
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(failure.disposition, Disposition::PauseProvider);
    assert_eq!(failure.code, "management_credentials_refused");
    assert_eq!(fixture.server.seen().len(), 1);
}

#[tokio::test]
async fn without_any_token_it_asks_openly() {
    let mut fixture = Fixture::start(|_| reply(403, json!({"error": "access_denied"}))).await;
    fixture.method = Method::None;
    fixture.token = None;
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(fixture.server.seen()[0].authorization(), "");
    assert_eq!(failure.code, "initial_access_token_missing");
    assert_eq!(failure.disposition, Disposition::PauseProvider);
}
