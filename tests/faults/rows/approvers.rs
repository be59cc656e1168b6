//! Two admins approve the same request at the same moment, at two replicas, a thousand times: one event each, and
//! the other one is told that it is approved already.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use http::StatusCode;
use serde_json::json;

use crate::{
    client::{Answer, Client},
    invariants,
    process::{ADMIN_EMAIL, ADMIN_PASSWORD},
    round::Round,
    world::{Setup, World},
};

/// Requests that are approved at once.
const AT_ONCE: usize = 8;

pub async fn two_at_once(round: Arc<Round>) {
    let setup = Setup {
        servers: true,
        replicas: true,
        // Only the decisions matter here.
        environment: vec![("PORTICO_LOG_LEVEL", "warn".to_owned())],
        ..Setup::default()
    };
    let mut world = World::start(&round.folder, setup).await;
    let portal = world.configure().await;
    // So that nothing follows from the approvals.
    world.sandbox().use_up_initial_access_token();
    let mut admins = Vec::new();
    for replica in [&world.portico, world.second.as_ref().unwrap()] {
        admins.push(
            Client::anonymous(vec![replica.url()])
                .sign_in(ADMIN_EMAIL, ADMIN_PASSWORD)
                .await,
        );
    }
    let (mut accepted, mut conflicts) = (0, 0);
    let (portal, admins) = (&portal, &admins);
    let mut decided = stream::iter(0..round.repetitions)
        .map(|_| async move {
            let (id, _) = portal
                .submit(&portal.payments, "product_payments", None)
                .await;
            futures::join!(approve(&admins[0], &id), approve(&admins[1], &id))
        })
        .buffer_unordered(AT_ONCE);
    while let Some((one, other)) = decided.next().await {
        let mut answers = [one, other];
        answers.sort_by_key(|answer| answer.status);
        assert_eq!(answers[0].status, StatusCode::ACCEPTED, "{answers:?}");
        assert_eq!(answers[1].status, StatusCode::CONFLICT, "{answers:?}");
        assert_eq!(answers[1].body["code"], "already_approved", "{answers:?}");
        accepted += 1;
        conflicts += 1;
    }
    drop(decided);
    let sql = "SELECT CAST(COUNT(*) AS TEXT), CAST(COUNT(DISTINCT stream) AS TEXT) FROM events \
               WHERE type = 'access_request.approved'";
    let counts = world.stores.rows("access-request", sql).await.remove(0);
    assert_eq!(
        counts,
        [accepted.to_string(), accepted.to_string()],
        "approvals in the log, and requests"
    );
    world.stop().await;
    invariants::equal_a_rebuild(&world).await;
    round.remark(format!("{accepted} approved, {conflicts} answered 409"));
}

async fn approve(admin: &Client, id: &str) -> Answer {
    let path = format!("/api/v1/access-requests/{id}/approve");
    admin.post(&path, json!({})).await
}
