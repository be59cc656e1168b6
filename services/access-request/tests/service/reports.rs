//! What the registration service reports, over a bus that duplicates and reorders.

use std::time::Duration;

use portico_bus::{Bus as _, Faults, MemoryBus, Message};
use portico_proto::registration::v1 as public;

use crate::support::{DEADLINE, FREE, ORDERS, PAYMENTS, Portal, order, reported, steps};

/// All that the registration service publishes of two requests that share a client.
fn registration_of(both: &[String; 2]) -> Vec<Message> {
    let mut messages = Vec::new();
    for (n, id) in (0..).zip(both) {
        let request_id = id.clone();
        messages.push(reported(
            "provisioning_started",
            1 + n,
            &public::ProvisioningStarted {
                request_id: request_id.clone(),
                ..Default::default()
            },
        ));
        messages.push(reported(
            "provisioning_delayed",
            3 + n,
            &public::ProvisioningDelayed {
                request_id: request_id.clone(),
                reason: "503".into(),
                next_try_at: "2026-01-01T00:00:00Z".into(),
                ..Default::default()
            },
        ));
        messages.push(reported(
            "access_provisioned",
            20 + n,
            &public::AccessProvisioned {
                request_id,
                ..Default::default()
            },
        ));
    }
    messages.push(reported(
        "client_registered",
        10,
        &public::ClientRegistered {
            client_id: "client-1".into(),
            request_ids: both.to_vec(),
            ..Default::default()
        },
    ));
    messages.push(reported(
        "gateway_mapped",
        11,
        &public::GatewayMapped {
            request_ids: both.to_vec(),
            ..Default::default()
        },
    ));
    messages
}

#[tokio::test]
async fn reports_lead_to_active_whatever_the_bus_does() {
    for seed in 0..4 {
        let mut portal = Portal::still(MemoryBus::with_faults(Faults {
            seed,
            duplicate: 0.5,
            delay: Duration::from_millis(5),
            reorder: 0.5,
            drop: 0.1,
        }))
        .await;
        portal.run().await;
        let (anna, admin) = (portal.developer(1), portal.admin());
        let first = anna
            .submit_access_request(order(PAYMENTS, FREE))
            .await
            .unwrap()
            .id;
        let second = anna
            .submit_access_request(order(ORDERS, FREE))
            .await
            .unwrap()
            .id;
        admin.approve(&first).await.unwrap();
        admin.approve(&second).await.unwrap();
        let both = [first, second];
        let mut receipts = Vec::new();
        for message in registration_of(&both) {
            receipts.push(portal.bus.publish(message).await.unwrap());
        }
        let settled = futures::future::try_join_all(receipts);
        tokio::time::timeout(DEADLINE, settled)
            .await
            .unwrap()
            .unwrap();
        for id in &both {
            let request = anna.get(id).await.unwrap();
            assert_eq!(request.status, "active", "seed {seed}");
            assert_eq!(
                (request.reason.as_str(), request.next_try_at.as_str()),
                ("", "")
            );
            assert_eq!(
                steps(&request),
                [
                    "submitted",
                    "approved",
                    "registering",
                    "delayed",
                    "registered",
                    "mapped",
                    "provisioned"
                ],
                "seed {seed}"
            );
            assert_eq!(request.timeline[3].detail, "503");
            assert_eq!(request.timeline[4].detail, "client-1");
            assert_eq!(request.timeline[4].by, "service:registration");
        }
        let live = portal.views().await;
        portal.store.replay(|_| {}).await.unwrap();
        assert_eq!(portal.views().await, live);
    }
}

#[tokio::test]
async fn a_failure_is_shown_and_tried_again() {
    let portal = Portal::running().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let mut published = portal.published().await;
    let id = anna
        .submit_access_request(order(PAYMENTS, FREE))
        .await
        .unwrap()
        .id;
    admin.approve(&id).await.unwrap();
    let failed = public::ProvisioningFailed {
        request_id: id.clone(),
        code: "insufficient_scope".into(),
        reason: "Not permitted to use specified clientScope".into(),
        ..Default::default()
    };
    let receipt = portal
        .bus
        .publish(reported("provisioning_failed", 5, &failed))
        .await
        .unwrap();
    receipt.await.unwrap();
    let request = anna.until(&id, "failed").await;
    assert_eq!(
        request.reason,
        "insufficient_scope: Not permitted to use specified clientScope"
    );
    let again = admin.retry(&id).await.unwrap();
    assert_eq!(
        (again.status.as_str(), again.reason.as_str()),
        ("approved", "")
    );
    let retried: portico_proto::access::v1::AccessRetried = published.next("access_retried").await;
    assert_eq!(retried.request_id, id);

    // The old failure under another id, late: it is of the attempt before.
    let mut late = reported("provisioning_failed", 5, &failed);
    late.id = uuid::Uuid::from_u128(77);
    portal.bus.publish(late).await.unwrap().await.unwrap();
    assert_eq!(anna.get(&id).await.unwrap().status, "approved");

    let done = public::AccessProvisioned {
        request_id: id.clone(),
        ..Default::default()
    };
    portal
        .bus
        .publish(reported("access_provisioned", 9, &done))
        .await
        .unwrap()
        .await
        .unwrap();
    anna.until(&id, "active").await;
    admin.revoke(&id).await.unwrap();
    let gone = public::AccessDeprovisioned {
        request_id: id.clone(),
        client_deleted: true,
        ..Default::default()
    };
    portal
        .bus
        .publish(reported("access_deprovisioned", 12, &gone))
        .await
        .unwrap()
        .await
        .unwrap();
    let request = anna.get(&id).await.unwrap();
    assert_eq!(request.status, "revoked");
    assert!(steps(&request).contains(&"deprovisioned"));
}

#[tokio::test]
async fn what_cannot_be_read_is_parked() {
    let portal = Portal::running().await;
    let unknown = public::ProvisioningStarted {
        request_id: uuid::Uuid::from_u128(404).to_string(),
        ..Default::default()
    };
    let mut without_place = reported("provisioning_started", 2, &unknown);
    without_place.headers.clear();
    for message in [reported("provisioning_started", 1, &unknown), without_place] {
        portal.bus.publish(message).await.unwrap().await.unwrap();
    }
    let parked = portico_eventstore::consumer::parked(portal.store.database(), "access-request");
    assert_eq!(parked.await.unwrap(), 2);
}
