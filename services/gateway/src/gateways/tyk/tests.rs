//! Against the double of the gateway; a real one where `TYK_URL` and `TYK_SECRET` name it.

mod dashboard;
mod keys;
mod simulation;

use std::sync::Arc;
use std::time::Duration;

use ::http::Method;
use portico_runtime::outgoing::address::AllowEntry;
use portico_runtime::outgoing::{Outgoing, OutgoingRequest, OutgoingSettings};
use portico_sandbox::gateway::{self, DashboardSettings, Handle, seed};
use portico_sandbox::{echo, identity_provider};
use portico_vault::Secret;
use serde_json::json;
use url::Url;

use super::*;
use crate::gateways::{
    Change, Disposition, Limit, Owned, PolicyKind, WantedApi, plan_policy_id, product_policy_id,
};

const SLOW: Limit = Limit {
    requests: 2,
    seconds: 60,
};

struct World {
    gateway: Handle,
    provider: identity_provider::Handle,
    _upstream: echo::Handle,
    outgoing: Outgoing,
    url: Url,
    secret: Secret,
    driver: &'static Tyk,
}

impl World {
    async fn start() -> Self {
        Self::start_with(None).await
    }

    /// By the Dashboard, where there is one.
    async fn start_with(dashboard: Option<DashboardSettings>) -> Self {
        let provider = identity_provider::start(identity_provider::Settings::default())
            .await
            .unwrap();
        let upstream = echo::start(echo::Settings::default()).await.unwrap();
        let api = |id: &str| seed::api(id, id, &format!("/{id}/"), &upstream.url());
        let gateway = gateway::start(gateway::Settings {
            apis: vec![seed::no_operation_api(), api("pay"), api("ship")],
            policies: vec![seed::no_operation_policy()],
            dashboard: dashboard.clone(),
            ..gateway::Settings::default()
        })
        .await
        .unwrap();
        let allow: AllowEntry = "127.0.0.0/8".parse().unwrap();
        let outgoing = Outgoing::new(OutgoingSettings {
            allow: Arc::new([allow].into_iter().collect()),
            ..OutgoingSettings::default()
        });
        let url = gateway.url().parse().unwrap();
        let (driver, secret) = match &dashboard {
            Some(settings) => (&DASHBOARD, settings.user_key.as_str()),
            None => (&OPEN_SOURCE, gateway.secret()),
        };
        let secret = Secret::new(secret);
        Self {
            driver,
            gateway,
            provider,
            _upstream: upstream,
            outgoing,
            url,
            secret,
        }
    }

    fn session(&self) -> GatewaySession<'_> {
        GatewaySession {
            outgoing: &self.outgoing,
            url: &self.url,
            secret: &self.secret,
            org_id: "",
            default_policy_id: seed::NO_OPERATION_POLICY,
            deadline: Duration::from_secs(5),
        }
    }

    fn wanted(&self, api_id: &str, owned: Owned) -> Wanted {
        let rate = Some(SLOW);
        let policy = |id: String, kind| WantedPolicy {
            name: id.clone(),
            id,
            api_ids: vec![api_id.to_owned()],
            kind,
        };
        let (product, plan) = (product_policy_id(api_id), plan_policy_id("free"));
        let entries = [
            (format!("product_{api_id}"), product.clone()),
            ("free_plan".into(), plan.clone()),
        ];
        Wanted {
            policies: vec![
                policy(product, PolicyKind::Product),
                policy(plan, PolicyKind::Plan { rate, quota: None }),
            ],
            apis: vec![WantedApi {
                api_id: api_id.into(),
                entries: entries.into(),
                jwks_uri: self.provider.jwks_url(),
                scope_claim: "scope".into(),
                owned,
                restore: false,
            }],
        }
    }

    async fn apply(&self, wanted: &Wanted) -> PerApi {
        self.driver.apply(&self.session(), wanted).await
    }

    /// The status of a call with a token of these scopes.
    async fn call(&self, api_id: &str, scope: &str) -> u16 {
        let expires = self.provider.clock().epoch_seconds() + 300;
        let claims = json!({"sub": "c1", "exp": expires, "scope": scope});
        let token = self.provider.sign(&claims).unwrap();
        self.call_with(api_id, &token).await.0
    }

    /// Status and error message of a call.
    async fn call_with(&self, api_id: &str, token: &str) -> (u16, String) {
        let bearer = format!("Bearer {token}");
        self.call_in(api_id, "authorization", &bearer).await
    }

    /// The same, with a header of choice.
    async fn call_in(&self, api_id: &str, header: &'static str, value: &str) -> (u16, String) {
        let url = format!("{}/{api_id}/x", self.gateway.url())
            .parse()
            .unwrap();
        let mut request = OutgoingRequest::new(Method::GET, url);
        request.headers.insert(header, value.parse().unwrap());
        let answer = self.outgoing.send(request).await.unwrap();
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let message = body["error"].as_str().unwrap_or_default().to_owned();
        (answer.status.as_u16(), message)
    }

    fn writes(&self) -> usize {
        self.gateway
            .control_calls()
            .iter()
            .filter(|call| call.method != "GET")
            .count()
    }
}

#[tokio::test]
async fn what_is_applied_decides_who_may_call() {
    let world = World::start().await;
    assert_eq!(world.call("pay", "product_pay free_plan").await, 403);
    let wanted = world.wanted("pay", Owned::default());
    let done = world.apply(&wanted).await.remove("pay").unwrap().unwrap();
    assert_eq!(done.owned.entries, wanted.apis[0].entries);

    assert_eq!(world.call("pay", "product_pay free_plan").await, 200);
    assert_eq!(world.call("pay", "free_plan").await, 403);
    assert_eq!(world.call("pay", "").await, 403);
    assert_eq!(world.call("ship", "product_pay free_plan").await, 403);
    assert_eq!(world.call("pay", "product_pay free_plan").await, 200);
    assert_eq!(
        world.call("pay", "product_pay free_plan").await,
        429,
        "the plan's rate"
    );
    let policy = world.gateway.policy("portico-product-pay").unwrap();
    assert_eq!(policy["org_id"], seed::ORG);

    // A second product with the same plan: the plan's policy grows.
    world
        .apply(&world.wanted("ship", Owned::default()))
        .await
        .remove("ship")
        .unwrap()
        .unwrap();
    world.gateway.clear_limits();
    assert_eq!(world.call("ship", "product_ship free_plan").await, 200);
    assert_eq!(world.call("pay", "product_pay free_plan").await, 200);

    // Revoked.
    let mut wanted = world.wanted("pay", done.owned);
    wanted.apis[0].entries.clear();
    wanted.policies.clear();
    let done = world.apply(&wanted).await.remove("pay").unwrap().unwrap();
    assert_eq!(done.owned.entries.len(), 0);
    assert_eq!(world.call("pay", "product_pay free_plan").await, 403);
}

#[tokio::test]
async fn planning_writes_nothing_and_applying_twice_writes_once() {
    let world = World::start().await;
    let wanted = world.wanted("pay", Owned::default());
    let planned = OPEN_SOURCE
        .plan(&world.session(), &wanted)
        .await
        .remove("pay")
        .unwrap()
        .unwrap();
    assert_eq!(world.writes(), 0);
    assert_eq!(world.gateway.api("pay").unwrap()["scopes"], Value::Null);

    // As the caller should: what is planned is stored first.
    let owned = Owned::default().with(&planned.owned);
    let wanted = world.wanted("pay", owned);
    let first = world.apply(&wanted).await.remove("pay").unwrap().unwrap();
    assert_eq!(first, planned);
    assert_eq!(world.writes(), 3);
    let second = world.apply(&wanted).await.remove("pay").unwrap().unwrap();
    assert_eq!((second.changes, second.owned), (vec![], first.owned));
    assert_eq!(world.writes(), 3, "nothing to write");
}

/// Hands calls on to the gateway, and loses the answer to the one with that number.
async fn losing_answer(upstream: Url, failing: usize) -> Url {
    use axum::body::{Body, to_bytes};
    let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let forward = move |request: ::http::Request<Body>| {
        let (upstream, calls) = (upstream.clone(), Arc::clone(&calls));
        async move {
            let number = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let (head, body) = request.into_parts();
            let url = upstream.join(&head.uri.to_string()).unwrap();
            let client = portico_sandbox::outgoing::http_client().unwrap();
            let secret = head.headers["x-tyk-authorization"].clone();
            let answer = client
                .request(head.method, url)
                .header("x-tyk-authorization", secret)
                .body(to_bytes(body, usize::MAX).await.unwrap())
                .send()
                .await
                .unwrap();
            let status = match number == failing {
                true => ::http::StatusCode::BAD_GATEWAY,
                false => answer.status(),
            };
            (status, answer.bytes().await.unwrap())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(forward);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url.parse().unwrap()
}

#[tokio::test]
async fn a_lost_answer_is_made_good_by_doing_it_again() {
    for failing in 0..10 {
        let world = World::start().await;
        let wanted = world.wanted("pay", Owned::default());
        let planned = OPEN_SOURCE
            .plan(&world.session(), &wanted)
            .await
            .remove("pay")
            .unwrap()
            .unwrap();
        let wanted = world.wanted("pay", planned.owned);
        let url = losing_answer(world.url.clone(), failing).await;
        let session = GatewaySession {
            url: &url,
            ..world.session()
        };
        let failure = OPEN_SOURCE
            .apply(&session, &wanted)
            .await
            .remove("pay")
            .unwrap()
            .unwrap_err();
        assert_eq!(failure.disposition, Disposition::Retry, "call {failing}");
        let done = OPEN_SOURCE
            .apply(&session, &wanted)
            .await
            .remove("pay")
            .unwrap()
            .unwrap();
        assert_eq!(done.owned.entries, wanted.apis[0].entries);
        assert_eq!(world.call("pay", "product_pay free_plan").await, 200);
    }
}

#[tokio::test]
async fn one_stale_item_does_not_stop_the_rest() {
    let world = World::start().await;
    let mut wanted = world.wanted("pay", Owned::default());
    let mut stale = world.wanted("ship", Owned::default()).apis.remove(0);
    stale.entries = [("product_ship".to_owned(), "gone".to_owned())].into();
    wanted.apis.push(stale);
    let mut missing = world.wanted("nowhere", Owned::default()).apis.remove(0);
    missing.entries = [("product_x".to_owned(), "noop".to_owned())].into();
    wanted.apis.insert(0, missing);
    let mut done = world.apply(&wanted).await;
    let ship = done.remove("ship").unwrap().unwrap();
    assert_eq!(
        ship.stale,
        [("product_ship".to_owned(), "gone".to_owned())].into()
    );
    assert_eq!(ship.owned.entries.len(), 0, "nothing leads to it");
    assert_eq!(
        done.remove("nowhere").unwrap().unwrap_err().code,
        "api_not_at_gateway"
    );
    assert!(done.remove("pay").unwrap().is_ok());
    assert_eq!(world.call("pay", "product_pay free_plan").await, 200);

    // An API that is gone has nothing of ours left to remove.
    let mut wanted = world.wanted("nowhere", Owned::default());
    wanted.policies.clear();
    wanted.apis[0].entries.clear();
    wanted.apis[0].owned.entries = [("a".to_owned(), "p".to_owned())].into();
    let done = world
        .apply(&wanted)
        .await
        .remove("nowhere")
        .unwrap()
        .unwrap();
    assert_eq!(done.owned, Owned::default());
}

#[tokio::test]
async fn existing_policies_and_foreign_entries_are_used_as_they_are() {
    let world = World::start().await;
    let theirs = seed::connected(
        world.gateway.api("pay").unwrap(),
        &world.provider.jwks_url(),
        &[("theirs", "noop")],
    );
    let product = seed::product_policy("existing", "Theirs", &[("pay", "pay")]);
    world
        .gateway
        .load(vec![theirs], vec![product.clone()])
        .unwrap();
    let mut wanted = world.wanted("pay", Owned::default());
    wanted.policies.remove(0);
    wanted.apis[0]
        .entries
        .insert("product_pay".into(), "existing".into());
    let done = world.apply(&wanted).await.remove("pay").unwrap().unwrap();
    assert!(done.changes.contains(&Change::Add {
        scope: "product_pay".into(),
        policy: "existing".into()
    }));
    assert!(
        done.owned.jwks_uris.is_empty(),
        "the source of keys was there"
    );
    let mapping = &world.gateway.api("pay").unwrap()["scopes"]["jwt"]["scope_to_policy"];
    assert_eq!(mapping["theirs"], "noop");
    assert_eq!(world.gateway.policy("existing").unwrap(), product);
    assert_eq!(world.call("pay", "product_pay free_plan").await, 200);
}

#[tokio::test]
async fn the_connection_test_names_what_is_wrong() {
    let world = World::start().await;
    OPEN_SOURCE.check(&world.session()).await.unwrap();
    let code =
        async |session: GatewaySession<'_>| OPEN_SOURCE.check(&session).await.unwrap_err().code;
    let wrong = Secret::new("wrong");
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
    let url = world.provider.url().parse().unwrap();
    assert_eq!(
        code(GatewaySession {
            url: &url,
            ..world.session()
        })
        .await,
        "gateway_answer_invalid"
    );
    world.gateway.stop().await;
    assert_eq!(code(world.session()).await, "gateway_unreachable");
}

/// Opt-in, and it writes nothing.
#[tokio::test]
#[ignore = "needs a real Tyk gateway: TYK_URL and TYK_SECRET"]
async fn a_real_gateway_answers_the_connection_test() {
    let url = std::env::var("TYK_URL").unwrap().parse().unwrap();
    let secret = Secret::new(std::env::var("TYK_SECRET").unwrap());
    let world = World::start().await;
    let session = GatewaySession {
        url: &url,
        secret: &secret,
        default_policy_id: "",
        ..world.session()
    };
    OPEN_SOURCE.check(&session).await.unwrap();
}
