//! Discovery, and what the token endpoint gives to whom.

use super::*;

#[tokio::test]
async fn discovery_names_every_endpoint_under_its_own_issuer() {
    let provider = start(settings()).await.unwrap();
    let (status, document) = call(Method::GET, &provider.well_known_url(), "", None).await;
    assert_eq!(status, 200);
    assert_eq!(document["issuer"], provider.url());
    assert_eq!(
        document["scopes_supported"],
        json!(["free_plan", "product_invoices", "product_payments"])
    );
    for endpoint in [
        "token_endpoint",
        "jwks_uri",
        "registration_endpoint",
        "authorization_endpoint",
    ] {
        assert!(
            document[endpoint]
                .as_str()
                .unwrap()
                .starts_with(&provider.url()),
            "{endpoint}"
        );
    }
    provider.behave(|behaviour| behaviour.issuer = Some("https://elsewhere.example".to_owned()));
    let (_, document) = call(Method::GET, &provider.well_known_url(), "", None).await;
    assert_eq!(document["issuer"], "https://elsewhere.example");
}

#[tokio::test]
async fn a_registered_client_gets_a_token_with_its_scopes() {
    let provider = start(settings()).await.unwrap();
    let client = registered(&provider, "product_payments free_plan").await;
    assert_eq!(client["client_secret_expires_at"], 0);
    assert_eq!(client["scope"], "free_plan product_payments");
    assert_eq!(provider.client_count(), 1);

    let (status, answer) = token(&provider, &client, "product_payments free_plan").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["token_type"], "Bearer");
    let claims = claims(&provider, &answer).await;
    assert_eq!(claims["iss"], provider.url());
    assert_eq!(claims["sub"], client["client_id"]);
    assert_eq!(claims["azp"], client["client_id"]);
    assert_eq!(claims["scope"], "free_plan product_payments");
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        300
    );
    assert!(claims.contains_key("jti"));

    let (status, all) = token(&provider, &client, "").await;
    assert_eq!(
        (status, &all["scope"]),
        (StatusCode::OK, &json!("free_plan product_payments"))
    );
    let (status, less) = token(&provider, &client, "free_plan").await;
    assert_eq!(
        (status, &less["scope"]),
        (StatusCode::OK, &json!("free_plan"))
    );
    let (status, refused) = token(&provider, &client, "product_invoices").await;
    assert_eq!(
        (status, &refused["error"]),
        (StatusCode::BAD_REQUEST, &json!("invalid_scope"))
    );
}

#[tokio::test]
async fn a_client_without_scopes_gets_a_token_without_the_claim() {
    let provider = start(settings()).await.unwrap();
    let (_, body) = register(&provider, &json!({"grant_types": ["client_credentials"]})).await;
    let client = body.as_object().unwrap().clone();
    let (status, answer) = token(&provider, &client, "").await;
    assert_eq!(status, 200);
    assert!(!claims(&provider, &answer).await.contains_key("scope"));
}

#[tokio::test]
async fn the_token_endpoint_takes_only_the_registered_method() {
    let provider = start(settings()).await.unwrap();
    let (_, body) = register(
        &provider,
        &json!({"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post"}),
    )
    .await;
    let client = body.as_object().unwrap();
    let (status, answer) = token(&provider, client, "").await;
    assert_eq!(
        (status, &answer["error"]),
        (StatusCode::UNAUTHORIZED, &json!("invalid_client"))
    );

    let (id, secret) = (text(client, "client_id"), text(client, "client_secret"));
    let post = async |form: &[(&str, &str)]| {
        let request = http_client()
            .unwrap()
            .post(format!("{}/token", provider.url()))
            .form(form);
        let response = request.send().await.unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap()["error"].clone(),
        )
    };
    let grant = ("grant_type", "client_credentials");
    assert_eq!(
        post(&[grant, ("client_id", id), ("client_secret", secret)]).await,
        (200, Value::Null)
    );
    assert_eq!(
        post(&[grant, ("client_id", id), ("client_secret", "x")]).await,
        (401, json!("invalid_client"))
    );
    assert_eq!(
        post(&[grant, ("client_id", "x"), ("client_secret", secret)]).await,
        (401, json!("invalid_client"))
    );
    assert_eq!(
        post(&[grant, ("client_id", id)]).await,
        (401, json!("invalid_client"))
    );
    assert_eq!(
        post(&[("client_id", id), ("client_secret", secret)]).await,
        (400, json!("invalid_request"))
    );
    assert_eq!(
        post(&[
            ("grant_type", "password"),
            ("client_id", id),
            ("client_secret", secret)
        ])
        .await,
        (400, json!("unsupported_grant_type"))
    );
    assert_eq!(
        post(&[grant, grant, ("client_id", id), ("client_secret", secret)]).await,
        (400, json!("invalid_request"))
    );
}

#[tokio::test]
async fn a_client_for_the_code_grant_gets_no_client_credentials_token() {
    let provider = start(settings()).await.unwrap();
    let (status, body) = register(
        &provider,
        &json!({"redirect_uris": ["https://app.example/cb"]}),
    )
    .await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(body["response_types"], json!(["code"]));
    let (status, answer) = token(&provider, body.as_object().unwrap(), "").await;
    assert_eq!(
        (status, &answer["error"]),
        (StatusCode::BAD_REQUEST, &json!("unauthorized_client"))
    );

    let authorize = format!(
        "{}/authorize?client_id={}",
        provider.url(),
        body["client_id"].as_str().unwrap()
    );
    let good = format!("{authorize}&state=s&redirect_uri=https%3A%2F%2Fapp.example%2Fcb");
    let sent_back = http_client().unwrap().get(good).send().await.unwrap();
    assert_eq!(sent_back.status(), 303);
    let location = sent_back.headers()["location"].to_str().unwrap();
    assert!(
        location.starts_with("https://app.example/cb?error=access_denied"),
        "{location}"
    );
    let (status, _) = call(
        Method::GET,
        &format!("{authorize}&redirect_uri=https%3A%2F%2Fevil.example"),
        "",
        None,
    )
    .await;
    assert_eq!(status, 400);
}
