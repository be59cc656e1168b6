//! How a piece of work went for those who asked for it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Failures, Work};
use crate::gateways::Mapping;
use crate::mapping::MappingFailure;
use crate::mapping::grants::Grant;

impl Work<'_> {
    /// Whether the requests have what they need.
    /// Entries in `stale` were left out, by API, for want of their policy.
    pub(super) fn verdict(
        &self,
        failures: &Failures,
        stale: &BTreeMap<String, Mapping>,
    ) -> Result<(), MappingFailure> {
        let mut worst: Option<MappingFailure> = None;
        let mut concerned = BTreeSet::new();
        for grants in self.mine.values() {
            for grant in grants {
                for api in grant.apis_at(self.gateway, &self.places) {
                    if let Err(clash) = self.target.serves(&api, grant) {
                        let failure = MappingFailure::fail(clash.code(), clash.to_string());
                        worst = Some(failure.and(worst));
                    }
                    if let Some(failure) = stale
                        .get(&api)
                        .and_then(|stale| left_out(&api, grant, stale))
                    {
                        worst = Some(failure.and(worst));
                    }
                    concerned.insert(api);
                }
            }
            if grants.is_empty() {
                // Revoked: something of it may be where taking away failed.
                concerned.extend(failures.keys().filter(|api| self.shrinks(api)).cloned());
            }
        }
        for (api, failure) in failures {
            if concerned.contains(api) {
                worst = Some(MappingFailure::of_api(api, failure).and(worst));
            } else {
                tracing::warn!(gateway = %self.gateway, api, code = failure.code,
                    reason = failure.description, "an API could not be mapped");
            }
        }
        worst.map_or(Ok(()), Err)
    }

    fn shrinks(&self, api: &str) -> bool {
        let none = Mapping::new();
        let target = self.target.apis.get(api);
        let wanted = target.map_or(&none, |target| &target.entries);
        self.owned(api)
            .entries
            .keys()
            .any(|scope| !wanted.contains_key(scope))
    }
}

/// What a grant misses.
fn left_out(api: &str, grant: &Grant, stale: &Mapping) -> Option<MappingFailure> {
    let scopes = grant.product_scopes.iter().chain(&grant.plan_scopes);
    let (scope, policy) = scopes
        .filter_map(|scope| stale.get_key_value(scope))
        .next()?;
    Some(MappingFailure::fail(
        "policy_not_at_gateway",
        format!(
            "API {api}: the policy {policy} of the scope {scope} is not at the gateway; make it there, or give the \
             product or plan another one"
        ),
    ))
}
