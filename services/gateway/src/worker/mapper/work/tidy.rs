//! Removing policies that nothing leads to any more.

use std::collections::{BTreeMap, BTreeSet};

use super::super::MappingFailure;
use super::Work;
use crate::gateways::{ApiChanges, Disposition};

/// Of policies that Portico makes.
const OURS: [&str; 2] = ["portico-product-", "portico-plan-"];

/// Whether Portico makes policies of this name.
pub(super) fn is_ours(policy: &str) -> bool {
    OURS.iter().any(|prefix| policy.starts_with(prefix))
}

impl Work<'_> {
    /// Removes policies of Portico's that nothing leads to any more. Gives the APIs
    /// whose record must stay as it is, so that the next work tries again.
    pub(super) async fn tidy(
        &self,
        written: &BTreeMap<String, ApiChanges>,
        warnings: &mut Vec<String>,
    ) -> Result<BTreeSet<String>, MappingFailure> {
        let mut led_from: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
        for (api, recorded) in &self.recorded {
            for policy in recorded.owned.entries.values() {
                led_from.entry(policy).or_default().insert(api);
            }
        }
        // Where an API could not be written, it may lead there still.
        led_from.retain(|policy, apis| {
            is_ours(policy)
                && self.target.is_unused(policy)
                && apis.iter().all(|api| written.contains_key(*api))
        });
        let unused: BTreeSet<String> = led_from.keys().map(|id| (*id).clone()).collect();
        let mut kept = BTreeSet::new();
        if unused.is_empty() {
            return Ok(kept);
        }
        let driver = self.driver()?;
        for (policy, done) in driver.remove_policies(&self.session(), &unused).await {
            let Err(failure) = done else { continue };
            warnings.push(format!(
                "The policy {policy} is not used any more, but could not be removed: {}",
                failure.description
            ));
            if failure.disposition == Disposition::Retry {
                let apis = led_from.get(&policy).into_iter().flatten();
                kept.extend(apis.map(|api| (*api).clone()));
            }
        }
        Ok(kept)
    }
}
