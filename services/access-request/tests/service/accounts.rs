//! What becomes of access when the account of its requester is suspended, activated or erased.

use portico_access_request::access_request::{AccessRequest, AccountStatus, Command, request};
use portico_eventstore::testing::context;
use portico_proto::{
    access::v1 as api,
    accounts::v1::{UserActivated, UserErased, UserSuspended},
};
use uuid::Uuid;

use crate::{
    actor::Actor,
    support::{
        AUTO, FREE, ORDERS, PAYMENTS, Portal, codes, existing, foreign, order, status, steps,
    },
};

/// Somebody with access to payments; the request's id.
async fn granted(portal: &Portal, who: &Actor) -> api::AccessRequest {
    let submitted = who.submit_access_request(order(PAYMENTS, FREE)).await;
    portal
        .admin()
        .approve(&submitted.unwrap().id)
        .await
        .unwrap()
}

async fn suspend(portal: &Portal, who: &Actor, position: i64) {
    let user_id = who.id.to_string();
    let message = UserSuspended { user_id };
    portal
        .bus_publish(foreign("accounts.user_suspended", position, &message))
        .await;
}

async fn activate(portal: &Portal, who: &Actor, position: i64) {
    let user_id = who.id.to_string();
    let message = UserActivated { user_id };
    portal
        .bus_publish(foreign("accounts.user_activated", position, &message))
        .await;
}

async fn erase(portal: &Portal, who: &Actor, position: i64) {
    let user_id = who.id.to_string();
    let message = UserErased { user_id };
    portal
        .bus_publish(foreign("accounts.user_erased", position, &message))
        .await;
}

#[tokio::test]
async fn access_is_suspended_with_the_account_and_comes_back_with_it() {
    let portal = Portal::running().await;
    let mut published = portal.published().await;
    let (anna, bert) = (portal.developer(1), portal.developer(2));
    let id = granted(&portal, &anna).await.id;
    let others = granted(&portal, &bert).await.id;
    suspend(&portal, &anna, 1).await;
    let request = anna.until(&id, "suspended").await;
    assert!(request.account_suspended);
    assert_eq!(
        steps(&request),
        ["submitted", "approved", "account_suspended"]
    );
    let message: api::AccessSuspended = published.next("access_suspended").await;
    assert!(message.with_account);
    let wanted = message.wanted.unwrap();
    assert_eq!((&wanted.request_id, wanted.revision), (&id, 2));
    assert_eq!(wanted.state(), api::wanted_access::State::Suspended);
    assert_eq!(
        codes(portal.admin().resume_access_request(resume(&id)).await),
        ["requester_suspended"]
    );

    activate(&portal, &anna, 2).await;
    let request = anna.until(&id, "approved").await;
    assert!(!request.account_suspended);
    let message: api::AccessResumed = published.next("access_resumed").await;
    let wanted = message.wanted.unwrap();
    assert_eq!((&wanted.request_id, wanted.revision), (&id, 3));
    assert_eq!(wanted.state(), api::wanted_access::State::Granted);
    assert_eq!(status(&bert.get(&others).await.unwrap()), "approved");
}

fn resume(id: &str) -> api::ResumeAccessRequestRequest {
    api::ResumeAccessRequestRequest {
        id: id.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_admins_suspension_outlasts_the_accounts() {
    let portal = Portal::running().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let both = granted(&portal, &anna).await.id;
    let account_only = granted(&portal, &anna).await.id;
    let suspension = api::SuspendAccessRequestRequest {
        id: both.clone(),
        reason: "Too many errors.".into(),
        if_version: 0,
    };
    admin.suspend_access_request(suspension).await.unwrap();
    suspend(&portal, &anna, 1).await;
    anna.until(&account_only, "suspended").await;
    activate(&portal, &anna, 2).await;
    anna.until(&account_only, "approved").await;
    let held = steps_until(&anna, &both, "account_activated").await;
    assert_eq!(status(&held), "suspended");
    assert!(!held.account_suspended);
    assert_eq!(held.reason(), "Too many errors.");
    let resumed = admin.resume_access_request(resume(&both)).await.unwrap();
    assert_eq!(status(&resumed), "approved");
}

/// The request once this step is its last.
async fn steps_until(who: &Actor, id: &str, step: &str) -> api::AccessRequest {
    let reached = async {
        loop {
            let request = who.get(id).await.unwrap();
            if steps(&request).last() == Some(&step) {
                return request;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::support::DEADLINE, reached)
        .await
        .unwrap()
}

#[tokio::test]
async fn nothing_is_granted_to_a_suspended_developer() {
    let portal = Portal::running().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let first = granted(&portal, &anna).await;
    let mut asked = order(ORDERS, FREE);
    asked.target = Some(existing(&first.application_id));
    let pending = anna.submit_access_request(asked).await.unwrap().id;
    suspend(&portal, &anna, 1).await;
    anna.until(&first.id, "suspended").await;
    assert_eq!(
        codes(admin.approve(&pending).await),
        ["requester_suspended"]
    );
    // Submitted in the last second of a session.
    let automatic = anna.submit_access_request(order(PAYMENTS, AUTO)).await;
    let automatic = automatic.unwrap();
    assert_eq!(status(&automatic), "pending");
    assert_eq!(status(&anna.get(&pending).await.unwrap()), "pending");

    activate(&portal, &anna, 2).await;
    anna.until(&automatic.id, "approved").await;
    let approved = admin.approve(&pending).await.unwrap();
    assert_eq!(status(&approved), "approved");
}

#[tokio::test]
async fn erasure_revokes_and_withdraws() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let active = granted(&portal, &anna).await.id;
    let suspended = granted(&portal, &anna).await.id;
    let pending = anna.submit_access_request(order(PAYMENTS, FREE)).await;
    let pending = pending.unwrap().id;
    suspend(&portal, &anna, 1).await;
    anna.until(&suspended, "suspended").await;
    erase(&portal, &anna, 2).await;
    for (id, end) in [
        (&active, "revoked"),
        (&suspended, "revoked"),
        (&pending, "withdrawn"),
    ] {
        anna.until(id, end).await;
    }
    assert_eq!(
        codes(portal.admin().approve(&pending).await),
        ["already_withdrawn"]
    );
    // Submitted in the last second of a session.
    let late = anna.submit_access_request(order(PAYMENTS, AUTO)).await;
    anna.until(&late.unwrap().id, "withdrawn").await;
}

#[tokio::test]
async fn an_approval_that_did_not_know_of_the_suspension_is_overtaken_by_it() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let known = granted(&portal, &anna).await.id;
    let pending = anna.submit_access_request(order(PAYMENTS, FREE)).await;
    let pending = pending.unwrap().id;
    suspend(&portal, &anna, 1).await;
    anna.until(&known, "suspended").await;
    // Decided in another process a moment before the note of the suspension, and appended after it.
    let approve = Command::Request(request::Command::Approve {
        items: Vec::new(),
        note: None,
        account: AccountStatus::Active,
    });
    portal
        .store
        .execute::<AccessRequest>(
            pending.parse().unwrap(),
            &approve,
            &context(Uuid::from_u128(77)),
        )
        .await
        .unwrap();
    let request = anna.until(&pending, "suspended").await;
    assert!(request.account_suspended);
}
