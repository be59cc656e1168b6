//! Making a key: its policies first, then the intent, then one call, its answer into the vault before anything else,
//! and its outcome recorded. An attempt without an outcome is looked for, never blindly repeated.

use std::collections::{BTreeMap, BTreeSet};

use portico_runtime::fault;
use portico_vault::{Secret, VaultError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::mapper::MappingFailure;
use super::{Job, WorkError, Worker};
use crate::entitlement::{
    Command, Key, KeyCommand, KeyPlace, KeyPolicies, Link, key_id, marker, owner, place_in_vault,
};
use crate::gateways::{CreatedKey, Failure, WantedKey, plan_policy_id, product_policy_id};
use crate::item::Item;

/// A key in the vault, from the gateway's answer until its owner has seen it.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    hash: String,
    headers: BTreeMap<String, String>,
}

/// The key of what the vault has of an attempt.
pub(crate) fn key_of(kept: &Secret) -> Option<Secret> {
    let kept: Kept = serde_json::from_str(kept.expose()).ok()?;
    Some(Secret::new(kept.key))
}

impl Worker {
    /// Finds out at which gateways keys are needed.
    pub(super) async fn place(&self, job: &Job) -> Result<(), WorkError> {
        let (present, mut without_api) = (job.state.places(), None);
        let served = |place: &KeyPlace| {
            let item = job.state.item(&place.product_id);
            item.is_some_and(|item| !item.product.apis.is_empty())
        };
        // Keys that open what a product no longer has go first, also where the other products' places are not known.
        if !present.iter().all(&served) {
            let places = present.into_iter().filter(served).collect();
            return self.record_key(job, KeyCommand::Place { places }).await;
        }
        let mut places = BTreeSet::new();
        for item in job.state.items() {
            if item.product.apis.is_empty() {
                without_api = Some(&item.product.name);
                continue;
            }
            let located = match self.mapper.located(&item.product.apis).await {
                Ok(located) => located,
                Err(failure) => return self.failed(job, failure, None).await,
            };
            places.extend(located.into_iter().map(|(gateway_id, api_ids)| KeyPlace {
                key_id: key_id(job.id, &item.product.id, gateway_id),
                product_id: item.product.id.clone(),
                gateway_id,
                api_ids,
            }));
        }
        match without_api {
            Some(product) if present.is_empty() || present == places => {
                let why = format!("The product {product} has no API at a gateway any more.");
                let failure = MappingFailure::fail("product_without_api", why);
                self.failed(job, failure, None).await
            }
            _ => {
                let places = places.into_iter().collect();
                self.record_key(job, KeyCommand::Place { places }).await
            }
        }
    }

    /// Creates a key.
    pub(super) async fn make(&self, job: &Job, id: Uuid) -> Result<(), WorkError> {
        let Some(key) = job.state.keys().get(&id) else {
            return Ok(());
        };
        let Some(item) = job.state.item(&key.product_id) else {
            return Ok(());
        };
        let gateway = key.gateway_id;
        let policies = ids(&item_policies(item), key, item);
        let written = self
            .mapper
            .write_key_policies(gateway, &policies.iter().cloned().collect(), &key.api_ids)
            .await;
        if let Err(failure) = written {
            return self.failed(job, failure.at(gateway), None).await;
        }
        fault::point("key_intending");
        let intend = Command::Key(KeyCommand::Intend { key_id: id });
        let Some(outcome) = self.jobs.claim(job, &intend).await? else {
            return Ok(());
        };
        fault::point("key_intent");
        let Some(key) = outcome.state.keys().get(&id) else {
            return Ok(());
        };
        let wanted = WantedKey {
            marker: marker(id, key.attempt),
            policies,
            api_ids: key.api_ids.clone(),
        };
        let reached = match self.mapper.reach(gateway).await {
            Ok(reached) => reached,
            Err(failure) => return self.failed(job, failure.at(gateway), Some(id)).await,
        };
        let created = reached.driver.create_key(&reached.session(), &wanted).await;
        match created {
            Ok(created) => self.created(job, id, key.attempt, created).await,
            Err(failure) => {
                let undone = nothing_came_of(&failure).then_some(id);
                let failure = MappingFailure::from(failure).at(gateway);
                self.failed(job, failure, undone).await
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
        fault::point("key_answer_unspooled");
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
        fault::point("key_answer_received");
        self.complete(job, id, attempt, kept).await
    }

    async fn complete(
        &self,
        job: &Job,
        key_id: Uuid,
        attempt: u32,
        kept: Kept,
    ) -> Result<(), WorkError> {
        let command = KeyCommand::Complete {
            key_id,
            attempt,
            hash: kept.hash,
            headers: kept.headers,
            at: self.deps.clock.now(),
        };
        self.record_key(job, command).await?;
        fault::point("key_registered");
        Ok(())
    }

    /// What became of an attempt without an outcome: its answer is in the vault, or whatever of it is at the gateway
    /// is deleted, for nobody has that key.
    pub(super) async fn look(&self, job: &Job, id: Uuid) -> Result<(), WorkError> {
        let Some(key) = job
            .state
            .keys()
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
                self.undo(job, id, attempt).await
            }
            // Without a gateway there is no key.
            Err(failure) if failure.code == "gateway_not_found" && !job.state.is_wanted() => {
                self.undo(job, id, attempt).await
            }
            Err(failure) => self.failed(job, failure.at(key.gateway_id), None).await,
        }
    }

    async fn undo(&self, job: &Job, key_id: Uuid, attempt: u32) -> Result<(), WorkError> {
        let undo = KeyCommand::Undo { key_id, attempt };
        self.record_key(job, undo).await
    }

    pub(super) async fn record_key(&self, job: &Job, command: KeyCommand) -> Result<(), WorkError> {
        self.record(job, &Command::Key(command)).await.map(drop)
    }

    /// Returns the number of deleted keys.
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
        for key in job.state.keys().values().filter(|key| key.made().is_some()) {
            let Some(item) = job.state.item(&key.product_id) else {
                continue;
            };
            let policies: BTreeSet<String> = ids(&key.policies, key, item).into_iter().collect();
            let written = self
                .mapper
                .write_key_policies(key.gateway_id, &policies, &key.api_ids)
                .await;
            if let Err(failure) = written {
                return self.failed(job, failure.at(key.gateway_id), None).await;
            }
        }
        self.record_key(job, KeyCommand::CompletePolicies).await
    }
}

fn item_policies(item: &Item) -> KeyPolicies {
    KeyPolicies {
        product: item.product.policy_id.clone(),
        plan: item.plan.policy_id.clone(),
    }
}

/// Ids at the gateway, the product's first; Portico's own where none is named.
pub(super) fn ids(policies: &KeyPolicies, key: &Key, item: &Item) -> Vec<String> {
    let (product, plan) = (policies.product.clone(), policies.plan.clone());
    vec![
        product.unwrap_or_else(|| product_policy_id(&key.product_id)),
        plan.unwrap_or_else(|| plan_policy_id(&item.plan.id)),
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
