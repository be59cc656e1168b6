//! Registration and management of clients (RFC 7591, RFC 7592).

use super::*;

#[tokio::test]
async fn registration_errors_follow_the_rfc_and_make_no_client() {
    let provider = start(settings()).await.unwrap();
    let url = format!("{}/register", provider.url());
    for (token, expected) in [("", 401), ("wrong", 401)] {
        let (status, body) = call(Method::POST, &url, token, Some(&wanted(""))).await;
        assert_eq!(
            (status.as_u16(), &body["error"]),
            (expected, &json!("invalid_token"))
        );
    }
    let cases = [
        (wanted("no_such_scope"), "invalid_client_metadata"),
        (
            json!({"redirect_uris": ["https://a.example/cb#f"]}),
            "invalid_redirect_uri",
        ),
        (json!(["not an object"]), "invalid_client_metadata"),
    ];
    for (body, expected) in cases {
        let (status, answer) = register(&provider, &body).await;
        assert_eq!(
            (status.as_u16(), &answer["error"]),
            (400, &json!(expected)),
            "{body}"
        );
        assert!(answer["error_description"].is_string());
    }
    assert_eq!(provider.client_count(), 0);
    assert_eq!(provider.requests(Operation::Register), 5);
}

#[tokio::test]
async fn the_initial_access_token_is_used_up_by_successes_only() {
    let provider = start(Settings {
        initial_access_token_uses: Some(1),
        ..settings()
    })
    .await
    .unwrap();
    assert_eq!(register(&provider, &wanted("no_such_scope")).await.0, 400);
    assert_eq!(register(&provider, &wanted("")).await.0, 201);
    let (status, body) = register(&provider, &wanted("")).await;
    assert_eq!(status, 401);
    assert_eq!(
        body["error_description"],
        "No remaining count on initial access token"
    );
    provider.set_initial_access_token(Some("initial"), None);
    assert_eq!(register(&provider, &wanted("")).await.0, 201);
    provider.use_up_initial_access_token();
    assert_eq!(register(&provider, &wanted("")).await.0, 401);
    provider.set_initial_access_token(None, None);
    let (status, _) = call(
        Method::POST,
        &format!("{}/register", provider.url()),
        "",
        Some(&wanted("")),
    )
    .await;
    assert_eq!(status, 201, "open registration needs no token");
    assert_eq!(provider.client_count(), 3);
}

#[tokio::test]
async fn put_replaces_the_metadata_and_rotates_the_token() {
    let provider = start(settings()).await.unwrap();
    let client = registered(&provider, "").await;
    let (uri, old) = (
        text(&client, "registration_client_uri"),
        text(&client, "registration_access_token"),
    );
    let (status, read) = call(Method::GET, uri, old, None).await;
    assert_eq!(
        (status, &read),
        (StatusCode::OK, &Value::Object(client.clone())),
        "a GET changes nothing"
    );

    let mut body = wanted("free_plan");
    body["client_id"] = client["client_id"].clone();
    body["client_secret"] = client["client_secret"].clone();
    let (status, updated) = call(Method::PUT, uri, old, Some(&body)).await;
    assert_eq!(status, 200, "{updated}");
    assert_eq!(
        (&updated["scope"], &updated["client_secret"]),
        (&json!("free_plan"), &client["client_secret"])
    );
    let new = updated["registration_access_token"].as_str().unwrap();
    assert_ne!(new, old);
    assert_eq!(call(Method::GET, uri, old, None).await.0, 401);
    assert_eq!(call(Method::GET, uri, new, None).await.0, 200);

    assert_eq!(call(Method::DELETE, uri, old, None).await.0, 401);
    assert_eq!(call(Method::DELETE, uri, new, None).await.0, 204);
    assert_eq!(
        call(Method::GET, uri, new, None).await.0,
        401,
        "gone is 401, not 404"
    );
    assert_eq!(token(&provider, &client, "").await.0, 401);
    assert_eq!(provider.client_count(), 0);
}

#[tokio::test]
async fn an_update_must_name_its_client_and_nothing_of_the_servers() {
    let provider = start(settings()).await.unwrap();
    let client = registered(&provider, "free_plan").await;
    let (uri, access) = (
        text(&client, "registration_client_uri"),
        text(&client, "registration_access_token"),
    );
    let id = client["client_id"].clone();
    let cases = [
        json!({"grant_types": ["client_credentials"]}),
        json!({"client_id": "another", "grant_types": ["client_credentials"]}),
        json!({"client_id": id, "client_secret": "another", "grant_types": ["client_credentials"]}),
        json!({"client_id": id, "registration_access_token": access, "grant_types": ["client_credentials"]}),
        json!({"client_id": id, "client_id_issued_at": 1, "grant_types": ["client_credentials"]}),
    ];
    for body in cases {
        let (status, answer) = call(Method::PUT, uri, access, Some(&body)).await;
        assert_eq!(
            (status.as_u16(), &answer["error"]),
            (400, &json!("invalid_client_metadata")),
            "{body}"
        );
    }
    let other = registered(&provider, "").await;
    let (status, _) = call(
        Method::GET,
        text(&other, "registration_client_uri"),
        access,
        None,
    )
    .await;
    assert_eq!(status, 401, "a token manages its own client only");
}
