//! How a piece of work went for those who asked for it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::super::MappingFailure;
use super::{Failures, Scope, Work};
use crate::gateways::Mapping;
use crate::views::grants::Grant;

impl Work<'_> {
    /// Whether the request has what it needs. Entries in `stale` were left out, by API, for want of their policy.
    pub(super) fn verdict(
        &self,
        failures: &Failures,
        stale: &BTreeMap<String, Mapping>,
    ) -> Result<(), MappingFailure> {
        let mut worst: Option<MappingFailure> = None;
        let mut concerned = BTreeSet::new();
        for grant in &self.mine {
            for api in grant.apis_at(self.gateway, &self.places) {
                if let Err(clash) = self.target.serves(&api, grant) {
                    worst = Some(MappingFailure::from(clash).and(worst));
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
        let failed = failures.keys().filter(|api| match self.scope {
            // Taken away: something of it may be where taking away failed.
            Scope::Request(_) => self.shrinks(api),
            Scope::Provider(provider) => self.takes_tokens_of(api, provider),
            Scope::Whatever | Scope::Repair => false,
        });
        concerned.extend(failed.cloned());
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

    fn takes_tokens_of(&self, api: &str, provider: Uuid) -> bool {
        let target = self.target.apis.get(api);
        target.is_some_and(|target| target.identity_provider_id == Some(provider))
    }

    /// Whether an API loses an entry of the request's: of an API that its product has no more, or of any where nothing
    /// of the request is wanted.
    fn shrinks(&self, api: &str) -> bool {
        let none = Mapping::new();
        let target = self.target.apis.get(api);
        let wanted = target.map_or(&none, |target| &target.entries);
        let mut lost = self.owned(api).entries.iter();
        lost.any(|(scope, policy)| {
            // A plan's policy is of many products, and their APIs are no matter of this request.
            let mut mine = self.mine.iter();
            let is_mine = self.mine.is_empty() || mine.any(|one| one.product_policy() == *policy);
            is_mine && !wanted.contains_key(scope)
        })
    }
}

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
