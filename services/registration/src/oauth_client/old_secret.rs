//! The secret before the last rotation, where a provider has both work for a time. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decide::{Decision, only_if};
use super::event::Event;
use super::state::{Link, OauthClient, Words};
use super::{Command, Rejection};

/// The secret before the last rotation, as long as it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldSecret {
    /// When it is ended, or tried to be.
    pub valid_until: Timestamp,
    /// How often the provider has not ended it.
    #[serde(default)]
    pub attempts: u32,
    /// Why it has not, the last time.
    #[serde(default)]
    pub not_ended: Option<Words>,
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

    pub(super) fn decide_old_secret(&self, command: &Command) -> Decision {
        let old = self.old_secret();
        match command {
            Command::EndOldSecret { at } => {
                let old = old.ok_or(Rejection::NoOldSecret)?;
                Ok(only_if(
                    old.valid_until > *at,
                    Event::OldSecretEndAsked { at: *at },
                ))
            }
            Command::RetireSecret => Ok(only_if(old.is_some(), Event::OldSecretRetired)),
            Command::KeepOldSecret { failing, again_at } => Ok(only_if(
                old.is_some(),
                Event::OldSecretNotEnded {
                    again_at: *again_at,
                    code: failing.code.clone(),
                    reason: failing.reason.clone(),
                },
            )),
            _ => Err(Rejection::Superseded),
        }
    }

    pub(super) fn apply_old_secret(&mut self, event: &Event) {
        let Link::Live(live) = &mut self.link else {
            return;
        };
        match (event, &mut live.old_secret) {
            (Event::OldSecretRetired, old) => *old = None,
            (Event::OldSecretEndAsked { at }, Some(old)) => old.valid_until = *at,
            (
                Event::OldSecretNotEnded {
                    again_at,
                    code,
                    reason,
                },
                Some(old),
            ) => {
                old.valid_until = *again_at;
                old.attempts += 1;
                old.not_ended = Some(Words {
                    code: code.clone(),
                    reason: reason.clone(),
                });
            }
            _ => {}
        }
    }
}
