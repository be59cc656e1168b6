//! How an OAuth client looks from outside.

use std::collections::BTreeSet;

use super::state::{Link, OauthClient, Stage, Words};

impl OauthClient {
    /// The status of the API.
    #[must_use]
    pub fn status(&self) -> &'static str {
        let wanted = self.wanted();
        let tried = |otherwise| match (self.is_parked() || self.is_stuck(), self.held.is_some()) {
            (true, _) => "failed",
            (false, true) => "paused",
            (false, false) => otherwise,
        };
        let suspended = wanted.as_ref().is_some_and(|wanted| wanted.suspended);
        match &self.link {
            Link::None if suspended => "suspended",
            Link::None if wanted.is_some() => tried("waiting"),
            Link::None if self.has_failed() => "failed",
            Link::None => "deleted",
            Link::Intended(_) => tried("registering"),
            Link::Live(_) if self.provider_work().is_none() && suspended => "suspended",
            Link::Live(_) if self.provider_work().is_none() => "ready",
            Link::Live(_) if self.is_parked() || self.is_stuck() => "failed",
            Link::Live(_) if wanted.is_none() => "deleting",
            Link::Live(_) => "updating",
        }
    }

    /// The scopes that the client has: as granted where the provider says so, otherwise as asked.
    #[must_use]
    pub fn scopes(&self) -> BTreeSet<String> {
        let Some(live) = self.live() else {
            return BTreeSet::new();
        };
        let granted = live.answer.granted.scopes();
        granted.unwrap_or_else(|| live.applied.scopes.clone())
    }

    /// Why it is not as it is wanted.
    #[must_use]
    pub fn last_error(&self) -> Option<&Words> {
        let refused = self.refused.as_ref().map(|refused| &refused.words);
        let delayed = [&self.provider_delay, &self.gateway_delay];
        let delayed = delayed
            .into_iter()
            .flatten()
            .map(|delay| &delay.words)
            .next();
        let failed = self.grants.values().find_map(|grant| match &grant.stage {
            Stage::Failed { words, .. } => Some(words),
            _ => None,
        });
        let parked = refused.filter(|_| self.is_parked());
        parked.or(self.held.as_ref()).or(delayed).or(failed)
    }

    fn is_stuck(&self) -> bool {
        let delay = self.provider_delay.as_ref();
        delay.is_some_and(|delay| delay.stuck_since.is_some())
    }

    fn has_failed(&self) -> bool {
        self.grants
            .values()
            .any(|grant| matches!(grant.stage, Stage::Failed { .. }))
    }
}
