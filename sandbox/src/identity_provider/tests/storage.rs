//! What is there after a restart, and what cannot be started.

use super::*;

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
