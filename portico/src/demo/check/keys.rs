//! A product without OAuth credentials: its API key is ordered, shown once, used and revoked.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Request, Walk, World, text};

impl Walk<'_> {
    /// From the cart to the refusal of a revoked key.
    pub(super) async fn keys(&mut self) -> Result<(), String> {
        let product = self.catalogue.key_product_id.clone();
        let items = self.cart(&product).await?;
        let application = json!({
            "name": "Route planner", "description": "Plans around the rain.",
            "redirect_urls": [], "visibility": "personal",
        });
        let request = self
            .submit(json!({"items": items, "application": application}))
            .await?;
        self.approve(&request).await?;
        let id = self.key(&request).await?;
        let key = self.reveal(&id).await?;
        self.second_reveal(&id).await?;
        self.call_with_key(&key, StatusCode::OK).await?;
        self.revoke(&request).await?;
        self.wait_for_no_key().await?;
        self.call_with_key(&key, StatusCode::FORBIDDEN).await
    }

    /// Its id; the key itself is nowhere in the credentials.
    async fn key(&mut self, request: &Request) -> Result<String, String> {
        let body = self.read_credentials(request).await?;
        let key = &body["api_keys"][0];
        if text(key, "status") != "ready" || key["revealed"] != Value::Bool(false) {
            return Err(format!("the API key is not ready to be shown: {key}"));
        }
        let id = text(key, "id").to_owned();
        let hash = text(key, "hash_prefix");
        self.say(
            "developer sees the API key's state",
            format!("200, ready, {hash}…"),
        );
        Ok(id)
    }

    async fn reveal(&mut self, id: &str) -> Result<String, String> {
        let path = format!("/api/v1/api-keys/{id}/reveal");
        let body = self
            .developer
            .post(&path, json!({}))
            .await?
            .expect(StatusCode::OK)?;
        let key = text(&body, "key").to_owned();
        if key.is_empty() {
            return Err("the API key was not shown".to_owned());
        }
        self.say("developer reveals the API key", "200, shown once");
        Ok(key)
    }

    async fn second_reveal(&mut self, id: &str) -> Result<(), String> {
        let path = format!("/api/v1/api-keys/{id}/reveal");
        let body = self
            .developer
            .post(&path, json!({}))
            .await?
            .expect(StatusCode::CONFLICT)?;
        let code = text(&body, "code");
        if code != "api_key_already_revealed" {
            return Err(format!("the second look was refused with {code}"));
        }
        self.say("a second look is refused", format!("409 {code}"));
        Ok(())
    }

    async fn call_with_key(&mut self, key: &str, expected: StatusCode) -> Result<(), String> {
        let came_back = self.call_gateway("weather", key, expected).await?;
        self.say("the API key calls /weather/", came_back);
        Ok(())
    }

    async fn wait_for_no_key(&mut self) -> Result<(), String> {
        let still = "the API key was not deleted at the gateway";
        self.wait_for_none(World::key_count, still).await?;
        self.say("the API key is deleted", "0 keys at the gateway");
        Ok(())
    }
}
