//! Rotation and expiry of the client secret. Pure.

pub(super) mod old_secret;

use jiff::{SignedDuration, Timestamp};
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

use super::state::{Answered, Live, OauthClient, OperationKind, Problem};
use super::{Decision, Rejection, Resolution, only_if};
use old_secret::OldSecret;

/// Days before a secret expires at which notice is given; 0: when it has expired.
pub const NOTICES: [u32; 4] = [30, 7, 1, 0];

/// The last notice before a secret expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Unix seconds.
    pub expires_at: u64,
    /// One of [`NOTICES`].
    pub days_left: u32,
}

/// The secret was replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rotated {
    /// Number of the attempt.
    pub attempt: u32,
    /// The provider's response to the rotation.
    pub answer: Box<Answered>,
    /// The one before, where it still works.
    pub old_secret: Option<OldSecret>,
}

/// The secret cannot be replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RotationRefused {
    /// Number of the attempt.
    pub attempt: u32,
    /// The provider's answer.
    pub problem: Problem,
}

/// A new client secret.
#[derive(Debug, Clone)]
pub enum Command {
    /// Give the client a new secret.
    Intend {
        /// The chosen one, in the vault.
        secret_ref: VaultRef,
    },
    /// The secret was replaced.
    Complete(Rotated),
    /// The secret cannot be replaced.
    Refuse(RotationRefused),
    /// A notice before the secret expires is due.
    NoticeExpiry {
        /// One of [`NOTICES`].
        days_left: u32,
        /// It is rotated now.
        rotates: bool,
        /// The secret had no more days left than this when it was issued.
        silent: bool,
    },
}

/// A new client secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// The secret is about to be replaced.
    #[serde(rename = "rotation_intended")]
    Intended {
        /// Number of the attempt.
        attempt: u32,
        /// Secret chosen for the client, in the vault.
        secret_ref: VaultRef,
    },
    /// The secret was replaced.
    SecretRotated(Rotated),
    /// The secret was not replaced.
    #[serde(rename = "rotation_refused")]
    Refused(RotationRefused),
    /// The secret expires soon, or has expired.
    SecretExpiring {
        /// Unix seconds.
        expires_at: u64,
        /// One of [`NOTICES`].
        days_left: u32,
        /// It is rotated now.
        rotates: bool,
        /// The secret had no more days left than this when it was issued: no notice is sent.
        silent: bool,
    },
}

impl OauthClient {
    pub(super) fn decide_rotation(&self, command: &Command) -> Decision {
        match command {
            Command::Intend { secret_ref } => {
                let live = self.changeable()?;
                if live.operation.is_some() || self.replacing {
                    return Err(Rejection::Busy);
                }
                let intended = Event::Intended {
                    attempt: self.attempt + 1,
                    secret_ref: *secret_ref,
                };
                Ok(vec![intended.into()])
            }
            Command::Complete(rotated) => {
                self.operation(rotated.attempt)?;
                let live = self.live().ok_or(Rejection::Superseded)?;
                let client_id = &rotated.answer.client_id;
                let rotated = Event::SecretRotated(rotated.clone());
                // It could not be managed for a time, and was listed.
                Ok(self
                    .cleared(&live.marker, client_id, Resolution::Adopted)
                    .chain([rotated.into()])
                    .collect())
            }
            Command::Refuse(refused) => {
                self.operation(refused.attempt)?;
                Ok(vec![Event::Refused(refused.clone()).into()])
            }
            Command::NoticeExpiry {
                days_left,
                rotates,
                silent,
            } => {
                let live = self.live().ok_or(Rejection::Superseded)?;
                Ok(only_if(
                    self.notices().any(|(_, days)| days == *days_left),
                    Event::SecretExpiring {
                        expires_at: live.answer.secret_expires_at,
                        days_left: *days_left,
                        rotates: *rotates,
                        silent: *silent,
                    },
                ))
            }
        }
    }

    pub(super) fn apply_rotation(&mut self, event: &Event) {
        match event {
            Event::Intended {
                attempt,
                secret_ref,
            } => {
                let secret_ref = *secret_ref;
                self.began(*attempt, OperationKind::Rotate { secret_ref });
            }
            Event::SecretRotated(rotated) => {
                if let Some(live) = self.live_mut() {
                    live.answer = (*rotated.answer).clone();
                    live.old_secret.clone_from(&rotated.old_secret);
                    live.operation = None;
                }
                self.rotation_refused = None;
                self.delay = None;
            }
            Event::Refused(RotationRefused { attempt, problem }) => {
                self.attempt_over();
                self.delay = None;
                self.rotation_refused = Some((*attempt, problem.clone()));
            }
            Event::SecretExpiring {
                expires_at,
                days_left,
                ..
            } => {
                if let Some(live) = self.live_mut() {
                    live.notice = Some(Notice {
                        expires_at: *expires_at,
                        days_left: *days_left,
                    });
                }
            }
        }
    }

    /// The client, where somebody may rotate or replace it.
    pub(super) fn changeable(&self) -> Result<&Live, Rejection> {
        let live = self.live().ok_or(Rejection::NotRegistered)?;
        if !self.activated {
            return Err(Rejection::NotReady);
        }
        if self.is_all_suspended() {
            return Err(Rejection::Suspended);
        }
        match self.wanted() {
            Some(_) => Ok(live),
            None => Err(Rejection::Busy),
        }
    }

    /// The notice that is due: how many days the secret has left.
    #[must_use]
    pub fn due_notice(&self, now: Timestamp) -> Option<u32> {
        self.notices()
            .filter(|(at, _)| *at <= now)
            .map(|(_, days)| days)
            .min()
    }

    /// When the next notice is due, or an old secret is to be ended.
    #[must_use]
    pub fn next_date(&self) -> Option<Timestamp> {
        let notice = self.notices().map(|(at, _)| at).min();
        let old = self.old_secret().map(|old| old.valid_until);
        notice.into_iter().chain(old).min()
    }

    /// Notices that have not been given, and when they are due.
    fn notices(&self) -> impl Iterator<Item = (Timestamp, u32)> {
        let live = self.live().filter(|live| live.answer.secret_expires_at > 0);
        let live = live.filter(|_| self.wanted().is_some());
        let expires = live.and_then(|live| {
            let seconds = i64::try_from(live.answer.secret_expires_at).ok()?;
            Timestamp::from_second(seconds).ok()
        });
        let given = live.and_then(|live| {
            live.notice
                .filter(|notice| notice.expires_at == live.answer.secret_expires_at)
                .map(|notice| notice.days_left)
        });
        NOTICES
            .into_iter()
            .filter(move |days| given.is_none_or(|given| *days < given))
            .filter_map(move |days| {
                let before = SignedDuration::from_hours(24 * i64::from(days));
                Some((expires?.checked_sub(before).ok()?, days))
            })
    }
}
