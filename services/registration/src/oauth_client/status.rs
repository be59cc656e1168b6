//! How an OAuth client looks from outside.

use std::collections::BTreeSet;

use super::state::{Link, OauthClient, Problem};

impl OauthClient {
    /// The status of the API.
    #[must_use]
    pub fn status(&self) -> &'static str {
        let wanted = self.wanted();
        let has_failed = self.is_parked() || self.is_stuck();
        let tried = |otherwise| match (has_failed, self.paused.is_some()) {
            (true, _) => "failed",
            (false, true) => "paused",
            (false, false) => otherwise,
        };
        let suspended = wanted.as_ref().is_some_and(|wanted| wanted.suspended);
        match &self.link {
            Link::None if suspended => "suspended",
            Link::None if wanted.is_some() => tried("waiting"),
            Link::None if self.failure().is_some() => "failed",
            Link::None => "deleted",
            Link::Intended(_) => tried("registering"),
            Link::Live(_) if self.provider_work().is_none() && suspended => "suspended",
            Link::Live(_) if self.provider_work().is_none() => "ready",
            Link::Live(_) if has_failed => "failed",
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
    pub fn last_error(&self) -> Option<&Problem> {
        let parked = self.refused.as_ref().filter(|_| self.is_parked());
        let parked = parked.map(|refused| &refused.problem);
        let delayed = self.delay.as_ref().map(|delay| &delay.problem);
        parked
            .or(self.paused.as_ref())
            .or(delayed)
            .or(self.failure())
    }

    /// Whether nothing of the client is to work for a time.
    #[must_use]
    pub fn is_all_suspended(&self) -> bool {
        self.wanted().is_some_and(|wanted| wanted.suspended)
    }

    /// Something is to be taken away and cannot be.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let delay = self.delay.as_ref();
        delay.is_some_and(|delay| delay.stuck_since.is_some())
    }

    fn failure(&self) -> Option<&Problem> {
        self.grants.values().find_map(|grant| grant.failure())
    }
}
