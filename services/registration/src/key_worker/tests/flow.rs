//! From the approval to a key that works, and back.

use portico_proto::access::v1 as access;
use portico_sandbox::gateway::DashboardSettings;
use uuid::Uuid;

use super::world::Keys;
use crate::gateways::{plan_policy_id, product_policy_id};
use crate::granted::{CatalogueChange, PlanChange, Rate};
use crate::key_order::{Command, KeyOrder};

fn kinds() -> [Option<DashboardSettings>; 2] {
    let without_ids = DashboardSettings {
        explicit_policy_ids: false,
        ..DashboardSettings::default()
    };
    [None, Some(without_ids)]
}

#[tokio::test]
async fn an_approval_makes_a_key_that_its_revocation_deletes() {
    for kind in kinds() {
        let mut keys = Keys::start(kind).await;
        let request = keys.approve(&["weather"]).await;
        keys.world.until_public("access_provisioned", 1).await;
        let key = keys.key(request, "weather").await;
        for status in [200, 200, 200, 429] {
            assert_eq!(keys.call("weather", &key).await, status);
        }
        assert_ne!(keys.call("maps", &key).await, 200);
        assert_eq!(keys.gateway.key_hashes().len(), 1);

        keys.revoke(request).await;
        keys.world.until_public("access_deprovisioned", 1).await;
        assert_eq!(keys.call("weather", &key).await, 403);
        assert!(keys.gateway.key_hashes().is_empty());
        assert!(
            keys.order(request)
                .await
                .keys
                .values()
                .all(|key| !key.may_exist())
        );
        assert!(!keys.said().await.contains(&key));
        assert_eq!(
            keys.world.subjects(),
            [
                "provisioning_started",
                "api_key_changed",
                "access_provisioned",
                "api_key_changed",
                "access_deprovisioned",
            ]
        );
        let rows = keys.world.texts("SELECT request_id FROM key_grants").await;
        assert!(rows.is_empty(), "{rows:?}");
    }
}

#[tokio::test]
async fn a_request_for_two_products_has_two_keys_and_a_shared_plan_stays_for_others() {
    let mut keys = Keys::start(None).await;
    let both = keys.approve(&["weather", "maps"]).await;
    let other = keys.approve(&["maps"]).await;
    keys.world.until_public("access_provisioned", 2).await;
    let weather = keys.key(both, "weather").await;
    let maps = keys.key(both, "maps").await;
    let others = keys.key(other, "maps").await;
    assert_eq!(keys.call("weather", &weather).await, 200);
    assert_ne!(keys.call("maps", &weather).await, 200);
    assert_eq!(keys.call("maps", &maps).await, 200);
    assert_eq!(keys.gateway.key_hashes().len(), 3);

    keys.revoke(both).await;
    keys.world.until_public("access_deprovisioned", 1).await;
    assert_eq!(keys.call("maps", &others).await, 200);
    assert!(keys.gateway.policy(&plan_policy_id("free")).is_some());
    assert!(keys.gateway.policy(&product_policy_id("weather")).is_none());

    keys.revoke(other).await;
    keys.world.until_public("access_deprovisioned", 2).await;
    assert!(keys.gateway.policy(&plan_policy_id("free")).is_none());
}

#[tokio::test]
async fn a_replaced_key_is_deleted_when_the_new_one_is_there() {
    let mut keys = Keys::start(None).await;
    let request = keys.approve(&["weather"]).await;
    keys.world.until_public("access_provisioned", 1).await;
    let old = keys.key(request, "weather").await;
    let key_id = *keys.order(request).await.keys.keys().next().unwrap();
    keys.world
        .execute::<KeyOrder>(request, &Command::Replace { key_id })
        .await;
    let replaced = |order: &KeyOrder| {
        let key = &order.keys[&key_id];
        key.attempt == 2 && key.made().is_some() && key.old.is_none()
    };
    keys.until(request, "replaced", replaced).await;
    let new = keys.key(request, "weather").await;
    assert_ne!(old, new);
    assert_eq!(keys.call("weather", &new).await, 200);
    assert_eq!(keys.call("weather", &old).await, 403);
    assert_eq!(keys.gateway.key_hashes().len(), 1);
    let place = crate::key_order::place_in_vault(key_id, 1);
    let owner = crate::key_order::owner(request);
    assert!(
        keys.world
            .vault
            .get(&owner, &place)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_suspension_deletes_the_key_and_its_end_makes_another() {
    let mut keys = Keys::start(None).await;
    let request = keys.approve(&["weather"]).await;
    keys.world.until_public("access_provisioned", 1).await;
    let old = keys.key(request, "weather").await;
    keys.world.suspend_application(true).await;
    let gone = |order: &KeyOrder| order.keys.values().all(|key| !key.may_exist());
    keys.until(request, "suspended", gone).await;
    assert_eq!(keys.call("weather", &old).await, 403);
    keys.world.suspend_application(false).await;
    keys.world.until_public("access_provisioned", 2).await;
    let new = keys.key(request, "weather").await;
    assert_eq!(keys.call("weather", &new).await, 200);

    let ids = (request.to_string(), keys.world.application_id.to_string());
    let suspended = access::AccessSuspended {
        request_id: ids.0.clone(),
        application_id: ids.1.clone(),
        ..Default::default()
    };
    keys.world
        .tell("portico.access.access_suspended", &suspended)
        .await;
    keys.until(request, "suspended", gone).await;
    let resumed = access::AccessResumed {
        request_id: ids.0,
        application_id: ids.1,
        ..Default::default()
    };
    keys.world
        .tell("portico.access.access_resumed", &resumed)
        .await;
    keys.world.until_public("access_provisioned", 3).await;
    assert_eq!(keys.gateway.key_hashes().len(), 1);
}

#[tokio::test]
async fn a_key_follows_the_limits_of_its_plan() {
    let mut keys = Keys::start(None).await;
    let request = keys.approve(&["weather"]).await;
    keys.world.until_public("access_provisioned", 1).await;
    let change = CatalogueChange::Plan(PlanChange {
        plan_id: "free".into(),
        version: 2,
        name: "FREE".into(),
        rate: Some(Rate {
            requests: 1,
            per_seconds: 60,
        }),
        ..PlanChange::default()
    });
    keys.world
        .execute::<KeyOrder>(request, &Command::FollowCatalogue(change))
        .await;
    keys.until(request, "up to date", |order| !order.outdated)
        .await;
    let key = keys.key(request, "weather").await;
    assert_eq!(keys.call("weather", &key).await, 200);
    assert_eq!(keys.call("weather", &key).await, 429);
}

#[tokio::test]
async fn a_revocation_that_comes_first_leaves_nothing() {
    let mut keys = Keys::start(None).await;
    let request = Uuid::from_u128(9);
    keys.revoke(request).await;
    keys.world.until_public("access_deprovisioned", 1).await;
    let granted = crate::key_order::Granted {
        application_id: keys.world.application_id,
        requester_id: String::new(),
        application: crate::granted::Application::default(),
        items: Vec::new(),
    };
    let order = keys
        .world
        .execute::<KeyOrder>(request, &Command::Grant(granted))
        .await;
    assert!(!order.is_wanted());
    assert!(keys.gateway.key_hashes().is_empty());
}
