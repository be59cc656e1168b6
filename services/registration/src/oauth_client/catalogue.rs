//! What a client follows of the catalogue: products and plans change after access to them was granted. Pure.

use uuid::Uuid;

use super::state::{Grant, OauthClient, Stage};
use crate::granted::CatalogueChange;

impl OauthClient {
    /// Whether something that is granted is otherwise by a change.
    pub(super) fn concerns(&self, change: &CatalogueChange) -> bool {
        let living = self
            .grants
            .values()
            .filter(|grant| grant.stage != Stage::Withdrawn);
        living
            .flat_map(|grant| &grant.items)
            .any(|item| change.applied_to(item).is_some())
    }

    /// Requests that have something of what was changed.
    pub fn requests_for<'a>(
        &'a self,
        change: &'a CatalogueChange,
    ) -> impl Iterator<Item = Uuid> + 'a {
        self.grants
            .iter()
            .filter(|(_, grant)| grant.items.iter().any(|item| change.is_about(item)))
            .map(|(id, _)| *id)
    }

    /// Other scopes are new credentials to the developer, who is told when they work; of all else nobody but the
    /// gateway needs to know.
    pub(super) fn follow_catalogue(&mut self, change: &CatalogueChange) {
        let ids: Vec<Uuid> = self.requests_for(change).collect();
        self.revision += 1;
        self.refused = None;
        for id in ids {
            let Some(grant) = self.grants.get_mut(&id) else {
                continue;
            };
            if grant.stage == Stage::Withdrawn {
                continue;
            }
            let before = grant.clone();
            if !follow(grant, change) {
                continue;
            }
            let after = grant.clone();
            // Where it was is to be taken away, and where it is now to be written.
            self.ask_gateways(&before);
            self.ask_gateways(&after);
        }
    }
}

fn follow(grant: &mut Grant, change: &CatalogueChange) -> bool {
    let scopes = grant.scopes();
    let mut changed = false;
    for item in &mut grant.items {
        if let Some(after) = change.applied_to(item) {
            *item = after;
            changed = true;
        }
    }
    if changed && grant.stage == Stage::Active {
        if matches!(change, CatalogueChange::ProductDeleted { .. }) || scopes == grant.scopes() {
            grant.outdated = true;
        } else {
            grant.stage = Stage::Waiting;
        }
    }
    changed
}
