//! What the gateway says to every kind of token after the portal has configured it, by the control API and by the
//! Dashboard's, and that the policy simulator says the same; then the catalogue changes, and the gateway follows.

use http::StatusCode;
use portico_sandbox::identity_provider;
use portico_trials::{Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    actions::{Configured, Credentials, id, made},
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, [];
        holds_row_by_row_at_the_gateway,
        holds_row_by_row_with_a_dashboard,
        follows_the_catalogue,
        follows_the_catalogue_with_a_dashboard,
    )
}

type Answer = (u16, String);

fn answer(status: u16, message: &str) -> Answer {
    (status, message.to_owned())
}

/// Of the plan: requests in a minute, and requests in an hour.
const RATE: u64 = 4;
const QUOTA: u64 = 3;
/// Of the seeded default policy.
const DEFAULT_RATE: usize = 2;

async fn holds_row_by_row_at_the_gateway() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure().await;
    table(&world, &portal).await;
}

async fn holds_row_by_row_with_a_dashboard() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure_at_dashboard().await;
    table(&world, &portal).await;
}

impl World {
    fn idp(&self) -> &identity_provider::Handle {
        match &self.provider {
            Provider::Sandbox(provider) => provider,
            _ => panic!("this needs a provider that signs what it is told to"),
        }
    }

    /// What the gateway says; a fresh bucket for everybody.
    async fn says(&self, authorization: Option<&str>, api: &str) -> Answer {
        self.gateway.clear_limits();
        self.says_next(authorization, api).await
    }

    async fn says_next(&self, authorization: Option<&str>, api: &str) -> Answer {
        let http = portico_sandbox::outgoing::http_client().unwrap();
        let mut request = http.get(format!("{}/{api}/status", self.gateway.url()));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap_or_default();
        (
            status,
            body["error"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// A token that the provider gave out.
    async fn bearer(&self, credentials: &Credentials, scope: &str) -> String {
        let (status, body) = self.token(credentials, Some(scope)).await;
        assert_eq!(status, 200, "no token: {body}");
        format!("Bearer {}", body["access_token"].as_str().unwrap())
    }

    /// A token that the provider would not give out, although its key signed it.
    fn signed(&self, more: Value) -> String {
        let now = self.idp().clock().epoch_seconds();
        let mut claims = json!({"sub": "somebody", "exp": now + 300});
        let members = more.as_object().unwrap().clone();
        claims.as_object_mut().unwrap().extend(members);
        format!("Bearer {}", self.idp().sign(&claims).unwrap())
    }

    /// What the simulator says.
    async fn simulated(&self, gateway: &str, body: Value) -> Answer {
        let path = format!("/api/v1/gateways/{gateway}/simulate");
        let answer = self.admin.post(&path, body).await.unwrap();
        let said = answer.expect(StatusCode::OK).unwrap();
        let status = u16::try_from(said["status"].as_u64().unwrap()).unwrap();
        (
            status,
            said["message"].as_str().unwrap_or_default().to_owned(),
        )
    }

    async fn gateway_id(&self) -> String {
        let list = self.admin.get("/api/v1/gateways").await.unwrap();
        let list = list.expect(StatusCode::OK).unwrap();
        let gateways = list["items"].as_array().unwrap();
        id(&gateways[0])
    }

    async fn patch(&self, path: &str, body: Value) {
        let answer = self.admin.patch(path, body).await.unwrap();
        answer.expect(StatusCode::OK).unwrap();
    }

    /// A plan and an application with the product under it.
    async fn under_plan(&self, portal: &Configured, scope: &str, limits: Value) -> Credentials {
        let mut plan =
            json!({"name": scope, "description": "", "scopes": scope, "auto_approve": false});
        let members = limits.as_object().unwrap().clone();
        plan.as_object_mut().unwrap().extend(members);
        let plan = id(&made(&self.admin, "/api/v1/plans", plan).await);
        let body = json!({
            "items": [{"product_id": portal.payments, "plan_id": plan}],
            "client_type_id": portal.client_type_id,
            "application": {"name": scope, "description": "", "redirect_urls": [], "visibility": "personal"},
        });
        let request = made(&portal.developer, "/api/v1/access-requests", body).await;
        self.approve(&id(&request)).await;
        let application = request["application_id"].as_str().unwrap();
        portal.credentials(application).await
    }
}

async fn table(world: &World, portal: &Configured) {
    let rate = json!({"rate": {"requests": RATE, "per_seconds": 60}});
    let quota = json!({"quota": {"requests": QUOTA, "renews_every_seconds": 3600}});
    let fast = world.under_plan(portal, "gold_plan", rate).await;
    let counted = world.under_plan(portal, "spare_plan", quota).await;
    let gateway = world.gateway_id().await;
    let simulated = async |scopes: &str| {
        let body = json!({"api_id": "payments", "scopes": scopes});
        world.simulated(&gateway, body).await
    };

    // Both scopes.
    let both = world.bearer(&fast, "product_payments gold_plan").await;
    assert_eq!(world.says(Some(&both), "payments").await, answer(200, ""));
    assert_eq!(
        simulated("product_payments gold_plan").await,
        answer(200, "")
    );

    // The product's scope only: the limits of the default policy.
    let product = world.bearer(&fast, "product_payments").await;
    world.gateway.clear_limits();
    for _ in 0..DEFAULT_RATE {
        assert_eq!(
            world.says_next(Some(&product), "payments").await,
            answer(200, "")
        );
    }
    let exceeded = answer(429, "Rate Limit Exceeded");
    assert_eq!(world.says_next(Some(&product), "payments").await, exceeded);
    assert_eq!(simulated("product_payments").await, answer(200, ""));

    // The plan's scope only.
    let plan = world.bearer(&fast, "gold_plan").await;
    let several = answer(403, "key not authorized: could not apply several policies");
    assert_eq!(world.says(Some(&plan), "payments").await, several);
    assert_eq!(simulated("gold_plan").await, several);

    // No scope claim.
    let disallowed = answer(403, "Access to this API has been disallowed");
    let claimless = world.signed(json!({}));
    assert_eq!(world.says(Some(&claimless), "payments").await, disallowed);
    assert_eq!(simulated("").await, disallowed);

    // Scopes, none of them mapped.
    let none = answer(
        403,
        "key not authorized: no matching policy found in scope claim",
    );
    let unmapped = world.signed(json!({"scope": "something else"}));
    assert_eq!(world.says(Some(&unmapped), "payments").await, none);
    assert_eq!(simulated("something else").await, none);

    // No token.
    let missing = answer(400, "Authorization field missing");
    assert_eq!(world.says(None, "payments").await, missing);

    // A bad signature, and an unknown key.
    let (head, signature) = both.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{head}.{first}{}", &signature[1..]);
    assert_eq!(world.says(Some(&forged), "payments").await.0, 403);
    let stranger = identity_provider::start(identity_provider::Settings::default())
        .await
        .unwrap();
    let claims = json!({"sub": "x", "exp": stranger.clock().epoch_seconds() + 300, "scope": "product_payments gold_plan"});
    let foreign = format!("Bearer {}", stranger.sign(&claims).unwrap());
    assert_eq!(world.says(Some(&foreign), "payments").await.0, 403);

    // Expired.
    let now = world.idp().clock().epoch_seconds();
    let expired = world.signed(json!({"exp": now - 10, "scope": "product_payments gold_plan"}));
    let (status, message) = world.says(Some(&expired), "payments").await;
    assert_eq!(status, 401);
    let token = expired.trim_start_matches("Bearer ");
    let body = json!({"api_id": "payments", "token": token});
    assert_eq!(world.simulated(&gateway, body).await, answer(401, &message));
    assert!(
        !world.portico.log().contains(token),
        "a pasted token is in the log"
    );

    // The plan's rate, and the plan's quota.
    world.gateway.clear_limits();
    for _ in 0..RATE {
        assert_eq!(
            world.says_next(Some(&both), "payments").await,
            answer(200, "")
        );
    }
    assert_eq!(world.says_next(Some(&both), "payments").await, exceeded);
    let both = world.bearer(&counted, "product_payments spare_plan").await;
    world.gateway.clear_limits();
    for _ in 0..QUOTA {
        assert_eq!(
            world.says_next(Some(&both), "payments").await,
            answer(200, "")
        );
    }
    let used_up = answer(403, "Quota exceeded");
    assert_eq!(world.says_next(Some(&both), "payments").await, used_up);
}

async fn follows_the_catalogue() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure().await;
    follows(&world, &portal).await;
}

async fn follows_the_catalogue_with_a_dashboard() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure_at_dashboard().await;
    follows(&world, &portal).await;
}

async fn follows(world: &World, portal: &Configured) {
    let (request, application) = portal.submit(&portal.payments, None).await;
    world.approve(&request).await;
    let credentials = portal.credentials(&application).await;
    let token = world
        .bearer(&credentials, "product_payments free_plan")
        .await;
    assert_eq!(world.says(Some(&token), "payments").await.0, 200);

    // The plan's rate.
    let limits = json!({"rate": {"requests": 1, "per_seconds": 60}});
    world
        .patch(&format!("/api/v1/plans/{}", portal.free), limits)
        .await;
    until("the gateway has the plan's new rate", || async {
        world.says(Some(&token), "payments").await;
        (world.says_next(Some(&token), "payments").await.0 == 429).then_some(())
    })
    .await;

    // The product's APIs.
    let product = format!("/api/v1/products/{}", portal.payments);
    world
        .patch(
            &product,
            json!({"apis": [{"api_id": "orders", "name": "Orders"}]}),
        )
        .await;
    until("the product opens the other API", || async {
        (world.says(Some(&token), "orders").await.0 == 200).then_some(())
    })
    .await;
    until("the product opens the first one no more", || async {
        (world.says(Some(&token), "payments").await.0 == 403).then_some(())
    })
    .await;

    // The product's scopes: the client has the new one, and the old one leads nowhere.
    world
        .patch(&product, json!({"scopes": "product_unlisted"}))
        .await;
    until("the client has the new scope", || async {
        let now = portal.credentials(&application).await;
        (now.scopes == "free_plan product_unlisted").then_some(())
    })
    .await;
    let renewed = world
        .bearer(&credentials, "product_unlisted free_plan")
        .await;
    until("the new scope opens the API", || async {
        (world.says(Some(&renewed), "orders").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(
        world.says(Some(&token), "orders").await.0,
        403,
        "the old scope"
    );

    // Unpublished: nobody new gets access, and nobody loses any.
    let path = format!("{product}/unpublish");
    let answer = world.admin.post(&path, json!({})).await.unwrap();
    answer.expect(StatusCode::OK).unwrap();
    assert_eq!(world.says(Some(&renewed), "orders").await.0, 200);

    // Revoked and deleted: nothing of it is left at the gateway.
    let answer = world.act(&world.admin, &request, "revoke").await;
    answer.expect(StatusCode::ACCEPTED).unwrap();
    until("access is gone", || async {
        (world.says(Some(&renewed), "orders").await.0 == 403).then_some(())
    })
    .await;
    let gateway = world.gateway_id().await;
    until("its policies are gone", || async {
        let path = format!("/api/v1/gateways/{gateway}/policies");
        let list = world
            .admin
            .get(&path)
            .await
            .unwrap()
            .expect(StatusCode::OK)
            .unwrap();
        let policies = list["items"].as_array().unwrap().clone();
        policies
            .iter()
            .all(|policy| policy["id"] == "noop")
            .then_some(())
    })
    .await;
}
