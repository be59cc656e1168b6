//! What a piece of work would do, for people.

use std::collections::BTreeSet;

use super::super::MappingFailure;
use super::{Failures, Work};
use crate::gateways::{ApiChanges, Failure, Wanted};
use crate::views::grants::Grant;

impl Work<'_> {
    /// What granting `more` would change, for people.
    pub(in crate::worker::mapper) async fn preview(
        self,
        more: &[Grant],
    ) -> Result<Vec<String>, MappingFailure> {
        let mut failures = Failures::new();
        let mut due = BTreeSet::new();
        let mut lines = Vec::new();
        for grant in more {
            for api in grant.apis_at(self.gateway, &self.places) {
                if let Err(clash) = self.target.serves(&api, grant) {
                    lines.push(format!("Not possible: {clash}."));
                }
                due.insert(api);
            }
        }
        let apis = self.wanted_apis(&due, &mut failures).await?;
        let wanted = Wanted {
            policies: Vec::new(),
            apis,
        };
        for (api, planned) in self.driver()?.plan(&self.session(), &wanted).await {
            match planned {
                Ok(changes) => lines.extend(self::lines(&api, &changes)),
                Err(failure) => lines.push(not_possible(&api, &failure)),
            }
        }
        let failed = failures
            .iter()
            .map(|(api, failure)| not_possible(api, failure));
        lines.extend(failed);
        Ok(lines)
    }
}

/// What was, or would be, done to an API.
pub(super) fn lines(api: &str, changes: &ApiChanges) -> Vec<String> {
    let foreign = changes.foreign.iter().map(|(scope, policy)| {
        format!("API {api}: has scope {scope} with policy {policy} already, not by Portico")
    });
    let stale = changes.stale.iter().map(|(scope, policy)| {
        format!("Not possible: API {api}: the policy {policy} of the scope {scope} is not at the gateway")
    });
    let changed = changes.changes.iter();
    changed
        .map(|change| format!("API {api}: {change}"))
        .chain(foreign)
        .chain(stale)
        .collect()
}

fn not_possible(api: &str, failure: &Failure) -> String {
    format!("Not possible: API {api}: {}", failure.description)
}
