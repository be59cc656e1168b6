//! Making a key: its policies first, then the intent, then one call, its answer into the vault before anything else,
//! and its outcome recorded. An attempt without an outcome is looked for, never blindly repeated.

use std::collections::{BTreeMap, BTreeSet};

use portico_runtime::fault;
use portico_vault::{Secret, VaultError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::KeyWorker;
use super::drive::Job;
use crate::gateways::{CreatedKey, WantedKey, plan_policy_id, product_policy_id};
use crate::granted::Item;
use crate::key_order::{
    Command, Key, Link, Place, Policies, key_id, marker, owner, place_in_vault,
};
use crate::mapping::MappingFailure;
use crate::mapping::grants::GrantedApi;
use crate::providers::Failure;
use crate::work::WorkError;

/// A key in the vault, from the gateway's answer until its owner has seen it.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    hash: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// The key of what the vault has of an attempt.
pub(crate) fn key_of(kept: &Secret) -> Option<Secret> {
    let kept: Kept = serde_json::from_str(kept.expose()).ok()?;
    Some(Secret::new(kept.key))
}

impl KeyWorker {
    /// Finds out at which gateways keys are needed.
    pub(super) async fn place(&self, job: &Job) -> Result<(), WorkError> {
        let mut places = Vec::new();
        for item in &job.order.items {
            let located = match self.located(item).await {
                Ok(located) => located,
                Err(failure) => return self.failed(job, failure, None, None).await,
            };
            places.extend(located.into_iter().map(|(gateway_id, api_ids)| Place {
                key_id: key_id(job.id, &item.product_id, gateway_id),
                product_id: item.product_id.clone(),
                gateway_id,
                api_ids,
            }));
        }
        self.record(job, &Command::Place { places }).await.map(drop)
    }

    async fn located(&self, item: &Item) -> Result<BTreeMap<Uuid, Vec<String>>, MappingFailure> {
        let apis: Vec<GrantedApi> = item
            .apis
            .iter()
            .map(|api| GrantedApi {
                api_id: api.api_id.clone(),
                name: api.name.clone(),
                gateway_id: api.gateway_id.clone(),
            })
            .collect();
        if apis.is_empty() {
            return Err(MappingFailure::fail(
                "product_without_api",
                format!(
                    "The product {} has no API at a gateway any more.",
                    item.product_name
                ),
            ));
        }
        self.mapper.located(&apis).await
    }

    /// Creates a key.
    pub(super) async fn make(&self, job: &Job, id: Uuid) -> Result<(), WorkError> {
        let Some(key) = job.order.keys.get(&id) else {
            return Ok(());
        };
        let Some(item) = job.order.item(&key.product_id) else {
            return Ok(());
        };
        let gateway = key.gateway_id;
        let policies = ids(&item_policies(item), key, item);
        let written = self
            .mapper
            .write_key_policies(gateway, &policies.iter().cloned().collect(), &key.api_ids)
            .await;
        if let Err(failure) = written {
            return self.failed(job, failure, Some(gateway), None).await;
        }
        fault::point("intending");
        let intend = Command::Intend { key_id: id };
        let Some(outcome) = self.record(job, &intend).await? else {
            return Ok(());
        };
        fault::point("intent");
        let Some(key) = outcome.state.keys.get(&id) else {
            return Ok(());
        };
        let wanted = WantedKey {
            marker: marker(id, key.attempt),
            policies,
            api_ids: key.api_ids.clone(),
        };
        let reached = match self.mapper.reach(gateway).await {
            Ok(reached) => reached,
            Err(failure) => return self.failed(job, failure, Some(gateway), Some(id)).await,
        };
        let created = reached.driver.create_key(&reached.session(), &wanted).await;
        match created {
            Ok(created) => self.created(job, id, key.attempt, created).await,
            Err(failure) => {
                let undone = nothing_came_of(&failure).then_some(id);
                self.failed(job, failure.into(), Some(gateway), undone)
                    .await
            }
        }
    }

    async fn created(
        &self,
        job: &Job,
        id: Uuid,
        attempt: u32,
        created: CreatedKey,
    ) -> Result<(), WorkError> {
        fault::point("answer_unspooled");
        let kept = Kept {
            key: created.key.expose().to_owned(),
            hash: created.hash,
            headers: created.headers,
        };
        let text = serde_json::to_string(&kept)
            .map_err(|_| WorkError::Other("a key cannot be written".to_owned()))?;
        let at = place_in_vault(id, attempt);
        match self
            .vault
            .put_at(at, &owner(job.id), &Secret::new(text))
            .await
        {
            Ok(()) | Err(VaultError::Taken) => {}
            Err(error) => return Err(error.into()),
        }
        fault::point("answer_received");
        self.complete(job, id, attempt, kept).await
    }

    async fn complete(
        &self,
        job: &Job,
        key_id: Uuid,
        attempt: u32,
        kept: Kept,
    ) -> Result<(), WorkError> {
        let command = Command::Complete {
            key_id,
            attempt,
            hash: kept.hash,
            headers: kept.headers,
            at: self.deps.clock.now(),
        };
        self.record(job, &command).await?;
        fault::point("registered");
        Ok(())
    }

    /// What became of an attempt without an outcome: its answer is in the vault, or whatever of it is at the gateway
    /// is deleted, for nobody has that key.
    pub(super) async fn look(&self, job: &Job, id: Uuid) -> Result<(), WorkError> {
        let Some(key) = job
            .order
            .keys
            .get(&id)
            .filter(|key| key.link == Link::Intended)
        else {
            return Ok(());
        };
        let attempt = key.attempt;
        let at = place_in_vault(id, attempt);
        if let Some(kept) = self.vault.get(&owner(job.id), &at).await?
            && let Ok(kept) = serde_json::from_str::<Kept>(kept.expose())
        {
            return self.complete(job, id, attempt, kept).await;
        }
        match self.delete_lost(key.gateway_id, &marker(id, attempt)).await {
            Ok(lost) => {
                tracing::info!(request_id = %job.id, attempt, lost, "an attempt to make an API key came to nothing");
                let undo = Command::Undo {
                    key_id: id,
                    attempt,
                };
                self.record(job, &undo).await.map(drop)
            }
            // Without a gateway there is no key.
            Err(failure) if failure.code == "gateway_not_found" && !job.order.is_wanted() => {
                let undo = Command::Undo {
                    key_id: id,
                    attempt,
                };
                self.record(job, &undo).await.map(drop)
            }
            Err(failure) => self.failed(job, failure, Some(key.gateway_id), None).await,
        }
    }

    /// How many there were.
    async fn delete_lost(&self, gateway: Uuid, marker: &str) -> Result<usize, MappingFailure> {
        let reached = self.mapper.reach(gateway).await?;
        let session = reached.session();
        let found = reached.driver.find_keys(&session, marker).await?;
        for hash in &found {
            reached.driver.delete_key(&session, hash).await?;
        }
        Ok(found.len())
    }

    /// Brings the policies of all keys to what product and plan say.
    pub(super) async fn write_policies(&self, job: &Job) -> Result<(), WorkError> {
        for key in job.order.keys.values().filter(|key| key.made().is_some()) {
            let Some(item) = job.order.item(&key.product_id) else {
                continue;
            };
            let policies: BTreeSet<String> = ids(&key.policies, key, item).into_iter().collect();
            let written = self
                .mapper
                .write_key_policies(key.gateway_id, &policies, &key.api_ids)
                .await;
            if let Err(failure) = written {
                return self.failed(job, failure, Some(key.gateway_id), None).await;
            }
        }
        self.record(job, &Command::CompletePolicies).await.map(drop)
    }
}

fn item_policies(item: &Item) -> Policies {
    Policies {
        product: item.product_policy_id.clone(),
        plan: item.plan_policy_id.clone(),
    }
}

/// Ids at the gateway, the product's first; Portico's own where none is named.
pub(super) fn ids(policies: &Policies, key: &Key, item: &Item) -> Vec<String> {
    let own = |named: &str, made: String| match named {
        "" => made,
        named => named.to_owned(),
    };
    vec![
        own(&policies.product, product_policy_id(&key.product_id)),
        own(&policies.plan, plan_policy_id(&item.plan_id)),
    ]
}

/// Whether the gateway has said so, or was not asked at all.
fn nothing_came_of(failure: &Failure) -> bool {
    let refused = failure
        .status
        .is_some_and(|status| (400..500).contains(&status) && status != 408);
    refused
        || matches!(
            failure.code.as_str(),
            "api_not_at_gateway"
                | "policy_not_at_gateway"
                | "gateway_address_forbidden"
                | "gateway_secret_malformed"
        )
}
