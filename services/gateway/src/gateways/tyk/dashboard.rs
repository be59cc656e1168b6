//! The API of the Tyk Dashboard (`/api/`), with a user's key. The gateways follow what is stored there by themselves.
//!
//! Three things are otherwise than at the gateway, and are translated both ways:
//! - a definition is wrapped, with members beside it that must be sent back
//! - a Dashboard that does not allow explicit policy ids chooses them: `aliases`
//! - from 5.14 a registry says which identity provider's scopes lead where, so that nobody writes that into
//!   definitions at the same time as Portico: `registry`

mod aliases;
mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::control::Control;
use super::http::{Caller, created, deleted, document, invalid, refused, texts, written};
use crate::gateways::{CreatedKey, Failure, GatewaySession};
use aliases::Aliases;
use registry::Registry;

/// Pages of a list; more than a portal's operator can have made.
const PAGES: u64 = 1000;

/// The Dashboard, for one piece of work.
pub(super) struct Dashboard<'a> {
    caller: Caller<'a>,
    /// What stood around definitions when they were read.
    wrappers: Mutex<BTreeMap<String, Value>>,
    aliases: OnceCell<Mutex<Aliases>>,
    /// Until something is written to it.
    registry: tokio::sync::Mutex<Option<Registry>>,
}

impl<'a> Dashboard<'a> {
    pub(super) fn open(session: &'a GatewaySession<'a>) -> Self {
        Self {
            caller: Caller {
                session,
                root: "api",
                header: "authorization",
            },
            wrappers: Mutex::default(),
            aliases: OnceCell::new(),
            registry: tokio::sync::Mutex::default(),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: Option<&str>,
        body: Option<Value>,
    ) -> Result<(u16, Value), Failure> {
        let (status, body) = self.caller.call(method, path, query, body).await?;
        // Some refusals come with status 200.
        if status == 200 && body["Status"] == "Error" {
            return Err(refused(400, &body));
        }
        Ok((status, body))
    }

    async fn write(&self, method: Method, path: &[&str], body: Value) -> Result<Value, Failure> {
        let (status, body) = self.call(method, path, None, Some(body)).await?;
        written(status, &body)?;
        Ok(body)
    }

    /// All pages of a list whose items are under one of these members.
    async fn list(&self, path: &[&str], members: [&str; 2]) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let query = format!("p={page}");
            let (status, body) = self.call(Method::GET, path, Some(&query), None).await?;
            written(status, &body)?;
            let items = members.iter().find_map(|member| body[*member].as_array());
            let Some(items) = items else {
                let empty = members.iter().any(|member| body.get(*member).is_some());
                return if empty {
                    Ok(all)
                } else {
                    Err(invalid("the Dashboard answered a list with something else"))
                };
            };
            all.extend(items.iter().cloned());
            let pages = ["pages", "Pages"]
                .iter()
                .find_map(|member| body[*member].as_u64())
                .unwrap_or(1);
            if page >= pages || items.is_empty() {
                break;
            }
        }
        Ok(all)
    }

    async fn stored_policies(&self) -> Result<Vec<Value>, Failure> {
        self.list(&["portal", "policies"], ["Data", "data"]).await
    }

    async fn aliases(&self) -> Result<Aliases, Failure> {
        let aliases = self
            .aliases
            .get_or_try_init(|| async {
                let policies = self.stored_policies().await?;
                Ok::<_, Failure>(Mutex::new(Aliases::of(&policies)))
            })
            .await?;
        Ok(aliases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone())
    }

    fn learn(&self, id: &str, real: &str) {
        if let Some(aliases) = self.aliases.get() {
            let mut aliases = aliases.lock().unwrap_or_else(PoisonError::into_inner);
            aliases.learn(id, real);
        }
    }

    async fn registry(&self) -> Result<Registry, Failure> {
        let mut known = self.registry.lock().await;
        if let Some(registry) = &*known {
            return Ok(registry.clone());
        }
        let (status, body) = self.call(Method::GET, &["clientidps"], None, None).await?;
        let registry = match status {
            200 => Registry::of(&body),
            // Before 5.14, without a licence for it, or without the permission.
            400..=499 | 501 => Registry::absent(),
            _ => return Err(refused(status, &body)),
        };
        *known = Some(registry.clone());
        Ok(registry)
    }

    /// As the open-source gateway would have it.
    async fn seen(&self, definition: Value) -> Result<Value, Failure> {
        let mut definition = self.registry().await?.seen(definition);
        self.aliases().await?.seen(&mut definition);
        Ok(definition)
    }

    async fn write_registry(&self, api: &str, plan: registry::Plan) -> Result<(), Failure> {
        if plan == registry::Plan::default() {
            return Ok(());
        }
        *self.registry.lock().await = None;
        if let Some(create) = plan.create {
            self.write(Method::POST, &["clientidps"], create).await?;
        }
        for (id, record) in plan.replace {
            let path = ["clientidps", id.as_str()];
            self.write(Method::PUT, &path, record).await?;
        }
        for (id, mapping) in plan.mappings {
            let path = ["clientidps", id.as_str(), "mappings", api];
            match mapping {
                Some(mapping) => {
                    let body = json!({"scope_to_policy": mapping});
                    self.write(Method::PUT, &path, body).await?;
                }
                None => {
                    let (status, body) = self.call(Method::DELETE, &path, None, None).await?;
                    deleted(status, &body)?;
                }
            }
        }
        Ok(())
    }

    fn remember(&self, id: &str, wrapper: Value) {
        let mut wrappers = self.wrappers.lock().unwrap_or_else(PoisonError::into_inner);
        wrappers.insert(id.to_owned(), wrapper);
    }

    fn remembered(&self, id: &str) -> Option<Value> {
        let wrappers = self.wrappers.lock().unwrap_or_else(PoisonError::into_inner);
        wrappers.get(id).cloned()
    }

    async fn wrapped(&self, id: &str) -> Result<Option<Value>, Failure> {
        let (status, body) = self.call(Method::GET, &["apis", id], None, None).await?;
        let Some(body) = document(status, body)? else {
            return Ok(None);
        };
        if !body["api_definition"].is_object() {
            return Err(invalid("the Dashboard answered without an api_definition"));
        }
        Ok(Some(body))
    }
}

#[async_trait]
impl Control for Dashboard<'_> {
    async fn hello(&self) -> Result<(), Failure> {
        let (status, body) = self.call(Method::GET, &["apis"], Some("p=1"), None).await?;
        match status {
            200 if body["apis"].is_array()
                || body["apis"].is_null() && body.get("pages").is_some() =>
            {
                Ok(())
            }
            200 | 404 => Err(invalid(
                "the URL answers, but not as the API of a Tyk Dashboard does",
            )),
            _ => Err(refused(status, &body)),
        }
    }

    async fn api(&self, id: &str) -> Result<Option<Value>, Failure> {
        let Some(body) = self.wrapped(id).await? else {
            return Ok(None);
        };
        let definition = body["api_definition"].clone();
        self.remember(id, body);
        self.seen(definition).await.map(Some)
    }

    async fn apis(&self) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        for one in self.list(&["apis"], ["apis", "Apis"]).await? {
            let definition = match &one["api_definition"] {
                Value::Null => one,
                definition => definition.clone(),
            };
            all.push(self.seen(definition).await?);
        }
        Ok(all)
    }

    async fn create_api(&self, definition: Value) -> Result<(), Failure> {
        let body = json!({"api_definition": definition});
        self.write(Method::POST, &["apis"], body).await.map(drop)
    }

    async fn replace_api(&self, id: &str, mut definition: Value) -> Result<(), Failure> {
        let mut wrapper = match self.remembered(id) {
            Some(wrapper) => wrapper,
            None => self.wrapped(id).await?.unwrap_or_else(|| json!({})),
        };
        self.aliases().await?.stored(&mut definition);
        let stored = &wrapper["api_definition"];
        let (definition, plan) = self.registry().await?.stored(id, stored, definition);
        // Before the API takes tokens, the registry says what they are good for.
        self.write_registry(id, plan).await?;
        if definition == *stored {
            return Ok(());
        }
        wrapper["api_definition"] = definition;
        self.write(Method::PUT, &["apis", id], wrapper)
            .await
            .map(drop)
    }

    async fn policy(&self, id: &str) -> Result<Option<Value>, Failure> {
        let aliases = self.aliases().await?;
        let path = ["portal", "policies", aliases.real(id)];
        let (status, body) = self.call(Method::GET, &path, None, None).await?;
        Ok(document(status, body)?.map(|policy| aliases::seen_policy(policy, id)))
    }

    async fn policies(&self) -> Result<Vec<Value>, Failure> {
        let aliases = self.aliases().await?;
        let all = self.stored_policies().await?;
        Ok(all
            .into_iter()
            .map(|policy| {
                let id = aliases.alias_of(&policy);
                aliases::seen_policy(policy, &id)
            })
            .collect())
    }

    async fn create_policy(&self, mut policy: Value) -> Result<(), Failure> {
        let id = policy["id"].as_str().unwrap_or_default().to_owned();
        // Read before, so that what is learnt is not lost.
        self.aliases().await?;
        aliases::mark(&mut policy, &id);
        let path = ["portal", "policies"];
        let answer = self.write(Method::POST, &path, policy).await?;
        match answer["Message"].as_str().filter(|real| !real.is_empty()) {
            Some(real) => {
                self.learn(&id, real);
                Ok(())
            }
            None => Err(invalid("the Dashboard answered without the policy's id")),
        }
    }

    async fn replace_policy(&self, id: &str, mut policy: Value) -> Result<(), Failure> {
        let aliases = self.aliases().await?;
        let real = aliases.real(id);
        aliases::mark(&mut policy, id);
        if real != id {
            policy["id"] = "".into();
        }
        let path = ["portal", "policies", real];
        self.write(Method::PUT, &path, policy).await.map(drop)
    }

    async fn delete_policy(&self, id: &str) -> Result<(), Failure> {
        let aliases = self.aliases().await?;
        let path = ["portal", "policies", aliases.real(id)];
        let (status, body) = self.call(Method::DELETE, &path, None, None).await?;
        deleted(status, &body)
    }

    /// The gateways are told by the Dashboard.
    async fn reload(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn flush_keys(&self, _: &BTreeSet<String>) -> Result<bool, Failure> {
        Ok(false)
    }

    async fn create_key(&self, mut session: Value) -> Result<CreatedKey, Failure> {
        let aliases = self.aliases().await?;
        let policies = texts(&session["apply_policies"]);
        session["apply_policies"] = policies.iter().map(|id| aliases.real(id)).collect();
        let (status, body) = self
            .call(Method::POST, &["keys"], None, Some(session))
            .await?;
        created(status, &body, "key_id")
    }

    async fn key_hashes(&self) -> Result<Vec<String>, Failure> {
        let (status, body) = self
            .call(Method::GET, &["keys"], Some("p=-1"), None)
            .await?;
        match status {
            200 => Ok(texts(&body["data"]["keys"])),
            404 | 405 => Err(Failure::fail(
                "key_listing_unavailable",
                "the Dashboard does not list keys; see `enable_hashed_keys_listing`",
            )),
            _ => Err(refused(status, &body)),
        }
    }

    async fn key(&self, hash: &str) -> Result<Option<Value>, Failure> {
        let path = ["keys", hash];
        let query = Some("hashed=true");
        let (status, body) = self.call(Method::GET, &path, query, None).await?;
        document(status, body)
    }

    async fn delete_key(&self, hash: &str) -> Result<(), Failure> {
        let path = ["keys", hash];
        let query = Some("hashed=true");
        let (status, body) = self.call(Method::DELETE, &path, query, None).await?;
        deleted(status, &body)
    }
}
