//! What follows from the events.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keys::Keys;
use super::report::{GATEWAY_MISSING, Nothing, Report};
use super::scopes::Claim;
use crate::item::Item;
use crate::known::Application;

/// What access-request wants, complete, by revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// The highest is the newest.
    pub(crate) revision: u64,
    pub(crate) state: WantedState,
    pub(crate) credential: Credential,
    pub(crate) application_id: Uuid,
    /// As the message of the revision says; a newer one may be known.
    pub(crate) application: Application,
    pub(crate) items: Vec<Item>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WantedState {
    /// It is to work.
    Granted,
    /// Taken away for a time.
    Suspended,
    /// Taken away for ever.
    Revoked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Credential {
    OauthClient { identity_provider_id: Uuid },
    ApiKey,
}

/// Scopes at gateways: how often they were asked to be otherwise, and up to which of that they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mapping {
    pub(super) asked: u64,
    pub(super) done: u64,
    /// As the APIs name them (none: the only one), where something has yet to be written.
    pub(super) gateways: BTreeSet<Option<String>>,
    pub(super) nothing: Option<Nothing>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reason {
    pub(crate) code: String,
    /// The gateway's own message.
    pub(crate) message: String,
    /// None: it is about no gateway, or several.
    pub(crate) gateway_id: Option<Uuid>,
}

/// Tries that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delay {
    /// How many in a row, see [`Entitlement::tries`].
    pub(crate) attempts: u32,
    pub(crate) next_try_at: Timestamp,
    pub(crate) reason: Reason,
    pub(crate) prospect: Prospect,
}

/// What a repetition depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Prospect {
    /// On nothing but the gateway.
    Usual,
    /// Another service has to say something first, which ends the pause.
    Waits,
    /// Nobody knows whether it helps; somebody should look at it.
    Stuck,
}

/// What one access request is entitled to at the gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entitlement {
    /// The highest revision that is known, its items followed by the catalogue; none: nothing is known.
    pub(crate) wanted: Option<Wanted>,
    /// The newest that is known of it.
    pub(crate) application: Application,
    pub(crate) claims: Vec<Claim>,
    pub(super) mapping: Mapping,
    pub(super) keys: Keys,
    pub(crate) delay: Option<Delay>,
    /// Parked.
    pub(crate) failed: Option<Reason>,
    /// Counts what others said: a try that failed for what was wanted before says nothing of what is wanted now.
    pub(crate) news: u64,
    /// The last one.
    pub(crate) reported: Option<Report>,
}

impl Entitlement {
    pub(crate) fn state(&self) -> Option<WantedState> {
        self.wanted.as_ref().map(|wanted| wanted.state)
    }

    pub(crate) fn application_id(&self) -> Uuid {
        let wanted = self.wanted.as_ref();
        wanted.map_or(Uuid::nil(), |wanted| wanted.application_id)
    }

    pub(crate) fn items(&self) -> &[Item] {
        self.wanted.as_ref().map_or(&[], |wanted| &wanted.items)
    }

    pub(crate) fn item(&self, product: &str) -> Option<&Item> {
        self.items().iter().find(|item| item.product.id == product)
    }

    /// None: it gives API keys, or nothing is known.
    pub(crate) fn identity_provider_id(&self) -> Option<Uuid> {
        match self.wanted.as_ref()?.credential {
            Credential::OauthClient {
                identity_provider_id,
            } => Some(identity_provider_id),
            Credential::ApiKey => None,
        }
    }

    pub(crate) fn gives_keys(&self) -> bool {
        let wanted = self.wanted.as_ref();
        wanted.is_some_and(|wanted| wanted.credential == Credential::ApiKey)
    }

    /// It is to work now.
    pub(crate) fn is_wanted(&self) -> bool {
        self.state() == Some(WantedState::Granted) && !self.application.suspended
    }

    /// Taken away for a time, by itself or with its application.
    pub(crate) fn is_suspended(&self) -> bool {
        self.state() == Some(WantedState::Suspended) || self.application.suspended
    }

    /// Refused at a gateway: nothing is tried until somebody says so, or something changes.
    pub(crate) fn is_parked(&self) -> bool {
        self.failed.is_some()
    }

    /// Wanted, and there was no gateway that could serve it.
    pub(crate) fn lacks_gateway(&self) -> bool {
        let failed = self.failed.as_ref();
        let keys = failed.is_some_and(|reason| reason.code == GATEWAY_MISSING);
        let nothing = self.mapping.asked == self.mapping.done
            && self.mapping.nothing == Some(Nothing::NoGateway);
        self.is_wanted() && (keys || nothing)
    }

    /// Tries in a row that failed. Waiting for another service says nothing of the gateway, so it is counted by
    /// itself.
    pub(crate) fn tries(&self, waits: bool) -> u32 {
        let delay = self.delay.as_ref();
        let delay = delay.filter(|delay| (delay.prospect == Prospect::Waits) == waits);
        delay.map_or(0, |delay| delay.attempts)
    }

    /// The last failure, where it still counts.
    pub(crate) fn last_error(&self) -> Option<&Reason> {
        let delayed = self.delay.as_ref().map(|delay| &delay.reason);
        self.failed.as_ref().or(delayed)
    }

    /// Where its APIs are, or were until they are taken away.
    pub(crate) fn gateways_to_write(&self) -> &BTreeSet<Option<String>> {
        &self.mapping.gateways
    }

    /// At rest: `ready`, `suspended`, `deleted` or `failed`; otherwise what it waits for.
    pub(crate) fn status(&self) -> &'static str {
        if self.failed.is_some() {
            return "failed";
        }
        match self.state() {
            _ if self.has_work() && self.delay.is_some() => "delayed",
            _ if self.has_work() => "working",
            None => "unknown",
            Some(WantedState::Granted) if self.application.suspended => "suspended",
            Some(WantedState::Granted) => "ready",
            Some(WantedState::Suspended) => "suspended",
            Some(WantedState::Revoked) => "deleted",
        }
    }
}
