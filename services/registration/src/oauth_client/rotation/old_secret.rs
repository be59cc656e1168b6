//! The secret before the last rotation, where a provider has both work for a time. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::oauth_client::state::{OauthClient, Problem};
use crate::oauth_client::{Decision, Rejection, only_if};

/// The secret before the last rotation, as long as it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldSecret {
    /// When it is ended, or tried to be.
    pub valid_until: Timestamp,
    /// How often the provider has not ended it.
    pub attempts: u32,
    /// Why it has not, the last time.
    pub not_ended: Option<Problem>,
}

impl OldSecret {
    /// Both work until then.
    #[must_use]
    pub fn until(valid_until: Timestamp) -> Self {
        Self {
            valid_until,
            attempts: 0,
            not_ended: None,
        }
    }
}

/// The secret before the last rotation.
#[derive(Debug, Clone)]
pub enum Command {
    /// Somebody wants it to end before its time.
    End {
        /// Clock reading of the caller.
        at: Timestamp,
    },
    /// It does not work any more.
    Retire,
    /// The provider has not ended it.
    Keep {
        /// The provider's answer.
        problem: Problem,
        /// When to try again: that is never given up.
        again_at: Timestamp,
    },
}

/// The secret before the last rotation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// It is to end before its time; who wants it is in the metadata.
    OldSecretEndAsked {
        /// Time of the request; the secret is ended at once.
        at: Timestamp,
    },
    /// It does not work any more.
    OldSecretRetired,
    /// The provider has not ended it.
    OldSecretNotEnded {
        /// When it is asked again.
        again_at: Timestamp,
        /// The provider's answer.
        problem: Problem,
    },
}

impl OauthClient {
    /// The old secret, where there is one that works.
    #[must_use]
    pub fn old_secret(&self) -> Option<&OldSecret> {
        self.live()?.old_secret.as_ref()
    }

    /// Whether an old secret is to be ended by now.
    #[must_use]
    pub fn retires_secret(&self, now: Timestamp) -> bool {
        self.old_secret().is_some_and(|old| old.valid_until <= now)
    }

    pub(in crate::oauth_client) fn decide_old_secret(&self, command: &Command) -> Decision {
        let old = self.old_secret();
        match command {
            Command::End { at } => {
                let old = old.ok_or(Rejection::NoOldSecret)?;
                let asked = Event::OldSecretEndAsked { at: *at };
                Ok(only_if(old.valid_until > *at, asked))
            }
            Command::Retire => Ok(only_if(old.is_some(), Event::OldSecretRetired)),
            Command::Keep { problem, again_at } => Ok(only_if(
                old.is_some(),
                Event::OldSecretNotEnded {
                    again_at: *again_at,
                    problem: problem.clone(),
                },
            )),
        }
    }

    pub(in crate::oauth_client) fn apply_old_secret(&mut self, event: &Event) {
        let Some(live) = self.live_mut() else {
            return;
        };
        match event {
            Event::OldSecretRetired => live.old_secret = None,
            Event::OldSecretEndAsked { at } => {
                if let Some(old) = &mut live.old_secret {
                    old.valid_until = *at;
                }
            }
            Event::OldSecretNotEnded { again_at, problem } => {
                if let Some(old) = &mut live.old_secret {
                    old.valid_until = *again_at;
                    old.attempts += 1;
                    old.not_ended = Some(problem.clone());
                }
            }
        }
    }
}
