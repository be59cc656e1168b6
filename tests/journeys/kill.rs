//! The process dies at the worst points, and completes the request when it is started again.

use http::StatusCode;
use serde_json::json;

use crate::support::{
    until,
    world::{Backends, Provider, World},
};

const POINTS: [&str; 5] = ["approved", "intent", "answer_received", "registered", "mail_queued"];

#[tokio::test]
async fn with_keycloak() {
    for point in POINTS {
        let Some(provider) = Provider::keycloak("kill -9").await else { return };
        dies_and_completes(provider, point).await;
    }
}

/// Before the answer is spooled: the client id and the secret were chosen, so the attempt is repeated safely.
#[tokio::test]
async fn with_keycloak_before_the_answer_is_spooled() {
    let Some(provider) = Provider::keycloak("kill -9 before the spool").await else { return };
    dies_and_completes(provider, "answer_unspooled").await;
}

#[tokio::test]
async fn with_a_plain_provider() {
    for point in ["approved", "answer_received", "registered", "mail_queued"] {
        dies_and_completes(Provider::sandbox().await, point).await;
    }
}

async fn dies_and_completes(provider: Provider, point: &str) {
    // The first mail tells the admin of the submission; the second is the developer's.
    let fault = if point == "mail_queued" { "mail_queued:2" } else { point };
    let mut world = World::start_to_die(provider, Backends::embedded(), fault).await;
    let portal = world.configure().await;
    let (request, application) = portal.submit(&portal.payments, None).await;
    let path = format!("/api/v1/access-requests/{request}/approve");
    // At "approved" the answer itself is lost.
    let _ = world.admin.post(&path, json!({})).await;
    world.portico.dead().await;

    let world = world.restart().await;
    world.wait_for_status(&request, "active").await;
    let credentials = portal.credentials(&application).await;
    let (_, status) = world.call(&credentials, "product_payments free_plan", "payments").await;
    assert_eq!(status, 200, "after {point}");
    assert_eq!(world.provider.client_count().await, 1, "clients after {point}");
    until("both mails", || async { (world.mail.messages().len() >= 2).then_some(()) }).await;

    // A second approval has nothing left to do; by its end a second mail would have come.
    let again = world.act(&world.admin, &request, "approve").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    world.approve(&second).await;
    until("the second request's mails", || async { (world.mail.messages().len() >= 4).then_some(()) }).await;
    let mails = world.mail.messages();
    let subjects: Vec<&str> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    assert_eq!(mails.len(), 4, "mails after {point}: {subjects:?}");
    assert_eq!(world.provider.client_count().await, 1, "clients after {point}");
}
