//! When a round is over: nothing is under way any more, anywhere, and every request is where it must end.

use std::time::Duration;

use portico_tests::patience::Pauses;

use crate::{
    client::PATIENCE,
    ledger::Expected,
    stores::SERVICES,
    world::{Portal, World},
};
use serde_json::{Value, json};

/// Waits until everything has come to rest; gives how long that took.
pub async fn settle(world: &World, portal: &Portal) -> Duration {
    settle_within(world, portal, PATIENCE).await
}

/// As [`settle`], where the fault table says how long that may take.
pub async fn settle_within(world: &World, portal: &Portal, limit: Duration) -> Duration {
    let pauses = Pauses::begin();
    let mut quiet = 0;
    loop {
        match unsettled(world, portal).await {
            // Twice: what has just been acknowledged may cause something.
            None if quiet == 1 => return pauses.waited(),
            None => quiet += 1,
            Some(what) => {
                quiet = 0;
                assert!(
                    pauses.waited() < limit,
                    "not settled after {limit:?}: {what}"
                );
            }
        }
        pauses.pause().await;
    }
}

/// What is still under way.
async fn unsettled(world: &World, portal: &Portal) -> Option<String> {
    for (id, request) in portal.ledger.requests() {
        let now = portal.request(&id).await;
        let status = now["status"].as_str().unwrap();
        if status != request.expected.as_str() {
            help(world, portal, &id, status, request.expected).await;
            return Some(format!(
                "{id} is {status}, not {}: {}",
                request.expected.as_str(),
                now["reason"]
            ));
        }
        // "revoked" is said at once; what was granted goes when registration and gateway have heard of it.
        if request.expected == Expected::Revoked && !is_taken_back(&now) {
            return Some(format!("{id} is revoked, and not yet taken back"));
        }
    }
    let clients = "SELECT status, last_error FROM oauth_clients \
                   WHERE due_at_ms IS NOT NULL OR status NOT IN ('ready', 'deleted', 'failed')";
    if let Some(client) = world.stores.rows("registration", clients).await.first() {
        return Some(format!("an OAuth client is {client:?}"));
    }
    let entitlements = "SELECT status, last_error FROM entitlements \
                        WHERE due_at_ms IS NOT NULL OR status NOT IN ('ready', 'suspended', 'deleted', 'failed')";
    if let Some(entitlement) = world.stores.rows("gateway", entitlements).await.first() {
        return Some(format!("an entitlement is {entitlement:?}"));
    }
    let mails = "SELECT status, last_error FROM deliveries WHERE status NOT IN ('sent', 'failed')";
    if let Some(mail) = world.stores.rows("notification", mails).await.first() {
        return Some(format!("a mail is {mail:?}"));
    }
    for service in SERVICES {
        let positions = "SELECT CAST((SELECT COALESCE(MAX(position), 0) FROM events) \
                         - (SELECT COALESCE(MAX(position), 0) FROM checkpoints WHERE name LIKE 'relay%') AS TEXT)";
        let behind = world.stores.number(service, positions).await;
        if behind > 0 {
            return Some(format!("the relay of {service} is {behind} events behind"));
        }
    }
    missing_mail(world, portal).await
}

fn is_taken_back(request: &Value) -> bool {
    let mut timeline = request["timeline"].as_array().unwrap().iter();
    timeline.any(|step| step["step"] == "deprovisioned")
}

/// Where a provider gives no way to find out what became of an attempt, it is an admin's turn after some of them.
async fn help(world: &World, portal: &Portal, id: &str, status: &str, expected: Expected) {
    if status == "failed" && expected == Expected::Active && !world.provider.reconciles() {
        let path = format!("/api/v1/access-requests/{id}/retry");
        // It may have been retried, or gone on, a moment ago.
        portal.admin.post(&path, json!({})).await;
    }
}

/// Every fact that somebody is to be told of has its mail.
async fn missing_mail(world: &World, portal: &Portal) -> Option<String> {
    let sql = "SELECT template, subject_id FROM deliveries";
    let queued = world.stores.rows("notification", sql).await;
    for (id, request) in portal.ledger.requests() {
        for event in &request.acknowledged {
            let template = match *event {
                "submitted" => "access_submitted",
                "rejected" => "access_rejected",
                "revoked" => "access_revoked",
                _ => continue,
            };
            if !queued
                .iter()
                .any(|mail| mail[0] == template && mail[1] == id)
            {
                return Some(format!("{id} has no mail {template}"));
            }
        }
    }
    None
}
