//! Which scopes an OAuth client may hold because of this request: from the approval until registration has reported
//! that it holds them no longer. As long as it may, no other product gets the scope, or the client's tokens would open
//! that product too. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::command::{Rejection, ScopesCommand};
use super::event::{Event, ScopesEvent};
use super::state::{Entitlement, Wanted, WantedState};
use crate::item::{Holder, Item};

/// A scope for a product or plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClaimOf {
    pub(crate) scope: String,
    /// The product or plan.
    pub(crate) holder_id: String,
}

/// A scope that a client may hold for a product or plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) of: ClaimOf,
    pub(crate) holder_name: String,
    /// The first revision in which it is not wanted any more; none: it is wanted.
    pub(crate) unwanted_since: Option<u64>,
}

impl Claim {
    fn is_of(&self, scope: &str, holder: Holder<'_>) -> bool {
        self.of.scope == scope && self.of.holder_id == holder.id
    }
}

impl Entitlement {
    pub(super) fn decide_scopes(&self, command: &ScopesCommand) -> Result<Vec<Event>, Rejection> {
        let (claims, event): (_, fn(Vec<ClaimOf>) -> ScopesEvent) = match command {
            ScopesCommand::Free { answered, held } => {
                let claims = self.freed(*answered, held);
                (claims, |claims| ScopesEvent::Freed { claims })
            }
            ScopesCommand::Release { scope, holder_id } => {
                let named =
                    |claim: &&Claim| (&claim.of.scope, &claim.of.holder_id) == (scope, holder_id);
                let named: Vec<&Claim> = self.claims.iter().filter(named).collect();
                if named.iter().any(|claim| claim.unwanted_since.is_none()) {
                    return Err(Rejection::StillGranted);
                }
                let claims = named.into_iter().map(|claim| claim.of.clone()).collect();
                (claims, |claims| ScopesEvent::Released { claims })
            }
        };
        let events = (!claims.is_empty()).then(|| Event::Scopes(event(claims)));
        Ok(events.into_iter().collect())
    }

    /// A revision that registration has not taken into account may still give the scope to the client.
    fn freed(&self, answered: u64, held: &BTreeSet<String>) -> Vec<ClaimOf> {
        let free = self.claims.iter().filter(|claim| {
            claim.unwanted_since.is_some_and(|since| since <= answered)
                && !held.contains(&claim.of.scope)
        });
        free.map(|claim| claim.of.clone()).collect()
    }

    pub(super) fn take_scopes(&mut self, event: &ScopesEvent) {
        match event {
            ScopesEvent::Freed { claims } | ScopesEvent::Released { claims } => {
                self.claims.retain(|claim| !claims.contains(&claim.of));
            }
        }
    }

    /// What is suspended may come back, so its scopes stay claimed. A revocation claims too: registration may have met
    /// the approval that it overtook here.
    pub(super) fn claim(&mut self, wanted: &Wanted) {
        let revoked = wanted.state == WantedState::Revoked;
        let scopes = || wanted.items.iter().flat_map(Item::scopes);
        for claim in &mut self.claims {
            match !revoked && scopes().any(|(scope, holder)| claim.is_of(scope, holder)) {
                true => claim.unwanted_since = None,
                false => {
                    claim.unwanted_since.get_or_insert(wanted.revision);
                }
            }
        }
        self.claim_more(wanted, revoked.then_some(wanted.revision));
    }

    /// Whether a revision that was overtaken has scopes that registration may have given out.
    pub(super) fn claims_more(&self, overtaken: &Wanted) -> bool {
        let oauth = self.identity_provider_id().is_some();
        let mut scopes = overtaken.items.iter().flat_map(Item::scopes);
        oauth && scopes.any(|(scope, holder)| !self.has_claim(scope, holder))
    }

    pub(super) fn claim_more(&mut self, wanted: &Wanted, unwanted_since: Option<u64>) {
        for (scope, holder) in wanted.items.iter().flat_map(Item::scopes) {
            if !self.has_claim(scope, holder) {
                self.claims.push(Claim {
                    of: ClaimOf {
                        scope: scope.clone(),
                        holder_id: holder.id.to_owned(),
                    },
                    holder_name: holder.name.to_owned(),
                    unwanted_since,
                });
            }
        }
    }

    fn has_claim(&self, scope: &str, holder: Holder<'_>) -> bool {
        self.claims.iter().any(|claim| claim.is_of(scope, holder))
    }
}
