//! A client by which nobody can get a token is announced to nobody.

use super::*;

#[tokio::test]
async fn a_secret_that_a_registration_withheld_is_fetched() {
    let mut world = World::start().await;
    world
        .provider
        .behave(|provider| provider.secret_withheld = true);
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    assert_has_its_secret(&world, &client).await;
}

async fn assert_has_its_secret(world: &World, client: &OauthClient) {
    let owner = Owner::new(OWNER, world.id());
    let reference = client.live().unwrap().answer.secret_ref.unwrap();
    let secret = world.vault.get(&owner, &reference).await.unwrap().unwrap();
    let there = world.only_client().client_secret.unwrap();
    assert_eq!(secret.expose(), there);
}

/// It could not be removed again either, and nobody is told that it is ready because it is there.
#[tokio::test]
async fn a_client_that_lacked_its_secret_gets_it_when_it_is_wanted_again() {
    let mut world = World::start().await;
    world.provider.behave(|provider| {
        provider.secret_withheld = true;
        provider.hide_secret_on_read = true;
    });
    for operation in [Operation::Delete, Operation::Update] {
        world.provider.fail_next(operation, 50, refuse(403));
    }
    let request = world.approve("pay", "free").await;
    let parked = |client: &OauthClient| !client.orphans.is_empty() && client.refused.is_some();
    let client = world.until("parked", parked).await;
    assert_eq!(problem(&client, request).code, "client_secret_missing");
    assert!(client.live().unwrap().answer.unusable.is_some());
    world.provider.clear_faults();
    // The provider tells the secret now.
    world
        .provider
        .behave(|provider| provider.hide_secret_on_read = false);
    world.retry(request).await;
    let client = world.until_done(request).await;
    assert_has_its_secret(&world, &client).await;
    assert_eq!(world.provider.requests(Operation::Register), 1);
    assert!(open_orphans(&world).await.is_empty());
}

#[tokio::test]
async fn a_client_that_can_get_no_token_is_never_announced() {
    type Lie = fn(&mut portico_sandbox::identity_provider::Behaviour);
    let withheld: Lie = |provider| {
        provider.secret_withheld = true;
        provider.hide_secret_on_read = true;
    };
    let expired: Lie = |provider| provider.secret_expires_at = Some(json!(1_000_000_000));
    let in_words: Lie = |provider| provider.secret_expires_at = Some(json!("2001-09-09T01:46:40Z"));
    for (lie, code) in [
        (withheld, "client_secret_missing"),
        (expired, "client_secret_expired"),
        (in_words, "client_secret_expired"),
    ] {
        let mut world = World::start().await;
        world.provider.behave(lie);
        let request = world.approve("pay", "free").await;
        let client = world.until("failed", has_failed(request)).await;
        assert_eq!(problem(&client, request).code, code);
        // What came of it is taken away again.
        let client = world
            .until("deleted", |client| client.live().is_none())
            .await;
        assert_eq!(
            (world.provider.client_count(), client.orphans.len()),
            (0, 0)
        );
        world.until_outcome(request, "failed 1").await;
        assert!(!world.outcomes(request).contains(&"done 1".to_owned()));
        // Mended at the provider, then retried.
        world
            .provider
            .behave(|provider| *provider = Default::default());
        world.retry(request).await;
        world.until_done(request).await;
    }
}

#[tokio::test]
async fn an_end_of_the_secret_that_is_no_time_is_a_warning() {
    let mut world = World::start().await;
    let unclear = Some(json!("at the end of the year"));
    world
        .provider
        .behave(|provider| provider.secret_expires_at = unclear);
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    let answer = &client.live().unwrap().answer;
    assert_eq!(answer.secret_expires_at, 0);
    assert!(
        answer.warnings[0].contains("client_secret_expires_at"),
        "{answer:?}"
    );
}
