//! What people do at the portal, through its REST API.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use portico::client::{Answer, Portal};
use portico_sandbox::gateway::DashboardSettings;
use serde_json::{Value, json};

use super::{until, world::World};

pub const DEVELOPER_EMAIL: &str = "ada.lovelace@customer.example";
pub const DEVELOPER_PASSWORD: &str = "a-long-developer-password";

/// What the admin has configured.
pub struct Configured {
    pub provider_id: String,
    pub client_type_id: String,
    pub payments: String,
    pub orders: String,
    pub free: String,
    pub developer: Portal,
}

/// The credentials as the developer copies them.
#[derive(Debug, Clone, PartialEq)]
pub struct Credentials {
    pub client_id: String,
    pub client_secret: String,
    pub token_endpoint: String,
    pub scopes: String,
}

pub async fn made(portal: &Portal, path: &str, body: Value) -> Value {
    let answer = portal.post(path, body).await.unwrap();
    answer
        .expect(StatusCode::CREATED)
        .unwrap_or_else(|error| panic!("POST {path}: {error}"))
}

pub fn id(body: &Value) -> String {
    body["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id in {body}"))
        .to_owned()
}

impl World {
    /// Steps 3 to 5: provider, client type, gateway, plan, products; and a developer signs up.
    pub async fn configure(&self) -> Configured {
        self.configure_at("tyk", self.gateway.secret()).await
    }

    /// The same with the Dashboard's API in front of the gateway.
    pub async fn configure_at_dashboard(&self) -> Configured {
        let key = DashboardSettings::default().user_key;
        self.configure_at("tyk_dashboard", &key).await
    }

    async fn configure_at(&self, gateway: &str, secret: &str) -> Configured {
        let mut settings = self.provider.authorization().await;
        settings["name"] = "Company login".into();
        settings["type"] = self.provider.kind().into();
        settings["well_known_url"] = self.provider.well_known_url().into();
        let provider = made(&self.admin, "/api/v1/identity-providers", settings).await;
        let provider_id = id(&provider);
        let client_type = made(
            &self.admin,
            &format!("/api/v1/identity-providers/{provider_id}/client-types"),
            json!({
                "name": "Backend", "description": "", "response_types": [],
                "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic",
            }),
        )
        .await;
        let client_type_id = id(&client_type);
        made(
            &self.admin,
            "/api/v1/gateways",
            json!({
                "name": "Gateway", "type": gateway, "url": self.gateway.url(), "secret": secret,
                "org_id": portico_sandbox::gateway::seed::ORG,
            }),
        )
        .await;
        let plan = made(&self.admin, "/api/v1/plans", json!({
            "name": "Free", "description": "", "scopes": "free_plan", "auto_approve": false,
            "rate": {"requests": 100, "per_seconds": 1}, "quota": {"requests": 1000, "renews_every_seconds": 3600},
        }))
        .await;
        let payments = self
            .product(
                "Payments API",
                "product_payments",
                "payments",
                &client_type_id,
            )
            .await;
        let orders = self
            .product("Orders API", "product_orders", "orders", &client_type_id)
            .await;
        let anonymous = self.portico.anonymous();
        made(
            &anonymous,
            "/api/v1/users",
            json!({
                "name": "Ada Lovelace", "email": DEVELOPER_EMAIL, "password": DEVELOPER_PASSWORD,
            }),
        )
        .await;
        let developer = anonymous
            .sign_in(DEVELOPER_EMAIL, DEVELOPER_PASSWORD)
            .await
            .unwrap();
        Configured {
            provider_id,
            client_type_id,
            payments,
            orders,
            free: id(&plan),
            developer,
        }
    }

    /// A published product.
    pub async fn product(
        &self,
        name: &str,
        scope: &str,
        api: &str,
        client_type_id: &str,
    ) -> String {
        let product = made(&self.admin, "/api/v1/products", json!({
            "name": name, "description": "", "dcr_enabled": true, "scopes": scope,
            "client_type_ids": [client_type_id], "visibility": "public", "tags": [],
            "apis": [{"api_id": api, "name": name, "url": format!("{}/{api}/", self.gateway.url())}],
        }))
        .await;
        let path = format!("/api/v1/products/{}/publish", id(&product));
        self.admin
            .post(&path, json!({}))
            .await
            .unwrap()
            .expect(StatusCode::OK)
            .unwrap();
        id(&product)
    }

    /// An admin's or the developer's action on an access request.
    pub async fn act(&self, who: &Portal, request: &str, action: &str) -> Answer {
        let path = format!("/api/v1/access-requests/{request}/{action}");
        who.post(&path, json!({"reason": "A reason."}))
            .await
            .unwrap()
    }

    /// Approves and waits until it is active.
    pub async fn approve(&self, request: &str) {
        self.act(&self.admin, request, "approve")
            .await
            .expect(StatusCode::ACCEPTED)
            .unwrap();
        self.wait_for_status(request, "active").await;
    }

    pub async fn wait_for_status(&self, request: &str, wanted: &str) -> Value {
        let path = format!("/api/v1/access-requests/{request}");
        until(&format!("{request} is {wanted}"), || async {
            let now = self
                .admin
                .get(&path)
                .await
                .unwrap()
                .expect(StatusCode::OK)
                .unwrap();
            assert!(
                wanted == "failed" || now["status"] != "failed",
                "it failed: {now}"
            );
            (now["status"] == wanted).then_some(now)
        })
        .await
    }

    /// Asks the token endpoint for these scopes.
    pub async fn token(&self, credentials: &Credentials, scope: Option<&str>) -> (u16, Value) {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(scope.map(|scope| ("scope", scope)));
        let response = portico_sandbox::outgoing::http_client()
            .unwrap()
            .post(&credentials.token_endpoint)
            .basic_auth(&credentials.client_id, Some(&credentials.client_secret))
            .form(&form)
            .send()
            .await
            .unwrap();
        (
            response.status().as_u16(),
            response.json().await.unwrap_or(Value::Null),
        )
    }

    /// The scopes of a token, sorted, and what the gateway says to it.
    pub async fn call(
        &self,
        credentials: &Credentials,
        scope: &str,
        api: &str,
    ) -> (Vec<String>, u16) {
        let (status, body) = self.token(credentials, Some(scope)).await;
        assert_eq!(status, 200, "no token: {body}");
        let token = body["access_token"].as_str().unwrap();
        let payload = URL_SAFE_NO_PAD
            .decode(token.split('.').nth(1).unwrap())
            .unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        let mut scopes: Vec<String> = claims["scope"]
            .as_str()
            .unwrap_or_default()
            .split(' ')
            .map(str::to_owned)
            .collect();
        scopes.sort_unstable();
        let url = format!("{}/{api}/status", self.gateway.url());
        let answer = portico_sandbox::outgoing::http_client()
            .unwrap()
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        (scopes, answer.status().as_u16())
    }
}

impl Configured {
    /// Submits a request; for a new application where none is given. Gives request and application.
    pub async fn submit(&self, product: &str, application: Option<&str>) -> (String, String) {
        let mut body = json!({
            "items": [{"product_id": product, "plan_id": self.free}], "client_type_id": self.client_type_id,
        });
        match application {
            Some(id) => body["application_id"] = id.into(),
            None => {
                body["application"] = json!({
                    "name": "Shop", "description": "", "redirect_urls": [], "visibility": "personal",
                });
            }
        }
        let request = made(&self.developer, "/api/v1/access-requests", body).await;
        assert_eq!(request["status"], "pending");
        (
            id(&request),
            request["application_id"].as_str().unwrap().to_owned(),
        )
    }

    pub async fn credentials(&self, application: &str) -> Credentials {
        self.try_credentials(application).await.unwrap()
    }

    pub async fn try_credentials(&self, application: &str) -> Result<Credentials, String> {
        let path = format!("/api/v1/applications/{application}/credentials");
        let body = self
            .developer
            .get(&path)
            .await
            .unwrap()
            .expect(StatusCode::OK)?;
        let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
        let mut scopes: Vec<&str> = body["scopes"]
            .as_str()
            .unwrap_or_default()
            .split(' ')
            .collect();
        scopes.sort_unstable();
        Ok(Credentials {
            client_id: text("client_id"),
            client_secret: text("client_secret"),
            token_endpoint: text("token_endpoint"),
            scopes: scopes.join(" "),
        })
    }
}
