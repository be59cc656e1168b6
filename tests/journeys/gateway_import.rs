//! Products and plans are made of policies that an operator made at the gateway; the policies stay as they are.

use http::StatusCode;
use portico_sandbox::gateway::seed::{self, PlanLimits};
use portico_trials::{Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    actions::{id, made},
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, []; imports_updates_and_leaves_the_policies_alone)
}

const LIMITS: PlanLimits = PlanLimits {
    rate: 20,
    per: 60,
    quota_max: 1000,
    quota_renewal_rate: 86_400,
};

fn of<'a>(items: &'a Value, policy: &str) -> &'a Value {
    let items = items["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["policy_id"] == policy);
    found.unwrap_or_else(|| panic!("{policy} is not among {items:#?}"))
}

async fn imports_updates_and_leaves_the_policies_alone() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure().await;
    let list = world.admin.get("/api/v1/gateways").await.unwrap();
    let list = list.expect(StatusCode::OK).unwrap();
    let path = format!("/api/v1/gateways/{}/import", id(&list["items"][0]));

    // What an operator has at the gateway: a product that a scope leads to, a plan, and one that is both.
    let api = ("payments", "Payments");
    let product = seed::product_policy("their-product", "Their product", &[api]);
    let plan = seed::plan_policy("their-plan", "Their plan", &[api], LIMITS);
    let mut both = seed::plan_policy("their-both", "Their both", &[api], LIMITS);
    both["partitions"] = json!({});
    let connected = seed::connected(
        world.gateway.api("payments").unwrap(),
        &world.idp_keys(),
        &[("product_unlisted", "their-product")],
    );
    let policies = vec![product.clone(), plan.clone(), both];
    world.gateway.load(vec![connected], policies).unwrap();

    let proposed = world.admin.get(&path).await.unwrap();
    let proposed = proposed.expect(StatusCode::OK).unwrap();
    assert_eq!(of(&proposed, "their-product")["action"], "create");
    assert_eq!(of(&proposed, "their-product")["scopes"], "product_unlisted");
    assert_eq!(of(&proposed, "their-plan")["action"], "create");
    assert_eq!(of(&proposed, "their-both")["action"], "not_possible");
    assert_eq!(of(&proposed, "noop")["action"], "not_possible");

    let import = async |items: Value| {
        let answer = world
            .admin
            .post(&path, json!({"items": items}))
            .await
            .unwrap();
        answer.expect(StatusCode::OK).unwrap()
    };
    // A plan without a scope, a scope that is another's, and a policy that is not there stop nothing else.
    let first = import(json!([
        {"policy_id": "their-product"}, {"policy_id": "their-plan"}, {"policy_id": "gone"},
    ]))
    .await;
    assert_eq!(of(&first, "their-product")["action"], "created");
    assert_eq!(of(&first, "their-plan")["action"], "not_possible");
    assert_eq!(of(&first, "gone")["action"], "not_possible");
    let taken = import(json!([{"policy_id": "their-plan", "scopes": "free_plan"}])).await;
    assert_eq!(of(&taken, "their-plan")["action"], "failed");
    let detail = of(&taken, "their-plan")["detail"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        detail.contains("`free_plan` belongs to the plan"),
        "{detail}"
    );
    let plans = import(json!([{"policy_id": "their-plan", "scopes": "gold_plan"}])).await;
    assert_eq!(of(&plans, "their-plan")["action"], "created");
    let product_id = of(&first, "their-product")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let plan_id = of(&plans, "their-plan")["id"].as_str().unwrap().to_owned();
    let read = async |path: String| {
        let answer = world.admin.get(&path).await.unwrap();
        answer.expect(StatusCode::OK).unwrap()
    };
    let made_product = read(format!("/api/v1/products/{product_id}")).await;
    assert_eq!(
        (&made_product["status"], &made_product["policy_id"]),
        (&json!("draft"), &json!("their-product"))
    );
    let made_plan = read(format!("/api/v1/plans/{plan_id}")).await;
    assert_eq!(
        made_plan["rate"],
        json!({"requests": 20, "per_seconds": 60})
    );

    // Again: nothing twice. Another limit at the gateway comes along.
    let again = import(json!([{"policy_id": "their-product"}, {"policy_id": "their-plan"}])).await;
    for policy in ["their-product", "their-plan"] {
        assert_eq!(of(&again, policy)["action"], "unchanged");
    }
    assert_eq!(of(&again, "their-product")["id"], product_id.as_str());
    let mut faster = plan;
    faster["rate"] = json!(30);
    world.gateway.load(vec![], vec![faster.clone()]).unwrap();
    let updated = import(json!([{"policy_id": "their-plan"}])).await;
    assert_eq!(of(&updated, "their-plan")["action"], "updated");
    let now = read(format!("/api/v1/plans/{plan_id}")).await;
    assert_eq!(now["rate"]["requests"], 30);

    // Access to it works, and Portico has written none of the policies.
    let change = json!({"client_type_ids": [portal.client_type_id], "visibility": "public"});
    let path = format!("/api/v1/products/{product_id}");
    world
        .admin
        .patch(&path, change)
        .await
        .unwrap()
        .expect(StatusCode::OK)
        .unwrap();
    let published = world
        .admin
        .post(&format!("{path}/publish"), json!({}))
        .await
        .unwrap();
    published.expect(StatusCode::OK).unwrap();
    let body = json!({
        "items": [{"product_id": product_id, "plan_id": plan_id}], "client_type_id": portal.client_type_id,
        "application": {"name": "Shop", "description": "", "redirect_urls": [], "visibility": "personal"},
    });
    let request = made(&portal.developer, "/api/v1/access-requests", body).await;
    world.approve(&id(&request)).await;
    let credentials = portal
        .credentials(request["application_id"].as_str().unwrap())
        .await;
    until("the imported product opens its API", || async {
        let (_, status) = world
            .call(&credentials, "product_unlisted gold_plan", "payments")
            .await;
        (status == 200).then_some(())
    })
    .await;
    assert_eq!(world.gateway.policy("their-product"), Some(product));
    assert_eq!(world.gateway.policy("their-plan"), Some(faster));
}

impl World {
    fn idp_keys(&self) -> String {
        match &self.provider {
            Provider::Sandbox(provider) => provider.jwks_url(),
            _ => panic!("this needs the sandbox's provider"),
        }
    }
}
