//! The process dies at the worst points, and completes the request when it is started again.

use http::StatusCode;
use portico_tests::keycloak::KEYCLOAK;
use portico_trials::{Trial, trials};
use serde_json::json;

use crate::support::{
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials =
        trials!(single, [KEYCLOAK]; with_keycloak, with_keycloak_before_the_answer_is_spooled);
    trials.extend(trials!(single, []; with_a_plain_provider));
    trials
}

const POINTS: [&str; 5] = [
    "approved",
    "intent",
    "answer_received",
    "registered",
    "mail_queued",
];

async fn with_keycloak() {
    for point in POINTS {
        dies_and_completes(Provider::keycloak().await, point).await;
    }
}

/// Before the answer is spooled: client id and secret were chosen, so the attempt is repeated and the credentials
/// work. The registration access token is lost: the next change fails by name until the admin gives management
/// credentials.
async fn with_keycloak_before_the_answer_is_spooled() {
    let provider = Provider::keycloak().await;
    let mut world = World::start_to_die(provider, Backends::embedded(), "answer_unspooled").await;
    let portal = world.configure().await;
    let (request, application) = portal.submit(&portal.payments, None).await;
    world
        .act(&world.admin, &request, "approve")
        .await
        .expect(StatusCode::ACCEPTED)
        .unwrap();
    world.portico.dead().await;

    let world = world.restart().await;
    world.wait_for_status(&request, "active").await;
    let credentials = portal.credentials(&application).await;
    assert_eq!(
        world
            .call(&credentials, "product_payments free_plan", "payments")
            .await
            .1,
        200
    );
    assert_eq!(world.provider.client_count().await, 1);

    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    world
        .act(&world.admin, &second, "approve")
        .await
        .expect(StatusCode::ACCEPTED)
        .unwrap();
    let failed = world.wait_for_status(&second, "failed").await;
    assert!(
        failed["reason"]
            .as_str()
            .unwrap()
            .starts_with("client_unmanageable"),
        "{failed}"
    );
    let Provider::Keycloak(keycloak) = &world.provider else {
        panic!("Keycloak")
    };
    let (id, secret) = keycloak.management();
    let provider = format!("/api/v1/identity-providers/{}", portal.provider_id);
    let management = json!({"management_client_id": id, "management_client_secret": secret});
    world
        .admin
        .patch(&provider, management)
        .await
        .unwrap()
        .expect(StatusCode::OK)
        .unwrap();
    world
        .act(&world.admin, &second, "retry")
        .await
        .expect(StatusCode::ACCEPTED)
        .unwrap();
    until("the second is active", || async {
        let path = format!("/api/v1/access-requests/{second}");
        let now = world
            .admin
            .get(&path)
            .await
            .unwrap()
            .expect(StatusCode::OK)
            .unwrap();
        (now["status"] == "active").then_some(())
    })
    .await;
    assert_eq!(world.provider.client_count().await, 1);
}

async fn with_a_plain_provider() {
    for point in ["approved", "answer_received", "registered", "mail_queued"] {
        dies_and_completes(Provider::sandbox().await, point).await;
    }
}

async fn dies_and_completes(provider: Provider, point: &str) {
    // The first mail tells the admin of the submission; the second is the developer's.
    let fault = if point == "mail_queued" {
        "mail_queued:2"
    } else {
        point
    };
    let mut world = World::start_to_die(provider, Backends::embedded(), fault).await;
    let portal = world.configure().await;
    let (request, application) = portal.submit(&portal.payments, None).await;
    // Between the mail server's answer and its record a kill may repeat a mail; that is not the subject here.
    until("the admin's mail is recorded", || async {
        let sent = world.admin.get("/api/v1/deliveries?status=sent").await;
        let sent = sent.unwrap().expect(StatusCode::OK).unwrap();
        (!sent["items"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    let path = format!("/api/v1/access-requests/{request}/approve");
    // At "approved" the answer itself is lost.
    let _ = world.admin.post(&path, json!({})).await;
    world.portico.dead().await;

    let world = world.restart().await;
    world.wait_for_status(&request, "active").await;
    let credentials = portal.credentials(&application).await;
    let (_, status) = world
        .call(&credentials, "product_payments free_plan", "payments")
        .await;
    assert_eq!(status, 200, "after {point}");
    assert_eq!(
        world.provider.client_count().await,
        1,
        "clients after {point}"
    );
    until("both mails", || async {
        (world.mail.messages().len() >= 2).then_some(())
    })
    .await;

    // A second approval has nothing left to do; by its end a second mail would have come.
    let again = world.act(&world.admin, &request, "approve").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    world.approve(&second).await;
    until("the second request's mails", || async {
        (world.mail.messages().len() >= 4).then_some(())
    })
    .await;
    let mails = world.mail.messages();
    let subjects: Vec<&str> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    assert_eq!(mails.len(), 4, "mails after {point}: {subjects:?}");
    assert_eq!(
        world.provider.client_count().await,
        1,
        "clients after {point}"
    );
}
