//! API keys, by both control APIs.

use portico_sandbox::gateway::DashboardSettings;

use super::*;

async fn worlds() -> Vec<World> {
    let setup = DashboardSettings {
        explicit_policy_ids: false,
        ..DashboardSettings::default()
    };
    let worlds = vec![World::start().await, World::start_with(Some(setup)).await];
    for world in &worlds {
        let upstream = world.gateway.api("pay").unwrap()["proxy"]["target_url"].clone();
        let api = seed::key_api("store", "store", "/store/", upstream.as_str().unwrap());
        world.gateway.load(vec![api], vec![]).unwrap();
    }
    worlds
}

fn wanted(world: &World) -> (Vec<WantedPolicy>, WantedKey) {
    let policies = world.wanted("store", Owned::default()).policies;
    let key = WantedKey {
        marker: "portico-r1-1".into(),
        policies: policies.iter().map(|policy| policy.id.clone()).collect(),
        api_ids: vec!["store".into()],
    };
    (policies, key)
}

#[tokio::test]
async fn a_key_opens_what_its_policies_say_until_it_is_deleted() {
    for world in worlds().await {
        let session = world.session();
        let (policies, wanted) = wanted(&world);
        let missing = world
            .driver
            .create_key(&session, &wanted)
            .await
            .unwrap_err();
        assert_eq!(missing.code, "policy_not_at_gateway");
        for _ in 0..2 {
            world
                .driver
                .write_policies(&session, &policies)
                .await
                .unwrap();
        }
        let created = world.driver.create_key(&session, &wanted).await.unwrap();
        assert_ne!(created.key.expose(), created.hash);
        let key = created.key.expose();
        assert_eq!(world.call_with("store", key).await.0, 200);
        assert_eq!(world.call_with("store", key).await.0, 200);
        assert_eq!(
            world.call_with("store", key).await.0,
            429,
            "the plan's rate"
        );
        assert_ne!(world.call_with("pay", key).await.0, 200);

        let found = world
            .driver
            .find_keys(&session, "portico-r1-1")
            .await
            .unwrap();
        assert_eq!(found, std::slice::from_ref(&created.hash));
        assert!(
            world
                .driver
                .find_keys(&session, "portico-r1")
                .await
                .unwrap()
                .is_empty()
        );
        let has_key = async || {
            let found = world.driver.has_key(&session, &created.hash).await;
            found.unwrap()
        };
        assert!(has_key().await);
        for _ in 0..2 {
            world
                .driver
                .delete_key(&session, &created.hash)
                .await
                .unwrap();
        }
        assert!(!has_key().await);
        assert_eq!(world.call_with("store", key).await.0, 403);
        let nowhere = WantedKey {
            api_ids: vec!["gone".into()],
            ..wanted
        };
        let refused = world.driver.create_key(&session, &nowhere).await;
        assert_eq!(refused.unwrap_err().code, "api_not_at_gateway");
    }
}

#[tokio::test]
async fn the_header_of_each_api_comes_along() {
    for world in worlds().await {
        let upstream = world.gateway.api("pay").unwrap()["proxy"]["target_url"].clone();
        let mut api = seed::key_api("lager", "lager", "/lager/", upstream.as_str().unwrap());
        api["auth_configs"] = json!({"authToken": {"auth_header_name": "X-Api-Key"}});
        world.gateway.load(vec![api], vec![]).unwrap();
        let policies = world.wanted("lager", Owned::default()).policies;
        let session = world.session();
        let written = world.driver.write_policies(&session, &policies).await;
        written.unwrap();
        let wanted = WantedKey {
            marker: "portico-r2-1".into(),
            policies: policies.into_iter().map(|policy| policy.id).collect(),
            api_ids: vec!["store".into(), "lager".into()],
        };
        let created = world.driver.create_key(&session, &wanted).await.unwrap();
        let expected = [("lager".to_owned(), "X-Api-Key".to_owned())];
        assert_eq!(created.headers, expected.into());
        let key = created.key.expose();
        assert_eq!(world.call_in("lager", "x-api-key", key).await.0, 200);
        assert_eq!(world.call_with("lager", key).await.0, 401);
    }
}
