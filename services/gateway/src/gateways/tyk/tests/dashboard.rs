//! The same by the Dashboard, however it is set up.

use portico_sandbox::gateway::DashboardSettings;

use super::*;

fn setups() -> [DashboardSettings; 4] {
    let setup = |explicit_policy_ids, registry| DashboardSettings {
        explicit_policy_ids,
        registry,
        ..DashboardSettings::default()
    };
    [
        setup(true, false),
        setup(false, false),
        setup(true, true),
        setup(false, true),
    ]
}

#[tokio::test]
async fn what_is_applied_decides_who_may_call() {
    for setup in setups() {
        let world = World::start_with(Some(setup.clone())).await;
        let wanted = world.wanted("pay", Owned::default());
        let planned = DASHBOARD.plan(&world.session(), &wanted).await;
        let planned = planned["pay"].clone().unwrap();
        assert_eq!(world.writes(), 0, "{setup:?}");
        let done = world.apply(&wanted).await.remove("pay").unwrap().unwrap();
        assert_eq!(done, planned, "{setup:?}");
        assert_eq!(done.owned.entries, wanted.apis[0].entries);
        assert_eq!(
            world.call("pay", "product_pay free_plan").await,
            200,
            "{setup:?}"
        );
        assert_eq!(world.call("pay", "product_pay free_plan").await, 200);
        assert_eq!(
            world.call("pay", "product_pay free_plan").await,
            429,
            "the plan's rate"
        );
        assert_eq!(world.call("pay", "free_plan").await, 403);
        assert_eq!(world.call("ship", "product_pay free_plan").await, 403);

        // Again: nothing changes, and nothing is written.
        let writes = world.writes();
        let again = world.wanted("pay", done.owned.clone());
        let second = world.apply(&again).await.remove("pay").unwrap().unwrap();
        assert_eq!(
            (second.changes, second.owned),
            (vec![], done.owned.clone()),
            "{setup:?}"
        );
        assert_eq!(world.writes(), writes, "{setup:?}");

        // Revoked, and the policies go.
        let mut wanted = world.wanted("pay", done.owned);
        wanted.apis[0].entries.clear();
        wanted.policies.clear();
        let done = world.apply(&wanted).await.remove("pay").unwrap().unwrap();
        assert_eq!(done.owned.entries.len(), 0, "{setup:?}");
        world.gateway.clear_limits();
        assert_eq!(
            world.call("pay", "product_pay free_plan").await,
            403,
            "{setup:?}"
        );
        let ids = [
            product_policy_id("pay"),
            plan_policy_id("free"),
            "noop".to_owned(),
        ];
        let gone = DASHBOARD
            .remove_policies(&world.session(), &ids.into())
            .await;
        assert!(gone.values().all(Result::is_ok), "{gone:?}");
        let left = DASHBOARD
            .inventory(&world.session())
            .await
            .unwrap()
            .policies;
        let left: Vec<_> = left.iter().map(|policy| policy.id.as_str()).collect();
        assert_eq!(left, ["noop"], "{setup:?}: not Portico's");
    }
}

#[tokio::test]
async fn with_a_registry_definitions_hold_nothing_of_a_provider() {
    let setup = DashboardSettings {
        registry: true,
        ..DashboardSettings::default()
    };
    let world = World::start_with(Some(setup)).await;
    world
        .apply(&world.wanted("pay", Owned::default()))
        .await
        .remove("pay")
        .unwrap()
        .unwrap();
    let api = world.gateway.api("pay").unwrap();
    assert_eq!(
        (&api["jwt_source"], &api["scopes"]),
        (&Value::Null, &Value::Null)
    );
    let records = world.gateway.client_idps();
    assert_eq!(records.len(), 1);
    let record = records.values().next().unwrap();
    assert_eq!(record["jwks_uri"], world.provider.jwks_url().as_str());
    let mapping = &record["api_mappings"]["pay"]["scope_to_policy"];
    assert_eq!(mapping["product_pay"], "portico-product-pay");
}

#[tokio::test]
async fn entries_of_others_and_members_beside_the_definition_survive() {
    for setup in setups() {
        let world = World::start_with(Some(setup.clone())).await;
        let mut theirs = seed::connected(
            world.gateway.api("pay").unwrap(),
            &world.provider.jwks_url(),
            &[("theirs", "noop")],
        );
        theirs["dashboard_wrapper"] =
            json!({"user_group_owners": ["g1"], "hook_references": [{"x": 1}]});
        world.gateway.load(vec![theirs.clone()], vec![]).unwrap();
        let done = world.apply(&world.wanted("pay", Owned::default())).await;
        let owned = done["pay"].clone().unwrap().owned;
        assert_eq!(
            world.call("pay", "product_pay free_plan").await,
            200,
            "{setup:?}"
        );
        let api = world.gateway.api("pay").unwrap();
        assert_eq!(api["dashboard_wrapper"], theirs["dashboard_wrapper"]);
        let mut wanted = world.wanted("pay", owned);
        wanted.apis[0].entries.clear();
        world.apply(&wanted).await.remove("pay").unwrap().unwrap();
        let api = world.gateway.api("pay").unwrap();
        assert_eq!(
            api["scopes"]["jwt"]["scope_to_policy"],
            json!({"theirs": "noop"}),
            "{setup:?}"
        );
        let mappings = world.gateway.client_idps();
        assert!(
            mappings
                .values()
                .all(|record| record["api_mappings"] == json!({}))
        );
    }
}

#[tokio::test]
async fn what_somebody_else_changed_is_named_and_put_right() {
    for setup in setups() {
        let world = World::start_with(Some(setup.clone())).await;
        let wanted = world.wanted("pay", Owned::default());
        let done = world.apply(&wanted).await.remove("pay").unwrap().unwrap();
        let session = world.session();
        let compare = async || DASHBOARD.compare_policies(&session, &wanted.policies).await;
        let plan = plan_policy_id("free");
        assert_eq!(compare().await[&plan], Ok(PolicyState::AsWanted));
        // Of the policy in force, under whatever id.
        let stored = DASHBOARD
            .open(&session)
            .policy(&plan)
            .await
            .unwrap()
            .unwrap();
        let real = if setup.explicit_policy_ids {
            "id"
        } else {
            "_id"
        };
        let mut edited = world
            .gateway
            .policy(stored[real].as_str().unwrap())
            .unwrap();
        edited["rate"] = json!(1000);
        world.gateway.load(vec![], vec![edited]).unwrap();
        assert_eq!(
            compare().await[&plan],
            Ok(PolicyState::Differs(vec!["rate".into()])),
            "{setup:?}"
        );
        let real = DASHBOARD
            .open(&session)
            .policy(&product_policy_id("pay"))
            .await
            .unwrap()
            .unwrap();
        let real = real[if setup.explicit_policy_ids {
            "id"
        } else {
            "_id"
        }]
        .clone();
        world.gateway.remove_policy(real.as_str().unwrap()).unwrap();
        assert_eq!(
            compare().await[&product_policy_id("pay")],
            Ok(PolicyState::Missing)
        );
        let wanted = world.wanted("pay", done.owned);
        world.apply(&wanted).await.remove("pay").unwrap().unwrap();
        let after = compare().await;
        assert!(
            after
                .values()
                .all(|state| *state == Ok(PolicyState::AsWanted)),
            "{setup:?}: {after:?}"
        );
        world.gateway.clear_limits();
        assert_eq!(
            world.call("pay", "product_pay free_plan").await,
            200,
            "{setup:?}"
        );
    }
}

#[tokio::test]
async fn the_connection_test_names_what_is_wrong() {
    let world = World::start_with(Some(DashboardSettings::default())).await;
    DASHBOARD.check(&world.session()).await.unwrap();
    let code =
        async |session: GatewaySession<'_>| DASHBOARD.check(&session).await.unwrap_err().code;
    // The gateway's own secret is no user's key.
    let wrong = Secret::new(world.gateway.secret());
    let session = GatewaySession {
        secret: &wrong,
        ..world.session()
    };
    assert_eq!(code(session).await, "gateway_secret_refused");
    let session = GatewaySession {
        default_policy_id: "gone",
        ..world.session()
    };
    assert_eq!(code(session).await, "policy_not_at_gateway");
    // A gateway without a Dashboard.
    let other = World::start().await;
    let session = GatewaySession {
        url: &other.url,
        ..world.session()
    };
    assert_eq!(code(session).await, "gateway_answer_invalid");
}

#[tokio::test]
async fn a_default_policy_is_made_with_its_api() {
    for setup in setups() {
        let world = World::start_with(Some(setup.clone())).await;
        default_policy_is_made(&world).await;
    }
    default_policy_is_made(&World::start().await).await;
}

/// A token with the product's scope alone is let through, and limited.
async fn default_policy_is_made(world: &World) {
    let mut api = world.gateway.api("pay").unwrap();
    api["jwt_default_policies"] = json!([]);
    world.gateway.load(vec![api], vec![]).unwrap();
    let session = GatewaySession {
        default_policy_id: NO_OPERATION,
        ..world.session()
    };
    let mut wanted = world.wanted("pay", Owned::default());
    wanted.policies.push(WantedPolicy {
        id: NO_OPERATION.into(),
        name: "No operation".into(),
        api_ids: vec!["pay".into()],
        kind: PolicyKind::NoOperation,
    });
    for _ in 0..2 {
        let done = world.driver.apply(&session, &wanted).await;
        done["pay"].clone().unwrap();
    }
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(world.call("pay", "product_pay").await);
    }
    assert_eq!(answers, [200, 200, 200, 200, 200, 429]);
    assert_eq!(
        world.gateway.api(NO_OPERATION).unwrap()["org_id"],
        seed::ORG
    );
}
