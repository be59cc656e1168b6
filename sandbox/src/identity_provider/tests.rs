use reqwest::{Method, StatusCode};
use serde_json::{Map, json};

use super::*;
use crate::outgoing::http_client;

const SCOPES: [&str; 3] = ["product_payments", "product_invoices", "free_plan"];

fn settings() -> Settings {
    Settings {
        scopes: SCOPES.map(str::to_owned).to_vec(),
        initial_access_token: Some("initial".to_owned()),
        ..Settings::default()
    }
}

async fn call(method: Method, url: &str, token: &str, body: Option<&Value>) -> (StatusCode, Value) {
    let mut request = http_client().unwrap().request(method, url);
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

fn wanted(scope: &str) -> Value {
    json!({"client_name": "Shop", "grant_types": ["client_credentials"], "scope": scope})
}

async fn register(provider: &Handle, body: &Value) -> (StatusCode, Value) {
    call(
        Method::POST,
        &format!("{}/register", provider.url()),
        "initial",
        Some(body),
    )
    .await
}

async fn registered(provider: &Handle, scope: &str) -> Map<String, Value> {
    let (status, body) = register(provider, &wanted(scope)).await;
    assert_eq!(status, 201, "{body}");
    body.as_object().unwrap().clone()
}

async fn token(provider: &Handle, client: &Map<String, Value>, scope: &str) -> (StatusCode, Value) {
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend((!scope.is_empty()).then_some(("scope", scope)));
    let request = http_client()
        .unwrap()
        .post(format!("{}/token", provider.url()));
    let request = request.basic_auth(text(client, "client_id"), client["client_secret"].as_str());
    let response = request.form(&form).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> &'a str {
    members
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {name} in {members:?}"))
}

async fn claims(provider: &Handle, answer: &Value) -> Map<String, Value> {
    let (_, keys) = call(Method::GET, &provider.jwks_url(), "", None).await;
    let keys: crate::jws::KeySet = serde_json::from_value(keys).unwrap();
    keys.verify(answer["access_token"].as_str().unwrap())
        .unwrap()
}

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

#[tokio::test]
async fn the_switches_do_what_they_say() {
    let provider = start(settings()).await.unwrap();
    provider.behave(|behaviour| {
        behaviour.created_is_200 = true;
        behaviour.no_management = true;
        behaviour.no_secret_expiry = true;
        behaviour.granted_scopes = Some(vec!["free_plan".to_owned()]);
        behaviour.scope_claim = Some("scp".to_owned());
        behaviour.scope_as_array = true;
        behaviour
            .extra_claims
            .insert("pol".to_owned(), json!("gold"));
    });
    let (status, body) = register(&provider, &wanted("product_payments")).await;
    assert_eq!(
        (status.as_u16(), &body["scope"]),
        (200, &json!("free_plan"))
    );
    for absent in [
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
    ] {
        assert_eq!(body[absent], Value::Null, "{absent}");
    }
    let (_, answer) = token(&provider, body.as_object().unwrap(), "").await;
    let claims = claims(&provider, &answer).await;
    assert_eq!(
        (&claims["scp"], &claims["pol"]),
        (&json!(["free_plan"]), &json!("gold"))
    );

    provider.behave(|behaviour| {
        *behaviour = Behaviour {
            reject_unknown_members: true,
            ..Behaviour::default()
        };
    });
    let (status, body) = register(&provider, &json!({"colour": "blue"})).await;
    assert_eq!(
        (status.as_u16(), &body["error"]),
        (400, &json!("invalid_redirect_uri"))
    );
    let body = json!({"grant_types": ["client_credentials"], "colour": "blue"});
    assert_eq!(
        register(&provider, &body).await.1["error"],
        "invalid_client_metadata"
    );

    provider.behave(|behaviour| {
        *behaviour = Behaviour {
            rotate_on_read: true,
            hide_secret_on_read: true,
            ..Behaviour::default()
        };
    });
    let client = registered(&provider, "").await;
    let (uri, access) = (
        text(&client, "registration_client_uri"),
        text(&client, "registration_access_token"),
    );
    let (_, read) = call(Method::GET, uri, access, None).await;
    assert_ne!(read["registration_access_token"], access);
    assert_ne!(read["client_secret"], client["client_secret"]);
    assert_eq!(call(Method::GET, uri, access, None).await.0, 401);
}

#[tokio::test]
async fn faults_come_in_order_and_then_end() {
    let provider = start(settings()).await.unwrap();
    provider.fail_next(Operation::Register, 1, Fault::Refuse(Answer::status(500)));
    provider.fail_next(
        Operation::Register,
        1,
        Fault::Refuse(Answer::too_many_requests(7)),
    );
    provider.fail_next(Operation::Register, 1, Fault::Refuse(Answer::html(502)));
    provider.fail_next(Operation::Register, 1, Fault::Close);
    let send = || {
        let request = http_client()
            .unwrap()
            .post(format!("{}/register", provider.url()));
        request.bearer_auth("initial").json(&wanted("")).send()
    };
    assert_eq!(send().await.unwrap().status(), 500);
    let limited = send().await.unwrap();
    assert_eq!(
        (
            limited.status().as_u16(),
            limited.headers()["retry-after"].to_str().unwrap()
        ),
        (429, "7")
    );
    let page = send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.text().await.unwrap().starts_with("<!doctype html>"));
    assert!(send().await.is_err());
    assert_eq!(provider.client_count(), 0);

    provider.fail_next(Operation::Register, 1, Fault::CommitThenClose);
    assert!(send().await.is_err());
    provider.fail_next(
        Operation::Register,
        1,
        Fault::CommitThenAnswer(Answer::oversized(201, 1 << 20)),
    );
    assert_eq!(send().await.unwrap().bytes().await.unwrap().len(), 1 << 20);
    assert_eq!(
        provider.client_count(),
        2,
        "committed, whatever the caller saw"
    );
    provider.fail_next(Operation::Register, 9, Fault::Close);
    provider.clear_faults();
    assert_eq!(send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_caller_that_times_out_may_have_committed() {
    let provider = start(settings()).await.unwrap();
    provider.fail_next(
        Operation::Register,
        1,
        Fault::CommitThenDelay(Duration::from_secs(60)),
    );
    let request = http_client()
        .unwrap()
        .post(format!("{}/register", provider.url()));
    let request = request
        .bearer_auth("initial")
        .json(&wanted(""))
        .timeout(Duration::from_millis(300));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(provider.client_count(), 1);
}

#[tokio::test]
async fn clients_can_be_changed_behind_the_portals_back() {
    let provider = start(settings()).await.unwrap();
    let client = registered(&provider, "free_plan").await;
    let id = text(&client, "client_id");
    assert!(provider.edit_client(id, |client| client.metadata.scopes.clear()));
    assert_eq!(token(&provider, &client, "free_plan").await.0, 400);
    assert!(provider.client(id).unwrap().metadata.scopes.is_empty());
    assert!(provider.delete_client(id));
    assert!(!provider.delete_client(id) && !provider.edit_client(id, |_| ()));
    assert!(provider.clients().is_empty());

    assert!(provider.add_scope("gold_plan") && provider.remove_scope("free_plan"));
    assert_eq!(register(&provider, &wanted("gold_plan")).await.0, 201);
    assert_eq!(register(&provider, &wanted("free_plan")).await.0, 400);
}

#[tokio::test]
async fn a_restart_finds_clients_and_key_in_the_data_file() {
    let folder = tempfile::tempdir().unwrap();
    let with_file = |listen| Settings {
        listen,
        data_file: Some(folder.path().join("idp.json")),
        ..settings()
    };
    let first = start(with_file(free_port())).await.unwrap();
    let client = registered(&first, "free_plan").await;
    let address = first.address();
    let (_, old_token) = token(&first, &client, "").await;
    first.stop().await;
    drop(first);

    let second = start(with_file(address)).await.unwrap();
    assert_eq!(token(&second, &client, "free_plan").await.0, 200);
    assert_eq!(
        claims(&second, &old_token).await["sub"],
        client["client_id"],
        "the same key"
    );
    let uri = text(&client, "registration_client_uri");
    assert_eq!(
        call(
            Method::GET,
            uri,
            text(&client, "registration_access_token"),
            None
        )
        .await
        .0,
        200
    );
}

#[tokio::test]
async fn a_change_that_cannot_be_stored_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("idp.json");
    let provider = start(Settings {
        data_file: Some(file.clone()),
        ..settings()
    })
    .await
    .unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    std::fs::write(file.join("in the way"), "").unwrap();
    let (status, body) = register(&provider, &wanted("")).await;
    assert_eq!(
        (status.as_u16(), &body["error"]),
        (500, &json!("server_error"))
    );
    assert_eq!(provider.client_count(), 0);
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_it() {
    let provider = start(Settings::default()).await.unwrap();
    let address = provider.address();
    let error = start(Settings {
        listen: address,
        ..Settings::default()
    })
    .await
    .err()
    .unwrap();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn debug_output_has_no_secret() {
    let client = Client::register(Metadata::default(), 0, &Behaviour::default());
    let shown = format!("{client:?}");
    assert!(
        !shown.contains(client.client_secret.as_deref().unwrap()),
        "{shown}"
    );
    assert!(
        !shown.contains(client.registration_access_token.as_deref().unwrap()),
        "{shown}"
    );
}
