//! How a piece of work went for those who asked for it.

use std::collections::BTreeSet;

use super::{Failures, Work};
use crate::gateways::Mapping;
use crate::mapping::MappingFailure;

impl Work<'_> {
    /// Whether the requests have what they need.
    pub(super) fn verdict(&self, failures: &Failures) -> Result<(), MappingFailure> {
        let mut worst: Option<MappingFailure> = None;
        let mut concerned = BTreeSet::new();
        for grants in self.mine.values() {
            for grant in grants {
                for api in grant.apis_at(self.gateway, &self.places) {
                    if let Err(clash) = self.target.serves(&api, grant) {
                        let failure = MappingFailure::fail(clash.code(), clash.to_string());
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
