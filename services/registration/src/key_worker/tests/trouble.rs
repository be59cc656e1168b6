//! Lost answers, gateways that fail or refuse, and processes that end in the middle.

use portico_sandbox::gateway::DashboardSettings;
use portico_vault::Secret;

use super::world::Keys;
use crate::key_order::{Command, KeyOrder, Place, key_id, owner, place_in_vault};

#[tokio::test]
async fn a_key_whose_answer_got_lost_is_deleted_and_made_anew() {
    for kind in [None, Some(DashboardSettings::default())] {
        let mut keys = Keys::start(kind).await;
        keys.gateway.lose_next_keys(2, 504);
        let request = keys.approve(&["weather"]).await;
        keys.world.until_public("access_provisioned", 1).await;
        assert_eq!(keys.gateway.key_hashes().len(), 1, "no key is left over");
        let key = keys.key(request, "weather").await;
        assert_eq!(keys.call("weather", &key).await, 200);
        let order = keys.order(request).await;
        assert_eq!(order.keys.values().next().unwrap().attempt, 3);
    }
}

#[tokio::test]
async fn a_gateway_that_fails_is_tried_again() {
    let mut keys = Keys::prepare(None).await;
    keys.gateway.fail_next_control(3, 503);
    keys.world.run().await;
    let request = keys.approve(&["weather"]).await;
    keys.world.until_public("access_provisioned", 1).await;
    assert!(!keys.world.public("provisioning_delayed").is_empty());
    let order = keys.order(request).await;
    assert_eq!(order.last_error(), None);
    assert_eq!(keys.gateway.key_hashes().len(), 1);
}

#[tokio::test]
async fn what_the_gateway_refuses_is_parked_with_its_words_until_it_is_retried() {
    let mut keys = Keys::prepare(None).await;
    keys.gateway.fail_next_control(1, 403);
    keys.world.run().await;
    let request = keys.approve(&["weather"]).await;
    keys.world.until_public("provisioning_failed", 1).await;
    let order = keys.order(request).await;
    let words = order.last_error().unwrap();
    assert_eq!(words.code, "gateway_secret_refused");
    assert_eq!(words.reason, "the double was told to fail");
    let said = keys.world.public("provisioning_failed");
    let said: portico_proto::registration::v1::ProvisioningFailed =
        prost::Message::decode(said[0].payload.clone()).unwrap();
    assert_eq!(said.identity_provider_name, "Tyk");
    keys.retry(request).await;
    keys.world.until_public("access_provisioned", 1).await;
    assert_eq!(keys.gateway.key_hashes().len(), 1);
}

#[tokio::test]
async fn a_product_at_no_gateway_is_parked_by_name() {
    let mut keys = Keys::start(None).await;
    let request = keys.approve(&["elsewhere"]).await;
    let failed = keys
        .until(request, "parked", |order| order.failed.is_some())
        .await;
    assert_eq!(failed.failed.unwrap().code, "api_not_at_gateway");
}

#[tokio::test]
async fn a_deletion_is_repeated_until_it_succeeds_and_gone_is_done() {
    let mut keys = Keys::start(None).await;
    let request = keys.approve(&["weather"]).await;
    keys.world.until_public("access_provisioned", 1).await;
    keys.gateway.fail_next_control(2, 500);
    keys.revoke(request).await;
    keys.world.until_public("access_deprovisioned", 1).await;
    assert!(keys.gateway.key_hashes().is_empty());

    let request = keys.approve(&["weather"]).await;
    keys.world.until_public("access_provisioned", 2).await;
    let mapper =
        crate::mapping::Mapper::new(&keys.world.deps, &keys.world.store, &keys.world.vault);
    assert_eq!(mapper.drift(keys.gateway_id).await.unwrap(), []);
    for hash in keys.gateway.key_hashes() {
        assert!(keys.gateway.remove_key(&hash));
    }
    let drift = mapper.drift(keys.gateway_id).await.unwrap();
    assert_eq!(drift.len(), 1);
    assert_eq!(
        (drift[0].kind, drift[0].wanted.as_str()),
        ("key_missing", "an API key for WEATHER")
    );
    keys.revoke(request).await;
    keys.world.until_public("access_deprovisioned", 2).await;
}

/// As a process leaves it that ends between the intent and its outcome.
async fn intended(keys: &Keys, request: uuid::Uuid) -> uuid::Uuid {
    let id = key_id(request, "weather", keys.gateway_id);
    let places = vec![Place {
        key_id: id,
        product_id: "weather".into(),
        gateway_id: keys.gateway_id,
        api_ids: vec!["weather".into()],
    }];
    for command in [
        Command::Grant(keys.granted()),
        Command::Place { places },
        Command::Intend { key_id: id },
    ] {
        keys.world.execute::<KeyOrder>(request, &command).await;
    }
    id
}

#[tokio::test]
async fn a_process_that_ends_after_the_call_leaves_no_key_behind() {
    let mut keys = Keys::prepare(None).await;
    let request = keys.world.deps.clock.new_id();
    let id = intended(&keys, request).await;
    let lost = keys.gateway.add_key(serde_json::json!({
        "alias": crate::key_order::marker(id, 1), "apply_policies": ["noop"],
    }));
    let foreign = keys
        .gateway
        .add_key(serde_json::json!({"alias": "somebody's"}));
    keys.world.run().await;
    keys.world.until_public("access_provisioned", 1).await;
    let hashes = keys.gateway.key_hashes();
    assert!(hashes.contains(&foreign) && !hashes.contains(&lost));
    assert_eq!(hashes.len(), 2);
}

#[tokio::test]
async fn an_answer_that_was_kept_is_taken_up() {
    let mut keys = Keys::prepare(None).await;
    let request = keys.world.deps.clock.new_id();
    let id = intended(&keys, request).await;
    let hash = keys.gateway.add_key(serde_json::json!({
        "alias": crate::key_order::marker(id, 1), "apply_policies": ["noop"],
    }));
    let kept = serde_json::json!({"key": "the-key", "hash": hash}).to_string();
    keys.world
        .vault
        .put_at(place_in_vault(id, 1), &owner(request), &Secret::new(kept))
        .await
        .unwrap();
    keys.world.run().await;
    keys.world.until_public("access_provisioned", 1).await;
    assert_eq!(keys.gateway.key_hashes(), [hash]);
    assert_eq!(keys.key(request, "weather").await, "the-key");
}

#[tokio::test]
async fn an_attempt_under_way_is_undone_by_a_revocation() {
    let mut keys = Keys::prepare(None).await;
    let request = keys.world.deps.clock.new_id();
    let id = intended(&keys, request).await;
    keys.gateway.add_key(serde_json::json!({
        "alias": crate::key_order::marker(id, 1), "apply_policies": ["noop"],
    }));
    keys.world.run().await;
    keys.revoke(request).await;
    keys.world.until_public("access_deprovisioned", 1).await;
    assert!(keys.gateway.key_hashes().is_empty());
}
