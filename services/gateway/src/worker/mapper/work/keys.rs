//! The policies of API keys, which no scope leads to.

use std::collections::BTreeSet;

use super::super::MappingFailure;
use super::{Drift, Work};
use crate::gateways::WantedPolicy;
use crate::views::entitlements as view;

impl Work<'_> {
    /// Writes those of these policies that Portico makes. A plan's is told the key's APIs only: it keeps all APIs that
    /// it was ever needed at.
    pub(in crate::worker::mapper) async fn write_key_policies(
        self,
        ids: &BTreeSet<String>,
        api_ids: &[String],
    ) -> Result<(), MappingFailure> {
        let policies: Vec<WantedPolicy> = ids
            .iter()
            .filter_map(|id| self.target.policies.get(id).cloned())
            .map(|policy| policy.named(|api| api_ids.contains(api)))
            .collect();
        if policies.is_empty() {
            return Ok(());
        }
        let (driver, session) = (self.driver()?, self.session());
        Ok(driver.write_policies(&session, &policies).await?)
    }

    /// Keys that somebody else has deleted. Only their owners can have others, by replacing them.
    pub(super) async fn missing_keys(&self) -> Result<Vec<Drift>, MappingFailure> {
        let (driver, session) = (self.driver()?, self.session());
        let mut drift = Vec::new();
        for key in view::keys_at(self.mapper.pool(), self.gateway).await? {
            if driver.has_key(&session, &key.hash).await? {
                continue;
            }
            drift.push(Drift {
                kind: "key_missing",
                subject: key.hash.chars().take(8).collect(),
                member: key.application_id.to_string(),
                wanted: format!("an API key for {}", key.product_name),
                found: "it was deleted; the owner of the application can replace it".to_owned(),
                ..Drift::default()
            });
        }
        Ok(drift)
    }

    /// Removes those of these policies that Portico made and that nothing leads to any more.
    pub(in crate::worker::mapper) async fn tidy_key_policies(
        self,
        ids: &BTreeSet<String>,
    ) -> Result<(), MappingFailure> {
        let unused: BTreeSet<String> = ids
            .iter()
            .filter(|id| super::tidy::is_ours(id) && self.target.is_unused(id))
            .cloned()
            .collect();
        if unused.is_empty() {
            return Ok(());
        }
        let (driver, session) = (self.driver()?, self.session());
        let removed = driver.remove_policies(&session, &unused).await;
        removed.into_values().collect::<Result<(), _>>()?;
        Ok(())
    }
}
