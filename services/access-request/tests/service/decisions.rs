//! Approve, reject, withdraw, revoke, retry over gRPC.

use portico_bus::MemoryBus;
use portico_proto::{Kind, access::v1 as api, catalog};
use portico_runtime::Caller;

use crate::support::{
    FREE, MACHINE, PAYMENTS, PROVIDER, Portal, codes, order, policy, status, steps, update,
};

async fn submitted(portal: &Portal) -> String {
    let anna = portal.developer(1);
    let request = anna.submit_access_request(order(PAYMENTS, FREE));
    request.await.unwrap().id
}

#[tokio::test]
async fn an_approval_tells_both_halves_all_they_need() {
    let portal = Portal::running().await;
    let mut published = portal.published().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let id = submitted(&portal).await;
    portal.world.change(|known| {
        // What is granted is what the catalogue says now: the old scopes may be another product's.
        let payments = known.products.get_mut(&PAYMENTS.to_string()).unwrap();
        payments.scopes = vec!["other".into()];
        payments.name = "Renamed".into();
        payments.mapping = policy("policy-2".into());
        payments.version = 8;
    });
    let request = anna.get(&id).await.unwrap();
    let renamed = api::Application {
        name: "Store".into(),
        ..Default::default()
    };
    let update = update(&request.application_id, renamed, &["name"]);
    anna.update_application(update).await.unwrap();
    let approved = admin
        .approve_access_request(api::ApproveAccessRequestRequest {
            id: id.clone(),
            note: "Welcome, Anna".into(),
            if_version: 1,
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(status(&approved), "approved");
    assert_eq!(approved.application_name, "Store");
    assert_eq!(approved.timeline[1].detail, "Welcome, Anna");
    assert_eq!(approved.timeline[1].by, admin.id.to_string());

    let public: api::AccessApproved = published.next("access_approved").await;
    assert_eq!(public.approved_by, admin.id.to_string());
    let wanted = public.wanted.unwrap();
    assert_eq!(
        (&wanted.request_id, wanted.revision, wanted.state()),
        (&id, 1, api::wanted_access::State::Granted)
    );
    let asked = api::GetApplicationProfileRequest {
        application_id: wanted.application_id.clone(),
        profile_id: wanted.profile_id.clone(),
    };
    let registration = portal.actor(Caller::service("registration"));
    let profile = registration.get_application_profile(asked).await.unwrap();
    assert_eq!(profile.name, "Store");
    let client = api::OauthClientCredential {
        identity_provider_id: PROVIDER.to_string(),
        client_type_id: MACHINE.to_string(),
    };
    let client = api::wanted_access::Credential::OauthClient(client);
    assert_eq!(wanted.credential, Some(client));
    assert_eq!(
        wanted.items,
        [api::ApprovedItem {
            product_id: PAYMENTS.to_string(),
            product_name: "Renamed".into(),
            product_scopes: vec!["other".into()],
            product_policy_id: Some("policy-2".into()),
            apis: vec![api::ApprovedApi {
                api_id: "product_payments_api".into(),
                name: "Payments".into(),
                ..Default::default()
            }],
            plan_id: FREE.to_string(),
            plan_name: "Free".into(),
            plan_scopes: vec!["free_plan".into()],
            plan_policy_id: None,
            rate: Some(api::ApprovedRate {
                requests: 10,
                per_seconds: 60,
            }),
            quota: Some(api::ApprovedQuota {
                requests: 1000,
                renews_every_seconds: 3600,
            }),
            product_version: 8,
            plan_version: 3,
        }]
    );
}

#[tokio::test]
async fn twice_is_a_conflict_and_a_repetition_is_not() {
    let portal = Portal::running().await;
    let admin = portal.admin();
    let id = submitted(&portal).await;
    let approve = api::ApproveAccessRequestRequest {
        id: id.clone(),
        note: "ok".into(),
        if_version: 1,
        ..Default::default()
    };
    let first = admin.approve_keyed("k", approve.clone()).await.unwrap();
    portal.world.change(|known| known.products.clear());
    assert_eq!(admin.approve_keyed("k", approve.clone()).await, Ok(first));
    let mut other = approve.clone();
    other.note = "not ok".into();
    assert_eq!(
        codes(admin.approve_keyed("k", other).await),
        ["idempotency_key_reused"]
    );
    assert_eq!(
        codes(admin.approve_access_request(approve).await),
        ["version_mismatch"]
    );
    assert_eq!(codes(admin.approve(&id).await), ["already_approved"]);
    assert_eq!(
        codes(portal.developer(1).withdraw(&id).await),
        ["not_pending"]
    );
}

#[tokio::test]
async fn of_many_approvers_at_once_one_wins() {
    race(&Portal::running().await).await;
}

pub(crate) async fn race(portal: &Portal) {
    let admin = portal.admin();
    for _ in 0..5 {
        let id = submitted(portal).await;
        let results = futures::future::join_all((0..8).map(|_| admin.approve(&id))).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        for result in results.into_iter().filter(Result::is_err) {
            assert_eq!(codes(result), ["already_approved"]);
        }
        assert_eq!(
            steps(&admin.get(&id).await.unwrap()),
            ["submitted", "approved"]
        );
    }
}

#[tokio::test]
async fn what_was_deleted_meanwhile_cannot_be_approved() {
    let portal = Portal::running().await;
    let admin = portal.admin();
    let id = submitted(&portal).await;
    let free = portal
        .world
        .change(|known| known.plans.remove(&FREE.to_string()).unwrap());
    assert_eq!(codes(admin.approve(&id).await), ["plan_gone"]);
    portal.world.change(|known| {
        known.plans.insert(FREE.to_string(), free);
        let payments = known.products.get_mut(&PAYMENTS.to_string()).unwrap();
        payments.status = catalog::v1::ProductStatus::Deleted.into();
    });
    assert_eq!(codes(admin.approve(&id).await), ["product_gone"]);
    portal.world.change(|known| known.away = true);
    assert_eq!(
        admin.approve(&id).await.unwrap_err().kind,
        Kind::Unavailable
    );
    assert_eq!(status(&admin.get(&id).await.unwrap()), "pending");
}

#[tokio::test]
async fn a_rejection_needs_a_reason_that_the_bus_does_not_get() {
    let portal = Portal::running().await;
    let mut published = portal.published().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let id = submitted(&portal).await;
    assert_eq!(
        codes(admin.reject(&id, " ").await),
        ["reason reason_missing"]
    );
    let rejected = admin.reject(&id, "Ask Anna Example first").await.unwrap();
    assert_eq!(
        (status(&rejected), rejected.reason()),
        ("rejected", "Ask Anna Example first")
    );
    assert_eq!(rejected.timeline[1].detail, "Ask Anna Example first");
    let public: api::AccessRejected = published.next("access_rejected").await;
    assert_eq!(public.request_id, id);
    assert!(!format!("{public:?}").contains("Anna"));
    let service = portal.actor(Caller::service("notification"));
    assert_eq!(
        service.get(&id).await.unwrap().reason(),
        "Ask Anna Example first"
    );
    for event in portal.store.read(0, 100).await.unwrap() {
        assert!(!event.data.as_str().contains("Anna"), "{event:?}");
    }
    assert_eq!(codes(admin.approve(&id).await), ["already_rejected"]);
    assert_eq!(codes(anna.withdraw(&id).await), ["already_rejected"]);
}

#[tokio::test]
async fn withdrawing_and_revoking() {
    let portal = Portal::running().await;
    let mut published = portal.published().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let id = submitted(&portal).await;
    assert_eq!(codes(admin.withdraw(&id).await), ["forbidden"]);
    assert_eq!(codes(anna.revoke(&id).await), ["not_approved"]);
    assert_eq!(status(&anna.withdraw(&id).await.unwrap()), "withdrawn");
    let public: api::AccessWithdrawn = published.next("access_withdrawn").await;
    assert_eq!(public.request_id, id);
    assert_eq!(codes(admin.approve(&id).await), ["already_withdrawn"]);
    assert_eq!(codes(anna.withdraw(&id).await), ["already_withdrawn"]);

    for who in [&anna, &admin] {
        let id = submitted(&portal).await;
        admin.approve(&id).await.unwrap();
        assert_eq!(status(&who.revoke(&id).await.unwrap()), "revoked");
        let public: api::AccessRevoked = published.next("access_revoked").await;
        let wanted = public.wanted.unwrap();
        assert_eq!(
            (&wanted.request_id, wanted.state()),
            (&id, api::wanted_access::State::Revoked)
        );
        assert_eq!(codes(admin.approve(&id).await), ["already_revoked"]);
        assert_eq!(codes(who.revoke(&id).await), ["already_revoked"]);
        assert_eq!(codes(admin.retry(&id).await), ["already_revoked"]);
    }
}

#[tokio::test]
async fn others_find_nothing_and_may_do_nothing() {
    let portal = Portal::running().await;
    let (anna, bert) = (portal.developer(1), portal.developer(2));
    let id = submitted(&portal).await;
    assert_eq!(codes(bert.get(&id).await), ["not_found"]);
    assert_eq!(codes(bert.withdraw(&id).await), ["not_found"]);
    assert_eq!(codes(bert.revoke(&id).await), ["not_found"]);
    for developer in [&anna, &bert] {
        assert_eq!(codes(developer.approve(&id).await), ["forbidden"]);
        assert_eq!(codes(developer.reject(&id, "no").await), ["forbidden"]);
        assert_eq!(codes(developer.retry(&id).await), ["forbidden"]);
    }
    let nobody = portal.actor(Caller::Anonymous);
    assert_eq!(codes(nobody.get(&id).await), ["unauthenticated"]);
    assert_eq!(codes(nobody.approve(&id).await), ["unauthenticated"]);
    let service = portal.actor(Caller::service("registration"));
    assert_eq!(codes(service.approve(&id).await), ["forbidden"]);
    let nowhere = uuid::Uuid::from_u128(404).to_string();
    assert_eq!(codes(portal.admin().approve(&nowhere).await), ["not_found"]);
    assert_eq!(codes(portal.admin().get("x").await), ["id id_invalid"]);
}

#[tokio::test]
async fn what_was_committed_is_published_after_a_restart() {
    let portal = Portal::still(MemoryBus::new()).await;
    let id = submitted(&portal).await;
    portal.admin().approve(&id).await.unwrap();
    let mut portal = portal.restart(MemoryBus::new()).await;
    portal.run().await;
    let mut published = portal.published().await;
    let public: api::AccessApproved = published.next("access_approved").await;
    assert_eq!(public.wanted.unwrap().request_id, id);
}
