//! What a test can make the provider do: refuse, answer wrongly, answer late, change clients.

use super::*;

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
