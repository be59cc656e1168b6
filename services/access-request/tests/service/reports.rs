//! What the two halves report, over a bus that duplicates and reorders.

use std::time::Duration;

use portico_bus::{Bus as _, Faults, MemoryBus, Message};
use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::access::v1::{self as api, report, report::Outcome};
use portico_runtime::Caller;

use crate::support::{
    DEADLINE, FREE, MACHINE, ORDERS, PAYMENTS, PROVIDER, Portal, by_gateway, by_registration,
    codes, done, failed, order, status, steps,
};

/// All that both halves report of the first revision of two requests.
fn reports_of(both: &[String; 2]) -> Vec<Message> {
    let started = || Outcome::Started(report::Started {});
    let mut messages = Vec::new();
    for (n, id) in (0..).zip(both) {
        let delayed = Outcome::Delayed(report::Delayed {
            code: "http_503".into(),
            reason: "503".into(),
            next_try_at: None,
        });
        messages.extend([
            by_registration(id, 1, 1 + n, started()),
            by_registration(id, 1, 3 + n, delayed),
            by_registration(id, 1, 10 + n, done()),
            by_gateway(id, 1, 1 + n, started()),
            by_gateway(id, 1, 20 + n, done()),
        ]);
    }
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
        let mut both = [String::new(), String::new()];
        for (id, product) in both.iter_mut().zip([PAYMENTS, ORDERS]) {
            let submitted = anna.submit_access_request(order(product, FREE)).await;
            *id = submitted.unwrap().id;
            admin.approve(id).await.unwrap();
        }
        let mut receipts = Vec::new();
        for message in reports_of(&both) {
            receipts.push(portal.bus.publish(message).await.unwrap());
        }
        let settled = futures::future::try_join_all(receipts);
        tokio::time::timeout(DEADLINE, settled)
            .await
            .unwrap()
            .unwrap();
        for id in &both {
            let request = anna.get(id).await.unwrap();
            assert_eq!(status(&request), "active", "seed {seed}");
            assert_eq!((request.reason.as_ref(), request.next_try_at), (None, None));
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
            let by = [4, 5, 6].map(|step: usize| request.timeline[step].by.as_str());
            assert_eq!(
                by,
                [
                    "service:registration",
                    "service:gateway",
                    "service:access-request"
                ]
            );
        }
        assert_equal_a_rebuild(&portal.store).await;
    }
}

async fn approved(portal: &Portal) -> String {
    let anna = portal.developer(1);
    let submitted = anna.submit_access_request(order(PAYMENTS, FREE)).await;
    let id = submitted.unwrap().id;
    portal.admin().approve(&id).await.unwrap();
    id
}

#[tokio::test]
async fn a_failure_is_shown_and_both_halves_try_again() {
    let portal = Portal::running().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let mut published = portal.published().await;
    let id = approved(&portal).await;
    portal.bus_publish(by_gateway(&id, 1, 1, done())).await;
    let refused = failed(
        "insufficient_scope",
        "Not permitted to use specified clientScope",
    );
    portal
        .bus_publish(by_registration(&id, 1, 5, refused.clone()))
        .await;
    let request = anna.until(&id, "failed").await;
    assert_eq!(
        request.reason(),
        "insufficient_scope: Not permitted to use specified clientScope"
    );
    let told: api::AccessFailed = published.next("access_failed").await;
    assert_eq!(
        (told.half(), told.neighbour_name()),
        (api::Half::Registration, "Corporate")
    );
    assert_eq!(
        (told.code.as_str(), told.reason.as_str()),
        (
            "insufficient_scope",
            "Not permitted to use specified clientScope"
        )
    );

    let again = admin.retry(&id).await.unwrap();
    assert_eq!((status(&again), again.reason), ("approved", None));
    let retried: api::AccessRetried = published.next("access_retried").await;
    assert_eq!(retried.wanted.unwrap().revision, 2);

    // The old failure under another id, late: it is of the revision before.
    let mut late = by_registration(&id, 1, 5, refused);
    late.id = uuid::Uuid::from_u128(77);
    portal.bus_publish(late).await;
    assert_eq!(status(&anna.get(&id).await.unwrap()), "approved");

    // The gateway had finished, and repeats its answer.
    portal.bus_publish(by_gateway(&id, 2, 2, done())).await;
    portal.bus_publish(by_registration(&id, 2, 9, done())).await;
    anna.until(&id, "active").await;
    let told: api::AccessActivated = published.next("access_activated").await;
    assert_eq!(
        (told.revision, told.cause()),
        (2, api::access_activated::Cause::Retried)
    );
    assert_eq!(told.product_names, ["Payments"]);
}

#[tokio::test]
async fn a_revocation_ends_when_both_have_taken_the_access_away() {
    let portal = Portal::running().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let mut published = portal.published().await;
    let id = approved(&portal).await;
    admin.revoke(&id).await.unwrap();
    let never = Outcome::NothingToDo(report::NothingToDo::default());
    // What the revocation overtook is of no account.
    for message in [
        by_registration(&id, 1, 1, done()),
        by_gateway(&id, 1, 1, done()),
        by_gateway(&id, 2, 2, never),
    ] {
        portal.bus_publish(message).await;
    }
    assert!(!steps(&anna.get(&id).await.unwrap()).contains(&"deprovisioned"));
    portal
        .bus_publish(by_registration(&id, 2, 12, done()))
        .await;
    let ended: api::AccessEnded = published.next("access_ended").await;
    assert_eq!((&ended.request_id, ended.client_deleted), (&id, false));
    let request = anna.get(&id).await.unwrap();
    assert_eq!(status(&request), "revoked");
    let last = request.timeline.last().unwrap();
    assert_eq!(
        (last.step(), last.detail.as_str()),
        (api::TimelineStep::Deprovisioned, "scopes_removed")
    );
}

#[tokio::test]
async fn a_client_is_activated_while_a_request_of_it_is_active_or_was_before_it_was_suspended() {
    let portal = Portal::running().await;
    let service = portal.actor(Caller::service("registration"));
    let (anna, admin) = (portal.developer(1), portal.admin());
    let id = approved(&portal).await;
    let application_id = anna.get(&id).await.unwrap().application_id;
    let activation = |provider: uuid::Uuid| api::GetActivationRequest {
        application_id: application_id.clone(),
        identity_provider_id: provider.to_string(),
    };
    assert_eq!(
        codes(admin.get_activation(activation(PROVIDER)).await),
        ["forbidden"]
    );
    let activated = async |provider| {
        let answer = service.get_activation(activation(provider)).await;
        answer.unwrap().activated
    };
    portal.bus_publish(by_registration(&id, 1, 1, done())).await;
    anna.until(&id, "provisioning").await;
    assert!(!activated(PROVIDER).await);
    portal.bus_publish(by_gateway(&id, 1, 1, done())).await;
    anna.until(&id, "active").await;
    assert!(activated(PROVIDER).await);
    assert!(!activated(MACHINE).await);
    let suspend = api::SuspendAccessRequestRequest {
        id: id.clone(),
        ..Default::default()
    };
    admin.suspend_access_request(suspend).await.unwrap();
    assert!(activated(PROVIDER).await);
    let resume = api::ResumeAccessRequestRequest {
        id: id.clone(),
        ..Default::default()
    };
    admin.resume_access_request(resume).await.unwrap();
    assert!(!activated(PROVIDER).await);
    for message in [
        by_registration(&id, 3, 2, done()),
        by_gateway(&id, 3, 2, done()),
    ] {
        portal.bus_publish(message).await;
    }
    anna.until(&id, "active").await;
    assert!(activated(PROVIDER).await);
    // From now on the application may have another client there, which was never active.
    let broken = failed("client_gone", "");
    portal.bus_publish(by_registration(&id, 3, 3, broken)).await;
    anna.until(&id, "failed").await;
    assert!(!activated(PROVIDER).await);
    admin.revoke(&id).await.unwrap();
    assert!(!activated(PROVIDER).await);
}

#[tokio::test]
async fn what_cannot_be_read_is_parked() {
    let portal = Portal::running().await;
    let unknown = uuid::Uuid::from_u128(404).to_string();
    let mut without_place = by_gateway(&unknown, 1, 2, done());
    without_place.headers.clear();
    for message in [by_registration(&unknown, 1, 1, done()), without_place] {
        portal.bus_publish(message).await;
    }
    let parked = portico_eventstore::consumer::parked(portal.store.database(), "access-request");
    assert_eq!(parked.await.unwrap(), 2);
}
