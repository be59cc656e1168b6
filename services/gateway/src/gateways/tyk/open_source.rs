//! The open-source control API (`/tyk/`). What is written takes effect at a reload.

use std::collections::BTreeSet;

use async_trait::async_trait;
use http::Method;
use serde_json::Value;

use super::control::Control;
use super::http::{Caller, created, deleted, document, invalid, refused, texts, written};
use crate::gateways::{CreatedKey, Failure, GatewaySession};

/// The gateway itself.
pub(super) struct OpenSource<'a>(Caller<'a>);

impl<'a> OpenSource<'a> {
    pub(super) fn open(session: &'a GatewaySession<'a>) -> Self {
        Self(Caller {
            session,
            root: "tyk",
            header: "x-tyk-authorization",
        })
    }

    async fn get(&self, collection: &str, id: &str) -> Result<Option<Value>, Failure> {
        let (status, body) = self
            .0
            .call(Method::GET, &[collection, id], None, None)
            .await?;
        document(status, body)
    }

    async fn list(&self, collection: &str) -> Result<Vec<Value>, Failure> {
        let (status, body) = self.0.call(Method::GET, &[collection], None, None).await?;
        match body {
            Value::Array(all) if status == 200 => Ok(all),
            // Nothing at all is `null` to some versions.
            Value::Null if status == 200 => Ok(Vec::new()),
            body if status != 200 => Err(refused(status, &body)),
            _ => Err(invalid("the gateway answered a list with something else")),
        }
    }

    async fn write(&self, method: Method, path: &[&str], body: Value) -> Result<(), Failure> {
        let (status, body) = self.0.call(method, path, None, Some(body)).await?;
        written(status, &body)
    }
}

#[async_trait]
impl Control for OpenSource<'_> {
    /// By asking for an API that cannot be there: a list of all might be large.
    async fn hello(&self) -> Result<(), Failure> {
        let (status, body) = self
            .0
            .call(
                Method::GET,
                &["apis", "portico-connection-test"],
                None,
                None,
            )
            .await?;
        match status {
            200 | 404 if body["status"] == "error" || body["api_id"].is_string() => Ok(()),
            200 | 404 => Err(invalid(
                "the URL answers, but not as the control API of a Tyk gateway does",
            )),
            _ => Err(refused(status, &body)),
        }
    }

    async fn api(&self, id: &str) -> Result<Option<Value>, Failure> {
        self.get("apis", id).await
    }

    async fn apis(&self) -> Result<Vec<Value>, Failure> {
        self.list("apis").await
    }

    async fn create_api(&self, definition: Value) -> Result<(), Failure> {
        self.write(Method::POST, &["apis"], definition).await
    }

    async fn replace_api(&self, id: &str, definition: Value) -> Result<(), Failure> {
        self.write(Method::PUT, &["apis", id], definition).await
    }

    async fn policy(&self, id: &str) -> Result<Option<Value>, Failure> {
        self.get("policies", id).await
    }

    async fn policies(&self) -> Result<Vec<Value>, Failure> {
        self.list("policies").await
    }

    async fn create_policy(&self, policy: Value) -> Result<(), Failure> {
        self.write(Method::POST, &["policies"], policy).await
    }

    async fn replace_policy(&self, id: &str, policy: Value) -> Result<(), Failure> {
        self.write(Method::PUT, &["policies", id], policy).await
    }

    async fn delete_policy(&self, id: &str) -> Result<(), Failure> {
        let (status, body) = self
            .0
            .call(Method::DELETE, &["policies", id], None, None)
            .await?;
        deleted(status, &body)
    }

    /// Returns only when it is done.
    async fn reload(&self) -> Result<(), Failure> {
        let query = Some("block=true");
        let (status, body) = self.0.call(Method::GET, &["reload"], query, None).await?;
        written(status, &body)
    }

    async fn flush_keys(&self, api_ids: &BTreeSet<String>) -> Result<bool, Failure> {
        for id in api_ids {
            let (status, body) = self
                .0
                .call(Method::DELETE, &["cache", "jwks", id], None, None)
                .await?;
            match status {
                200..=299 => {}
                404 | 405 => return Ok(false),
                _ => return Err(refused(status, &body)),
            }
        }
        Ok(true)
    }

    async fn create_key(&self, session: Value) -> Result<CreatedKey, Failure> {
        let (caller, session) = (&self.0, Some(session));
        let (status, body) = caller.call(Method::POST, &["keys"], None, session).await?;
        created(status, &body, "key")
    }

    async fn key_hashes(&self) -> Result<Vec<String>, Failure> {
        let (status, body) = self.0.call(Method::GET, &["keys"], None, None).await?;
        match status {
            200 => Ok(texts(&body["keys"])),
            // Listing hashed keys is an option of the gateway.
            404 | 405 => Err(Failure::fail(
                "key_listing_unavailable",
                "the gateway does not list its keys; see `enable_hashed_keys_listing`",
            )),
            _ => Err(refused(status, &body)),
        }
    }

    async fn key(&self, hash: &str) -> Result<Option<Value>, Failure> {
        let query = Some("hashed=1");
        let (status, body) = self
            .0
            .call(Method::GET, &["keys", hash], query, None)
            .await?;
        document(status, body)
    }

    async fn delete_key(&self, hash: &str) -> Result<(), Failure> {
        let query = Some("hashed=1");
        let (status, body) = self
            .0
            .call(Method::DELETE, &["keys", hash], query, None)
            .await?;
        deleted(status, &body)
    }
}
