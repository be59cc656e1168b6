//! Somebody leaves: with the account their access goes, at the provider and at the gateway, and nobody else's; it comes
//! back with the account, and is gone for good when they are erased.

use std::time::{Duration, Instant};

use http::StatusCode;
use portico_tests::keycloak::KEYCLOAK;
use portico_trials::{Trial, trials};
use serde_json::json;

use crate::{
    api_keys,
    support::{
        actions::{Configured, Credentials, DEVELOPER_EMAIL, DEVELOPER_PASSWORD, made},
        until,
        world::{Backends, Provider, World},
    },
};

/// Between the click and the last token or call.
const PROMPTLY: Duration = Duration::from_secs(10);
const SCOPES: &str = "product_payments free_plan";

pub(crate) fn trials() -> Vec<Trial> {
    let mut all = trials!(single, []; access_lasts_as_long_as_the_account);
    all.extend(trials!(single, [KEYCLOAK]; access_at_keycloak_lasts_as_long_as_the_account));
    all
}

async fn access_lasts_as_long_as_the_account() {
    walk(Provider::sandbox().await).await;
}

async fn access_at_keycloak_lasts_as_long_as_the_account() {
    walk(Provider::keycloak().await).await;
}

/// Another developer with access to the same product.
async fn neighbour(world: &World, portal: &Configured) -> (Configured, Credentials) {
    let anonymous = world.portico.anonymous();
    let (email, password) = ("grace@customer.example", "another-long-password");
    let body = json!({"name": "Grace Hopper", "email": email, "password": password});
    made(&anonymous, "/api/v1/users", body).await;
    let grace = Configured {
        provider_id: portal.provider_id.clone(),
        client_type_id: portal.client_type_id.clone(),
        payments: portal.payments.clone(),
        orders: portal.orders.clone(),
        free: portal.free.clone(),
        developer: anonymous.sign_in(email, password).await.unwrap(),
    };
    let (request, application) = grace.submit(&grace.payments, None).await;
    world.approve(&request).await;
    let credentials = grace.credentials(&application).await;
    (grace, credentials)
}

/// Until the provider gives no token and the gateway refuses the key.
async fn is_out(world: &World, credentials: &Credentials, key: &str) {
    let begun = Instant::now();
    until("neither a token nor a call with the key", || async {
        let (token, _) = world.token(credentials, Some(SCOPES)).await;
        let call = api_keys::call(world, key).await;
        (token != 200 && call == 403).then_some(())
    })
    .await;
    assert!(begun.elapsed() < PROMPTLY, "after {:?}", begun.elapsed());
}

async fn walk(provider: Provider) {
    let world = World::start(provider, Backends::embedded()).await;
    let portal = world.configure().await;
    let (_grace, others) = neighbour(&world, &portal).await;
    let (request, application) = portal.submit(&portal.payments, None).await;
    world.approve(&request).await;
    let credentials = portal.credentials(&application).await;
    let weather = api_keys::product(&world).await;
    let keyed = api_keys::order(&portal, &weather).await;
    world.approve(&keyed.request).await;
    let listed = api_keys::ready(&portal.developer, &keyed.application).await;
    let shown = api_keys::reveal(&portal.developer, &listed, StatusCode::OK).await;
    let key = shown["key"].as_str().unwrap().to_owned();
    let (pending, _) = portal.submit(&portal.orders, Some(&application)).await;
    assert_eq!(world.call(&credentials, SCOPES, "payments").await.1, 200);
    assert_eq!(api_keys::call(&world, &key).await, 200);

    let session = portal.developer.get("/api/v1/session").await.unwrap();
    let session = session.expect(StatusCode::OK).unwrap();
    let user = session["user"]["id"].as_str().unwrap().to_owned();
    user_action(&world, &user, "suspend").await;
    is_out(&world, &credentials, &key).await;
    for request in [&request, &keyed.request] {
        let suspended = world.wait_for_status(request, "suspended").await;
        assert_eq!(suspended["account_suspended"], true);
    }
    let refused = world.act(&world.admin, &pending, "approve").await;
    let refused = refused.expect(StatusCode::CONFLICT).unwrap();
    assert_eq!(refused["code"], "requester_suspended");
    assert_eq!(world.call(&others, SCOPES, "payments").await.1, 200);

    user_action(&world, &user, "activate").await;
    for request in [&request, &keyed.request] {
        world.wait_for_status(request, "active").await;
    }
    assert_eq!(world.call(&credentials, SCOPES, "payments").await.1, 200);
    let developer = world.portico.anonymous();
    let developer = developer
        .sign_in(DEVELOPER_EMAIL, DEVELOPER_PASSWORD)
        .await
        .unwrap();
    let listed = api_keys::ready(&developer, &keyed.application).await;
    let shown = api_keys::reveal(&developer, &listed, StatusCode::OK).await;
    let key = shown["key"].as_str().unwrap().to_owned();
    assert_eq!(api_keys::call(&world, &key).await, 200);

    let erased = world.admin.delete(&format!("/api/v1/users/{user}")).await;
    erased.unwrap().expect(StatusCode::NO_CONTENT).unwrap();
    is_out(&world, &credentials, &key).await;
    for (request, end) in [
        (&request, "revoked"),
        (&keyed.request, "revoked"),
        (&pending, "withdrawn"),
    ] {
        world.wait_for_status(request, end).await;
    }
    let refused = world.act(&world.admin, &pending, "approve").await;
    let refused = refused.expect(StatusCode::CONFLICT).unwrap();
    assert_eq!(refused["code"], "already_withdrawn");
    until("only the neighbour's client is left", || async {
        (world.provider.client_count().await == 1).then_some(())
    })
    .await;
    assert_eq!(world.call(&others, SCOPES, "payments").await.1, 200);
}

async fn user_action(world: &World, user: &str, action: &str) {
    let path = format!("/api/v1/users/{user}/{action}");
    let answer = world.admin.post(&path, json!({})).await.unwrap();
    answer.expect(StatusCode::OK).unwrap();
}
