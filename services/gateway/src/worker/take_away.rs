//! Taking keys away: deleted at the gateway, then in the vault, then recorded. All of it can be repeated.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::keys::ids;
use super::mapper::MappingFailure;
use super::{Job, WorkError, Worker};
use crate::entitlement::{KeyCommand, owner, place_in_vault};

impl Worker {
    /// Deletes a key, or the one that it replaced. One that is gone is a success.
    pub(super) async fn delete(&self, job: &Job, id: Uuid, old: bool) -> Result<(), WorkError> {
        let Some(key) = job.state.keys().get(&id) else {
            return Ok(());
        };
        let Some(made) = (if old { key.old.as_ref() } else { key.made() }) else {
            return Ok(());
        };
        if let Err(failure) = self.delete_at(key.gateway_id, &made.hash).await {
            return self.left(job, failure.at(key.gateway_id)).await;
        }
        self.vault.delete(&place_in_vault(id, made.attempt)).await?;
        let command = KeyCommand::CompleteDelete {
            key_id: id,
            attempt: made.attempt,
        };
        self.record_key(job, command).await
    }

    async fn delete_at(&self, gateway: Uuid, hash: &str) -> Result<(), MappingFailure> {
        let reached = match self.mapper.reach(gateway).await {
            Ok(reached) => reached,
            // With its gateway the key is out of reach, and of use to nobody.
            Err(failure) if failure.code == "gateway_not_found" => return Ok(()),
            Err(failure) => return Err(failure),
        };
        Ok(reached.driver.delete_key(&reached.session(), hash).await?)
    }

    /// Takes a key that was shown out of the vault.
    pub(super) async fn wipe(&self, job: &Job, id: Uuid) -> Result<(), WorkError> {
        let Some(made) = job.state.keys().get(&id).and_then(|key| key.made()) else {
            return Ok(());
        };
        self.vault.delete(&place_in_vault(id, made.attempt)).await?;
        let command = KeyCommand::CompleteWipe {
            key_id: id,
            attempt: made.attempt,
        };
        self.record_key(job, command).await
    }

    /// Nothing is left at any gateway: nothing in the vault either, and no policy that nobody needs.
    pub(super) async fn finish(&self, job: &Job) -> Result<(), WorkError> {
        self.vault.erase(&owner(job.id)).await?;
        let mut policies: BTreeMap<Uuid, BTreeSet<String>> = BTreeMap::new();
        for key in job.state.keys().values() {
            if let Some(item) = job.state.item(&key.product_id) {
                let at = policies.entry(key.gateway_id).or_default();
                at.extend(ids(&key.policies, key, item));
            }
        }
        for (gateway, ids) in policies {
            if let Err(failure) = self.mapper.tidy_key_policies(gateway, &ids).await {
                // It opens nothing by itself, and the next key of the product takes it up again.
                tracing::warn!(%gateway, %failure, "policies of API keys were not removed");
            }
        }
        self.record_key(job, KeyCommand::Finish).await
    }
}
