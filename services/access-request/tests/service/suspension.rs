//! Access and applications that an admin stops for a time, and what is tried again at once.

use portico_proto::access::v1 as api;

use crate::support::{
    FREE, ORDERS, PAYMENTS, PROVIDER, Portal, by_registration, codes, existing, failed, order,
    status,
};

fn suspend(id: &str, reason: &str) -> api::SuspendAccessRequestRequest {
    api::SuspendAccessRequestRequest {
        id: id.into(),
        reason: reason.into(),
        if_version: 0,
    }
}

fn resume(id: &str) -> api::ResumeAccessRequestRequest {
    api::ResumeAccessRequestRequest {
        id: id.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn access_is_taken_away_for_a_time() {
    let portal = Portal::running().await;
    let mut published = portal.published().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let submitted = anna.submit_access_request(order(PAYMENTS, FREE)).await;
    let id = submitted.unwrap().id;
    assert_eq!(
        codes(admin.suspend_access_request(suspend(&id, "")).await),
        ["not_approved"]
    );
    admin.approve(&id).await.unwrap();
    assert_eq!(
        codes(anna.suspend_access_request(suspend(&id, "")).await),
        ["forbidden"]
    );
    let suspended = admin
        .suspend_access_request(suspend(&id, "Too many errors."))
        .await
        .unwrap();
    assert_eq!(status(&suspended), "suspended");
    assert_eq!(suspended.reason(), "Too many errors.");
    let message: api::AccessSuspended = published.next("access_suspended").await;
    let wanted = message.wanted.unwrap();
    assert_eq!((&wanted.request_id, wanted.revision), (&id, 2));
    assert_eq!(wanted.state(), api::wanted_access::State::Suspended);
    let resumed = admin.resume_access_request(resume(&id)).await.unwrap();
    assert_eq!((status(&resumed), resumed.reason), ("approved", None));
    let message: api::AccessResumed = published.next("access_resumed").await;
    let wanted = message.wanted.unwrap();
    assert_eq!((&wanted.request_id, wanted.revision), (&id, 3));
    assert_eq!(wanted.state(), api::wanted_access::State::Granted);
    assert_eq!(
        codes(admin.resume_access_request(resume(&id)).await),
        ["not_suspended"]
    );
}

#[tokio::test]
async fn a_suspended_application_asks_for_nothing() {
    let portal = Portal::running().await;
    let mut published = portal.published().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let submitted = anna.submit_access_request(order(PAYMENTS, FREE)).await;
    let application = submitted.unwrap().application_id;
    let suspend = api::SuspendApplicationRequest {
        id: application.clone(),
        if_version: 0,
    };
    assert_eq!(
        codes(anna.suspend_application(suspend.clone()).await),
        ["forbidden"]
    );
    let suspended = admin.suspend_application(suspend.clone()).await.unwrap();
    assert!(suspended.suspended);
    // Once.
    assert_eq!(admin.suspend_application(suspend).await.unwrap(), suspended);
    let message: api::ApplicationChanged = published.next("application_changed").await;
    assert!(message.suspended);
    let mut another = order(ORDERS, FREE);
    another.target = Some(existing(&application));
    assert_eq!(
        codes(anna.submit_access_request(another.clone()).await),
        ["application_id application_suspended"]
    );
    let resume = api::ResumeApplicationRequest {
        id: application,
        if_version: 0,
    };
    assert!(!admin.resume_application(resume).await.unwrap().suspended);
    let message: api::ApplicationChanged = published.next("application_changed").await;
    assert!(!message.suspended);
    anna.submit_access_request(another).await.unwrap();
}

#[tokio::test]
async fn everything_that_failed_at_a_provider_is_tried_again() {
    let portal = Portal::running().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let mut ids = Vec::new();
    for _ in 0..3 {
        let submitted = anna.submit_access_request(order(PAYMENTS, FREE)).await;
        ids.push(submitted.unwrap().id);
    }
    for (position, id) in (1..).zip(&ids[..2]) {
        admin.approve(id).await.unwrap();
        let message = by_registration(id, 1, position, failed("http_503", ""));
        portal.bus_publish(message).await;
    }
    for id in &ids[..2] {
        anna.until(id, "failed").await;
    }
    let all = |provider: String| api::RetryAccessRequestsRequest {
        identity_provider_id: provider,
    };
    let elsewhere = admin.retry_access_requests(all(FREE.to_string())).await;
    assert_eq!(elsewhere.unwrap().access_requests, 0);
    let here = admin
        .retry_access_requests(all(PROVIDER.to_string()))
        .await
        .unwrap();
    assert_eq!((here.access_requests, here.more), (2, false));
    for id in &ids[..2] {
        assert_eq!(status(&admin.get(id).await.unwrap()), "approved");
    }
}
