//! `portico demo --check`: the whole flow through the public REST API, one line a step, with what came back.

use std::{
    fmt,
    time::{Duration, Instant},
};

use http::{StatusCode, header};
use serde_json::{Value, json};

mod credentials;
mod keys;

use super::{
    seed::{self, Catalogue, id, made},
    world::World,
};
use crate::client::Portal;

/// The longest that a step in the background may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Walks the whole flow; the first step that is wrong ends it.
///
/// # Errors
/// The step and what came back instead.
pub async fn walk(world: &World, catalogue: &Catalogue) -> Result<(), String> {
    const PAYMENTS: &str = "product_payments free_plan";
    const ORDERS: &str = "product_orders free_plan";
    let (ok, forbidden) = (StatusCode::OK, StatusCode::FORBIDDEN);
    let mut walk = Walk::new(world, catalogue).await?;
    walk.catalogue().await?;
    let payments = walk.request(0, None).await?;
    walk.approve(&payments).await?;
    let granted = "free_plan product_payments";
    let first = walk.credentials(&payments, granted).await?;
    walk.call(&first, PAYMENTS, "payments", ok).await?;
    walk.call(&first, PAYMENTS, "orders", forbidden).await?;
    let unknown = StatusCode::BAD_REQUEST;
    walk.token_refused(&first, Some(ORDERS), unknown).await?;

    let orders = walk.request(1, Some(&payments.application_id)).await?;
    walk.approve(&orders).await?;
    let both = "free_plan product_orders product_payments";
    let grown = walk.credentials(&orders, both).await?;
    walk.same_client(&first, &grown)?;
    walk.call(&grown, ORDERS, "orders", ok).await?;

    walk.revoke(&orders).await?;
    walk.wait_for_scopes(&orders, granted).await?;
    walk.token_refused(&grown, Some(ORDERS), unknown).await?;
    walk.call(&grown, PAYMENTS, "payments", ok).await?;
    walk.call(&grown, "product_payments", "orders", forbidden)
        .await?;

    walk.revoke(&payments).await?;
    walk.wait_for_no_client().await?;
    let unauthorized = StatusCode::UNAUTHORIZED;
    walk.token_refused(&grown, None, unauthorized).await?;
    walk.keys().await?;
    walk.mails().await?;
    walk.done();
    Ok(())
}

struct Walk<'a> {
    world: &'a World,
    catalogue: &'a Catalogue,
    http: reqwest::Client,
    admin: Portal,
    developer: Portal,
    began: Instant,
    steps: u32,
}

/// An access request under way.
struct Request {
    id: String,
    application_id: String,
}

impl<'a> Walk<'a> {
    async fn new(world: &'a World, catalogue: &'a Catalogue) -> Result<Self, String> {
        let http = portico_sandbox::outgoing::http_client().map_err(|error| error.to_string())?;
        let anonymous = Portal::anonymous(http.clone(), world.portal_url());
        let admin = anonymous
            .sign_in(seed::ADMIN_EMAIL, seed::ADMIN_PASSWORD)
            .await?;
        let developer = anonymous
            .sign_in(seed::DEVELOPER_EMAIL, seed::DEVELOPER_PASSWORD)
            .await?;
        Ok(Self {
            world,
            catalogue,
            http,
            admin,
            developer,
            began: Instant::now(),
            steps: 0,
        })
    }

    #[expect(clippy::print_stdout, reason = "the demo speaks to a person")]
    fn say(&mut self, step: &str, came_back: impl fmt::Display) {
        self.steps += 1;
        println!(
            "{:>2}  {:>5} ms  {step:<58}  {came_back}",
            self.steps,
            self.began.elapsed().as_millis()
        );
    }

    async fn catalogue(&mut self) -> Result<(), String> {
        let products = self
            .developer
            .get("/api/v1/products")
            .await?
            .expect(StatusCode::OK)?;
        let items = products["items"].as_array().map_or(0, Vec::len);
        if items != self.catalogue.products {
            return Err(format!(
                "the catalogue shows {items} products, not {}",
                self.catalogue.products
            ));
        }
        self.say(
            "developer reads the catalogue",
            format!("200, {items} products"),
        );
        Ok(())
    }

    /// Cart and checkout; a new application where none is given.
    async fn request(
        &mut self,
        product: usize,
        application: Option<&str>,
    ) -> Result<Request, String> {
        let items = self.cart(&self.catalogue.product_ids[product]).await?;
        let mut body = json!({"items": items, "client_type_id": self.catalogue.client_type_id});
        match application {
            Some(id) => body["application_id"] = id.into(),
            None => {
                body["application"] = json!({
                    "name": "Checkout service", "description": "Takes payments in our shop.",
                    "redirect_urls": [], "visibility": "personal",
                });
            }
        }
        self.submit(body).await
    }

    /// One product under the first plan, put into the cart.
    async fn cart(&mut self, product: &str) -> Result<Value, String> {
        let items = json!([{"product_id": product, "plan_id": self.catalogue.plan_ids[0]}]);
        let cart = self
            .developer
            .put("/api/v1/cart", json!({"items": items}))
            .await?
            .expect(StatusCode::OK)?;
        self.say(
            "developer fills the cart",
            format!("200, {} item", cart["items"].as_array().map_or(0, Vec::len)),
        );
        Ok(items)
    }

    async fn submit(&mut self, body: Value) -> Result<Request, String> {
        let request = made(&self.developer, "/api/v1/access-requests", body).await?;
        let status = text(&request, "status");
        if status != "pending" {
            return Err(format!("the access request is {status}, not pending"));
        }
        self.say(
            "developer submits the access request",
            format!("201, {status}"),
        );
        Ok(Request {
            id: id(&request)?,
            application_id: text(&request, "application_id").to_owned(),
        })
    }

    async fn approve(&mut self, request: &Request) -> Result<(), String> {
        let pending = self
            .admin
            .get("/api/v1/access-requests?status=pending")
            .await?
            .expect(StatusCode::OK)?;
        let listed = pending["items"]
            .as_array()
            .is_some_and(|items| items.iter().any(|item| item["id"] == request.id.as_str()));
        if !listed {
            return Err("the admin does not see the access request".to_owned());
        }
        let path = format!("/api/v1/access-requests/{}/approve", request.id);
        let approved = self
            .admin
            .post(&path, json!({}))
            .await?
            .expect(StatusCode::ACCEPTED)?;
        self.say(
            "admin approves it",
            format!("202, {}", text(&approved, "status")),
        );
        let active = self.wait_for_status(request, "active").await?;
        let done = match text(&active, "credential") {
            "api_key" => "API key made at the gateway",
            _ => "client registered, gateway mapped",
        };
        self.say(done, "status active");
        Ok(())
    }

    async fn wait_for_status(&self, request: &Request, wanted: &str) -> Result<Value, String> {
        let path = format!("/api/v1/access-requests/{}", request.id);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.developer.get(&path).await?.expect(StatusCode::OK)?;
            let status = text(&now, "status");
            if status == wanted {
                return Ok(now);
            }
            if status == "failed" || Instant::now() > deadline {
                return Err(format!(
                    "the request is {status}, not {wanted}: {}",
                    text(&now, "reason")
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A call through the gateway: the status, and the gateway's words where it refuses.
    async fn call_gateway(
        &self,
        api: &str,
        authorization: &str,
        expected: StatusCode,
    ) -> Result<String, String> {
        let url = format!("{}/{api}/status", self.world.gateway_url());
        let response = self
            .http
            .get(&url)
            .header(header::AUTHORIZATION, authorization)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        let words = response.text().await.unwrap_or_default();
        if status != expected {
            return Err(format!(
                "the gateway answered {status}, expected {expected}: {words}"
            ));
        }
        let refusal: Value = serde_json::from_str(&words).unwrap_or_default();
        let detail = text(&refusal, "error");
        Ok(format!("{} {detail}", status.as_u16())
            .trim_end()
            .to_owned())
    }

    async fn revoke(&mut self, request: &Request) -> Result<(), String> {
        let path = format!("/api/v1/access-requests/{}/revoke", request.id);
        let reason = json!({"reason": "The example is over."});
        let revoked = self
            .admin
            .post(&path, reason)
            .await?
            .expect(StatusCode::ACCEPTED)?;
        self.say(
            "admin revokes it",
            format!("202, {}", text(&revoked, "status")),
        );
        Ok(())
    }

    /// Waits until nothing of a kind is left, or says that it is still there.
    async fn wait_for_none(&self, left: fn(&World) -> usize, still: &str) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while left(self.world) > 0 {
            if Instant::now() > deadline {
                return Err(still.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn wait_for_no_client(&mut self) -> Result<(), String> {
        let still = "the client was not deleted at the identity provider";
        self.wait_for_none(World::client_count, still).await?;
        self.say(
            "nothing is left: the client is deleted",
            "0 clients at the identity provider",
        );
        Ok(())
    }

    /// Three requests: three to the admin, three "ready" and three "revoked" to the developer.
    async fn mails(&mut self) -> Result<(), String> {
        let messages = self
            .world
            .mail()
            .wait_for_count(PATIENCE, 9)
            .await
            .ok_or_else(|| {
                format!(
                    "{} mails arrived, expected 9",
                    self.world.mail().messages().len()
                )
            })?;
        self.say("mails that arrived", format!("{}", messages.len()));
        for message in &messages {
            let (to, subject) = (message.to.clone(), message.subject.clone());
            self.say(&format!("  to {to}"), subject);
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the demo speaks to a person")]
    fn done(&self) {
        println!(
            "\nAll {} steps came back as they should, in {} ms.",
            self.steps,
            self.began.elapsed().as_millis()
        );
    }
}

fn text<'v>(body: &'v Value, member: &str) -> &'v str {
    body[member].as_str().unwrap_or_default()
}
