//! How far the entitlement has come with its present revision, and which report is due. It follows from the
//! state alone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{Entitlement, Prospect, Reason, WantedState};

/// Code of a delay: the clients of another product may still hold a scope.
pub(crate) const SCOPE_STILL_HELD: &str = "scope_still_held";
/// Code of a delay: registration has not told of the identity provider yet.
pub(crate) const IDENTITY_PROVIDER_UNKNOWN: &str = "identity_provider_unknown";

/// Code of a failure: no gateway is configured that could give an API key.
pub(crate) const GATEWAY_MISSING: &str = "gateway_missing";

/// The answer to a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) revision: u64,
    pub(crate) outcome: Outcome,
}

/// As in `portico.access.v1.Report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Started,
    Done,
    NothingToDo(Nothing),
    Delayed {
        reason: Reason,
        /// None: not before another service has said something, or somebody has looked at it.
        next_try_at: Option<Timestamp>,
    },
    Failed(Reason),
}

/// Why there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Nothing {
    /// No gateway is configured.
    NoGateway,
    /// The products name no API.
    NoApis,
    /// Nothing had been created that could be taken away.
    NeverCreated,
}

impl Outcome {
    fn is_finished(&self) -> bool {
        match self {
            Self::Done | Self::NothingToDo(_) => true,
            Self::Started | Self::Delayed { .. } | Self::Failed(_) => false,
        }
    }
}

impl Entitlement {
    /// The report that is due; `None` where the last one still holds.
    pub(super) fn due_report(&self) -> Option<Report> {
        let now = Report {
            revision: self.wanted.as_ref()?.revision,
            outcome: self.outcome(),
        };
        let last = self.reported.as_ref();
        let last = last.filter(|last| last.revision == now.revision);
        // A finished revision reports again only when following a change fails or is delayed.
        let follows =
            now.outcome == Outcome::Started && last.is_some_and(|last| last.outcome.is_finished());
        // That work on OAuth credentials begins is said by registration already.
        let begins = now.outcome == Outcome::Started
            && last.is_none()
            && self.identity_provider_id().is_some();
        (last != Some(&now) && !follows && !begins).then_some(now)
    }

    fn outcome(&self) -> Outcome {
        if let Some(reason) = &self.failed {
            return Outcome::Failed(reason.clone());
        }
        if let Some(delay) = self.delay.as_ref().filter(|_| self.has_work()) {
            return Outcome::Delayed {
                reason: delay.reason.clone(),
                next_try_at: match delay.prospect {
                    Prospect::Usual => Some(delay.next_try_at),
                    // Tried again all the same, which is no news to anybody.
                    Prospect::Waits | Prospect::Stuck => None,
                },
            };
        }
        // Granted access of a suspended application does not work: it goes on when the application is resumed.
        let waits = self.state() == Some(WantedState::Granted) && self.application.suspended;
        if self.has_work() || waits {
            return Outcome::Started;
        }
        let nothing = match self.state() {
            Some(WantedState::Granted) | None => self.mapping.nothing,
            Some(WantedState::Suspended | WantedState::Revoked) => {
                let never = self.mapping.asked == 0 && self.keys.by_id.is_empty();
                never
                    .then_some(Nothing::NeverCreated)
                    .or(self.mapping.nothing)
            }
        };
        nothing.map_or(Outcome::Done, Outcome::NothingToDo)
    }
}
