//! What the simulator says is what the gateway says, for every combination of what decides.

use super::*;

/// Policies of every kind that there is.
fn policies() -> Vec<Value> {
    let limits = seed::PlanLimits {
        rate: 50,
        per: 60,
        quota_max: 500,
        quota_renewal_rate: 3600,
    };
    let pay = [("pay", "pay")];
    let mut inactive = seed::product_policy("asleep", "Asleep", &pay);
    inactive["is_inactive"] = true.into();
    let mut foreign = seed::product_policy("foreign", "Foreign", &pay);
    foreign["org_id"] = "another".into();
    let mut whole = seed::plan_policy("whole", "Whole", &pay, limits);
    whole["partitions"] = json!({});
    let mut each = whole.clone();
    each["id"] = "each".into();
    each["partitions"] = json!({"per_api": true});
    vec![
        seed::no_operation_policy(),
        seed::product_policy("prod", "Product", &pay),
        seed::product_policy("elsewhere", "Elsewhere", &[("ship", "ship")]),
        seed::plan_policy("plan", "Plan", &[("pay", "pay"), ("ship", "ship")], limits),
        inactive,
        foreign,
        whole,
        each,
    ]
}

const SCOPES: [(&str, &str); 8] = [
    ("product_pay", "prod"),
    ("product_ship", "elsewhere"),
    ("free_plan", "plan"),
    ("asleep", "asleep"),
    ("foreign", "foreign"),
    ("whole", "whole"),
    ("each", "each"),
    ("stale", "gone"),
];

async fn connected() -> World {
    let world = World::start().await;
    let api = seed::connected(
        world.gateway.api("pay").unwrap(),
        &world.provider.jwks_url(),
        &SCOPES,
    );
    world.gateway.load(vec![api], policies()).unwrap();
    world
}

impl World {
    /// Both answers to these claims.
    async fn both(&self, claims: &Value) -> ((u16, String), Simulation) {
        self.gateway.clear_limits();
        let token = self.provider.sign(claims).unwrap();
        let real = self.call_with("pay", &token).await;
        let now = self.provider.clock().epoch_seconds();
        let presented = Presented::Claims(claims.as_object().unwrap().clone());
        let simulated = OPEN_SOURCE
            .simulate(&self.session(), "pay", &presented, now)
            .await
            .unwrap()
            .unwrap();
        (real, simulated)
    }
}

#[tokio::test]
async fn every_combination_of_scopes_is_answered_as_the_gateway_does() {
    let world = connected().await;
    let now = world.provider.clock().epoch_seconds();
    let mut seen = BTreeSet::new();
    for subset in 0..1_u32 << SCOPES.len() {
        let scopes: Vec<&str> = SCOPES
            .iter()
            .enumerate()
            .filter(|(bit, _)| subset & (1 << bit) != 0)
            .map(|(_, (scope, _))| *scope)
            .collect();
        // Three of them at most are enough to tell how they combine.
        if scopes.len() > 3 {
            continue;
        }
        let claims = json!({"sub": "a", "exp": now + 300, "scope": scopes.join(" ")});
        let (real, simulated) = world.both(&claims).await;
        assert_eq!((simulated.status, simulated.message), real, "{scopes:?}");
        seen.insert(real);
    }
    assert!(seen.len() >= 5, "only a few answers: {seen:?}");
}

#[tokio::test]
async fn every_other_claim_is_answered_as_the_gateway_does() {
    let world = connected().await;
    let now = world.provider.clock().epoch_seconds();
    let good = json!({"sub": "a", "exp": now + 300, "scope": "product_pay free_plan"});
    let with = |member: &str, value: Value| {
        let mut claims = good.clone();
        claims[member] = value;
        claims
    };
    let without = |member: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(member);
        claims
    };
    for claims in [
        good.clone(),
        without("sub"),
        without("scope"),
        with("exp", json!(now - 1)),
        with("iat", json!(now + 100)),
        with("nbf", json!(now + 100)),
        with("scope", json!(["product_pay", "free_plan"])),
        with("scope", json!(["free_plan"])),
        with("scope", json!("nothing mapped")),
        with("scope", json!("")),
        with("scope", json!(7)),
        with("pol", json!("plan")),
        with("pol", json!("gone")),
        with("pol", json!("whole")),
        with("pol", json!("foreign")),
    ] {
        let (real, simulated) = world.both(&claims).await;
        assert_eq!((simulated.status, simulated.message), real, "{claims}");
    }
}

#[tokio::test]
async fn the_answer_says_how_it_comes_about() {
    let world = connected().await;
    let now = world.provider.clock().epoch_seconds();
    let claims = json!({"sub": "a", "exp": now + 300, "scope": "product_pay free_plan other"});
    let (_, simulated) = world.both(&claims).await;
    let policies: Vec<_> = simulated
        .policies
        .iter()
        .map(|one| (one.id.as_str(), one.because.as_str(), one.opens, one.limits))
        .collect();
    assert_eq!(
        policies,
        [
            ("prod", "scope product_pay", true, false),
            ("plan", "scope free_plan", false, true),
        ]
    );
    assert_eq!(simulated.unmapped_scopes, ["other"]);
    assert_eq!(
        simulated.rate,
        Some(Limit {
            requests: 50,
            seconds: 60
        })
    );
    assert_eq!(
        simulated.quota,
        Some(Limit {
            requests: 500,
            seconds: 3600
        })
    );
    let product_only = json!({"sub": "a", "exp": now + 300, "scope": "product_pay"});
    let (_, simulated) = world.both(&product_only).await;
    assert_eq!(
        simulated.rate,
        Some(Limit {
            requests: 2,
            seconds: 60
        }),
        "of the default policy"
    );
    let scopes = Presented::Scopes(vec!["product_pay".into()]);
    let session = world.session();
    let by_scopes = OPEN_SOURCE.simulate(&session, "pay", &scopes, now).await;
    assert_eq!(by_scopes, Ok(Some(simulated)));
    let nowhere = OPEN_SOURCE
        .simulate(&session, "nowhere", &scopes, now)
        .await;
    assert_eq!(nowhere, Ok(None));
}
