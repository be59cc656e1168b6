//! Steps 1 to 11 of the product.

use http::StatusCode;
use portico_tests::keycloak::KEYCLOAK;
use portico_trials::{NATS, POSTGRESQL, Trial, trials};

use crate::support::{
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = trials!(single, []; sandbox_provider_sqlite_and_memory_bus);
    trials.extend(trials!(single, [KEYCLOAK]; keycloak_sqlite_and_memory_bus));
    trials.extend(trials!(single, [KEYCLOAK, POSTGRESQL, NATS]; keycloak_postgresql_and_nats));
    trials.extend(trials!(single, [POSTGRESQL, NATS]; sandbox_provider_separate_processes));
    trials.extend(trials!(single, [KEYCLOAK, POSTGRESQL, NATS]; keycloak_separate_processes));
    trials
}

async fn sandbox_provider_sqlite_and_memory_bus() {
    journey(Provider::sandbox().await, Backends::embedded()).await;
}

async fn keycloak_sqlite_and_memory_bus() {
    journey(Provider::keycloak().await, Backends::embedded()).await;
}

async fn keycloak_postgresql_and_nats() {
    let (provider, backends) = (Provider::keycloak().await, Backends::servers().await);
    assert!(backends.database_url().is_some() && backends.nats_url().is_some());
    journey(provider, backends).await;
}

async fn sandbox_provider_separate_processes() {
    walk(World::start_apart(Provider::sandbox().await).await).await;
}

async fn keycloak_separate_processes() {
    walk(World::start_apart(Provider::keycloak().await).await).await;
}

async fn journey(provider: Provider, backends: Backends) {
    walk(World::start(provider, backends).await).await;
}

async fn walk(world: World) {
    let portal = world.configure().await;

    let (first, application) = portal.submit(&portal.payments, None).await;
    world.approve(&first).await;
    let credentials = portal.credentials(&application).await;
    assert_eq!(credentials.scopes, "free_plan product_payments");
    let (scopes, status) = world
        .call(&credentials, "product_payments free_plan", "payments")
        .await;
    assert!(
        scopes.iter().any(|s| s == "product_payments") && scopes.iter().any(|s| s == "free_plan")
    );
    assert_eq!(status, 200);
    assert_eq!(
        world
            .call(&credentials, "product_payments free_plan", "orders")
            .await
            .1,
        403
    );
    assert_eq!(
        world.call(&credentials, "free_plan", "payments").await.1,
        403
    );
    assert_eq!(world.provider.client_count().await, 1);

    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    world.approve(&second).await;
    let grown = portal.credentials(&application).await;
    assert_eq!(grown.scopes, "free_plan product_orders product_payments");
    assert_eq!(
        (&grown.client_id, &grown.client_secret),
        (&credentials.client_id, &credentials.client_secret)
    );
    assert_eq!(
        world
            .call(&grown, "product_orders free_plan", "orders")
            .await
            .1,
        200
    );
    assert_eq!(world.provider.client_count().await, 1);

    world
        .act(&world.admin, &second, "revoke")
        .await
        .expect(StatusCode::ACCEPTED)
        .unwrap();
    until("the scopes have shrunk", || async {
        let now = portal.credentials(&application).await;
        (now.scopes == "free_plan product_payments").then_some(())
    })
    .await;
    assert_eq!(world.token(&grown, Some("product_orders")).await.0, 400);
    assert_eq!(
        world
            .call(&grown, "product_payments free_plan", "payments")
            .await
            .1,
        200
    );

    world
        .act(&world.admin, &first, "revoke")
        .await
        .expect(StatusCode::ACCEPTED)
        .unwrap();
    until("the client is deleted", || async {
        (world.provider.client_count().await == 0).then_some(())
    })
    .await;
    assert_eq!(world.token(&grown, Some("free_plan")).await.0, 401);
    // The provider has deleted it a moment before Portico knows.
    until("there are no credentials", || async {
        portal.try_credentials(&application).await.err()
    })
    .await;
    until("the mapping is gone from the gateway", || async {
        let api = world.gateway.api("payments").unwrap();
        let mapping = api["scopes"]["jwt"]["scope_to_policy"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        mapping.is_empty().then_some(())
    })
    .await;

    // Two submitted (admin), two ready and two revoked (developer).
    let mails = world
        .mail
        .wait_for_count(crate::support::PATIENCE, 6)
        .await
        .expect("six mails");
    assert!(
        mails
            .iter()
            .all(|mail| !mail.text.contains(&credentials.client_secret))
    );
    assert!(
        mails
            .iter()
            .all(|mail| !mail.html.contains(&credentials.client_secret))
    );
}
