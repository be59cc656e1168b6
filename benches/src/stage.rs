//! What stands around a portal: identity provider, gateway and mail server of the sandbox; and a configured portal.

use std::time::{Duration, Instant};

use http::StatusCode;
use jiff::Timestamp;
use portico::client::Portal;
use portico_sandbox::{
    gateway::{self, seed},
    identity_provider::{self, Fault, Operation},
    mail,
};
use serde_json::{Value, json};

use crate::{
    log::message,
    portal::{ADMIN, DEVELOPER, create, publish},
};

/// The API at the gateway that the product opens.
pub(crate) const API: &str = "payments";

const PATIENCE: Duration = Duration::from_mins(5);

/// The servers around the portal.
pub(crate) struct Outside {
    pub(crate) provider: identity_provider::Handle,
    pub(crate) gateway: gateway::Handle,
    pub(crate) mail: mail::Handle,
}

impl Outside {
    /// On free ports of this machine.
    pub(crate) async fn start() -> Result<Self, String> {
        let scopes = vec!["product".into(), "plan".into()];
        let settings = identity_provider::Settings {
            scopes,
            ..Default::default()
        };
        let provider = identity_provider::start(settings).await.map_err(message)?;
        let apis = vec![
            seed::no_operation_api(),
            seed::api(API, "Payments", "/payments/", "http://127.0.0.1:9"),
        ];
        let policies = vec![seed::no_operation_policy()];
        let settings = gateway::Settings {
            apis,
            policies,
            ..Default::default()
        };
        let gateway = gateway::start(settings).await.map_err(message)?;
        let mail = mail::start(mail::Settings::default())
            .await
            .map_err(message)?;
        Ok(Self {
            provider,
            gateway,
            mail,
        })
    }

    /// Settings of a portal that uses them.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        [
            ("PORTICO_ADMIN_EMAIL", ADMIN.0.to_owned()),
            ("PORTICO_ADMIN_PASSWORD", ADMIN.1.to_owned()),
            ("PORTICO_ALLOW_PRIVATE_ADDRESSES", "localhost".to_owned()),
            ("PORTICO_LOG_LEVEL", "error".to_owned()),
            ("PORTICO_SMTP_URL", self.mail.smtp_url()),
            (
                "PORTICO_MAIL_FROM",
                "Portal <portal@bench.example>".to_owned(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// Delays the next calls that register or update.
pub(crate) fn slow(provider: &identity_provider::Handle, times: usize, delay: Duration) {
    for operation in [Operation::Register, Operation::Update] {
        provider.fail_next(operation, times, Fault::Delay(delay));
    }
}

/// What access requests refer to, and who makes and decides them.
pub(crate) struct Setting {
    pub(crate) admin: Portal,
    pub(crate) developer: Portal,
    client_type: String,
    product: String,
    plan: String,
}

impl Setting {
    /// Configures an empty portal. Without a gateway the plan approves by itself.
    pub(crate) async fn configure(
        anonymous: &Portal,
        provider: &identity_provider::Handle,
        gateway: Option<&gateway::Handle>,
    ) -> Result<Self, String> {
        let admin = anonymous.sign_in(ADMIN.0, ADMIN.1).await?;
        let body = json!({"name": "Provider", "type": "other", "well_known_url": provider.well_known_url()});
        let id = create(&admin, "/api/v1/identity-providers", body).await?;
        let path = format!("/api/v1/identity-providers/{id}/client-types");
        let body = json!({
            "name": "Backend", "description": "", "response_types": [], "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic",
        });
        let client_type = create(&admin, &path, body).await?;
        let mut apis = json!([]);
        if let Some(gateway) = gateway {
            let (url, secret) = (gateway.url(), gateway.secret());
            let body = json!({
                "name": "Gateway", "type": "tyk", "url": url, "secret": secret, "org_id": seed::ORG,
            });
            create(&admin, "/api/v1/gateways", body).await?;
            apis = json!([{"api_id": API, "name": "Payments", "url": format!("{url}/{API}/")}]);
        }
        let body = json!({
            "name": "Product", "description": "Takes payments.", "dcr_enabled": true, "scopes": "product",
            "client_type_ids": [client_type], "visibility": "public", "tags": [], "apis": apis,
        });
        let product = create(&admin, "/api/v1/products", body).await?;
        publish(&admin, &product).await?;
        let body = json!({"name": "Plan", "description": "", "scopes": "plan", "auto_approve": gateway.is_none()});
        let plan = create(&admin, "/api/v1/plans", body).await?;
        let user = json!({"name": "Dev Eloper", "email": DEVELOPER.0, "password": DEVELOPER.1});
        create(anonymous, "/api/v1/users", user).await?;
        let developer = anonymous.sign_in(DEVELOPER.0, DEVELOPER.1).await?;
        Ok(Self {
            admin,
            developer,
            client_type,
            product,
            plan,
        })
    }

    /// The same people at the portal's new address.
    pub(crate) async fn again(&mut self, anonymous: &Portal) -> Result<(), String> {
        self.admin = anonymous.sign_in(ADMIN.0, ADMIN.1).await?;
        self.developer = anonymous.sign_in(DEVELOPER.0, DEVELOPER.1).await?;
        Ok(())
    }

    /// A new access request; its id.
    pub(crate) async fn submit(&self) -> Result<String, String> {
        let body = json!({
            "items": [{"product_id": self.product, "plan_id": self.plan}],
            "application": {"name": "Checkout", "description": "", "redirect_urls": [], "visibility": "personal"},
            "client_type_id": self.client_type,
        });
        create(&self.developer, "/api/v1/access-requests", body).await
    }

    /// The admin approves one.
    pub(crate) async fn approve(&self, request: &str) -> Result<(), String> {
        let path = format!("/api/v1/access-requests/{request}/approve");
        let answer = self.admin.post(&path, json!({})).await?;
        answer.expect(StatusCode::ACCEPTED).map(drop)
    }

    /// When its credentials were there.
    pub(crate) async fn active_since(&self, request: &str) -> Result<Timestamp, String> {
        let path = format!("/api/v1/access-requests/{request}");
        let now: Value = self.developer.get(&path).await?.expect(StatusCode::OK)?;
        let steps = now["timeline"].as_array().into_iter().flatten();
        let at = steps
            .filter(|step| step["step"] == "provisioned")
            .find_map(|step| step["at"].as_str()?.parse().ok());
        at.ok_or_else(|| format!("not active: {now}"))
    }

    /// Waits until its credentials are there, five minutes at most.
    pub(crate) async fn wait_until_active(&self, request: &str) -> Result<(), String> {
        let path = format!("/api/v1/access-requests/{request}");
        let began = Instant::now();
        loop {
            let now: Value = self.developer.get(&path).await?.expect(StatusCode::OK)?;
            match now["status"].as_str() {
                Some("active") => return Ok(()),
                Some("failed" | "rejected") => return Err(format!("{request}: {now}")),
                _ if began.elapsed() > PATIENCE => return Err(format!("not active: {now}")),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}
