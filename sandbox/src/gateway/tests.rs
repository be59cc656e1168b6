mod control;
mod data_plane;

use serde_json::{Map, Value, json};

use super::seed::{self, PlanLimits};
use super::*;
use crate::{echo, identity_provider};

/// The whole sandbox: provider, gateway with one product and one plan, upstream.
struct World {
    provider: identity_provider::Handle,
    gateway: Handle,
    upstream: echo::Handle,
}

const PLAN: PlanLimits = PlanLimits {
    rate: 5,
    per: 60,
    quota_max: 100,
    quota_renewal_rate: 3600,
};
const PAYMENTS: (&str, &str) = ("payments", "Payments API");
const INVOICES: (&str, &str) = ("invoices", "Invoices API");
const MAPPING: [(&str, &str); 3] = [
    ("product_payments", "prod"),
    ("product_invoices", "prod2"),
    ("free_plan", "plan"),
];

fn policies() -> Vec<Value> {
    vec![
        seed::no_operation_policy(),
        seed::product_policy("prod", "Payments", &[PAYMENTS]),
        seed::product_policy("prod2", "Invoices", &[INVOICES]),
        seed::plan_policy("plan", "Free", &[PAYMENTS, INVOICES], PLAN),
    ]
}

impl World {
    async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    async fn start_with(settings: Settings) -> Self {
        let provider = identity_provider::start(identity_provider::Settings::default())
            .await
            .unwrap();
        let upstream = echo::start(echo::Settings::default()).await.unwrap();
        let gateway = start(settings).await.unwrap();
        let world = Self {
            provider,
            gateway,
            upstream,
        };
        let apis = vec![
            seed::no_operation_api(),
            world.api(PAYMENTS),
            world.api(INVOICES),
        ];
        world.gateway.load(apis, policies()).unwrap();
        world
    }

    fn api(&self, (id, name): (&str, &str)) -> Value {
        let api = seed::api(id, name, &format!("/{id}/"), &self.upstream.url());
        seed::connected(api, &self.provider.jwks_url(), &MAPPING)
    }

    /// Replaces the payments API by an edited one.
    fn edit_api(&self, edit: impl FnOnce(&mut Value)) {
        let mut api = self.api(PAYMENTS);
        edit(&mut api);
        self.gateway.load(vec![api], Vec::new()).unwrap();
    }

    /// Sound claims of `subject`, with these on top.
    fn claims(&self, subject: &str, more: Value) -> Value {
        let now = self.provider.clock().epoch_seconds();
        let mut claims = Map::from_iter([
            ("sub".to_owned(), json!(subject)),
            ("exp".to_owned(), json!(now + 300)),
        ]);
        claims.extend(more.as_object().unwrap().clone());
        Value::Object(claims)
    }

    /// A token with that scope claim for a caller of its own.
    fn token(&self, scope: &str) -> String {
        let subject = format!("caller of {scope}");
        self.provider
            .sign(&self.claims(&subject, json!({"scope": scope})))
            .unwrap()
    }

    async fn get(&self, path: &str, authorization: Option<&str>) -> reqwest::Response {
        let mut request = http_client()
            .unwrap()
            .get(format!("{}{path}", self.gateway.url()));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        request.send().await.unwrap()
    }

    /// Status and Tyk's error message, or an empty one.
    async fn call_with(&self, path: &str, authorization: Option<&str>) -> (u16, String) {
        let response = self.get(path, authorization).await;
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        (
            status,
            body["error"].as_str().unwrap_or_default().to_owned(),
        )
    }

    async fn call(&self, token: &str) -> (u16, String) {
        self.call_with("/payments/1", Some(&format!("Bearer {token}")))
            .await
    }

    async fn call_claims(&self, claims: Value) -> (u16, String) {
        self.call(&self.provider.sign(&claims).unwrap()).await
    }
}

fn answer(status: u16, message: &str) -> (u16, String) {
    (status, message.to_owned())
}
