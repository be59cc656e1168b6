//! What befalls a registered client as long as it lives: suspension, a changed client type, replacement, and the end
//! of its secret. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::decide::{Decision, only_if};
use super::event::{Event, Wanted};
use super::state::{Link, Live, OauthClient, Stage};
use super::{Command, Rejection};

/// Days before the end of a secret at which it is said, and at its end.
pub const NOTICES: [u32; 4] = [30, 7, 1, 0];

/// A request's access, taken away for a time or given back. Messages come in any order; the latest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// It is taken away.
    pub suspended: bool,
    /// Position in the log of the access-request service.
    pub as_of: i64,
}

/// What was said of the end of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Unix seconds.
    pub expires_at: u64,
    /// One of [`NOTICES`].
    pub days_left: u32,
}

impl OauthClient {
    /// Whether a request's access is taken away for a time, by itself or with its application.
    #[must_use]
    pub fn is_suspended(&self, request_id: Uuid) -> bool {
        let by_itself = self.suspensions.get(&request_id);
        self.application.suspended || by_itself.is_some_and(|one| one.suspended)
    }

    /// Whether nothing of the client is to work for a time.
    #[must_use]
    pub fn is_all_suspended(&self) -> bool {
        self.wanted().is_some_and(|wanted| wanted.suspended)
    }

    /// What is to be said of the end of the secret by now: how many days are left.
    #[must_use]
    pub fn due_notice(&self, now: Timestamp) -> Option<u32> {
        self.notices()
            .filter(|(at, _)| *at <= now)
            .map(|(_, days)| days)
            .min()
    }

    /// When there is something to say of the end of the secret, or an old one to end.
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
        let said = live.and_then(|live| {
            live.notice
                .filter(|notice| notice.expires_at == live.answer.secret_expires_at)
                .map(|notice| notice.days_left)
        });
        NOTICES
            .into_iter()
            .filter(move |days| said.is_none_or(|said| *days < said))
            .filter_map(move |days| {
                let before = SignedDuration::from_hours(24 * i64::from(days));
                Some((expires?.checked_sub(before).ok()?, days))
            })
    }

    pub(super) fn decide_lifecycle(&self, command: &Command) -> Decision {
        match command {
            Command::SuspendGrant {
                request_id,
                application_id,
                identity_provider_id,
                suspended,
                as_of,
            } => {
                let known = self.suspensions.get(request_id);
                let newer = known.is_none_or(|known| known.as_of < *as_of);
                Ok(only_if(
                    newer && !self.ended.contains(request_id),
                    Event::GrantSuspended {
                        request_id: *request_id,
                        application_id: *application_id,
                        identity_provider_id: *identity_provider_id,
                        suspended: *suspended,
                        as_of: *as_of,
                    },
                ))
            }
            Command::FollowType { client_type_id } => {
                let concerned = self
                    .live()
                    .is_some_and(|live| live.applied.client_type_ids.contains(client_type_id));
                Ok(only_if(
                    concerned,
                    Event::ClientTypeChanged {
                        client_type_id: *client_type_id,
                    },
                ))
            }
            Command::Replace => {
                let live = self.live().ok_or(Rejection::NotRegistered)?;
                if self.is_all_suspended() {
                    return Err(Rejection::Suspended);
                }
                if live.operation.is_some() || self.wanted().is_none() {
                    return Err(Rejection::Busy);
                }
                Ok(only_if(!self.replacing, Event::ReplacementIntended))
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
            Command::RetryNow => {
                let waits =
                    self.held.is_some() || self.refused.is_some() || self.provider_delay.is_some();
                Ok(only_if(waits, Event::Resumed))
            }
            Command::EndOldSecret { .. }
            | Command::RetireSecret
            | Command::KeepOldSecret { .. } => self.decide_old_secret(command),
            _ => self.decide_orphans(command),
        }
    }

    pub(super) fn apply_lifecycle(&mut self, event: &Event) {
        match event {
            Event::GrantSuspended {
                request_id,
                application_id,
                identity_provider_id,
                suspended,
                as_of,
            } => {
                self.application_id = *application_id;
                self.identity_provider_id = *identity_provider_id;
                let suspension = Suspension {
                    suspended: *suspended,
                    as_of: *as_of,
                };
                let before = self.is_suspended(*request_id);
                self.suspensions.insert(*request_id, suspension);
                if before != self.is_suspended(*request_id) {
                    self.suspension_changed([*request_id]);
                }
            }
            Event::ClientTypeChanged { .. } => {
                if let Link::Live(live) = &mut self.link {
                    live.drifted = true;
                }
                self.refused = None;
            }
            Event::ReplacementIntended => {
                self.replacing = true;
                self.refused = None;
                self.provider_delay = None;
            }
            Event::SecretExpiring {
                expires_at,
                days_left,
                ..
            } => {
                if let Link::Live(live) = &mut self.link {
                    live.notice = Some(Notice {
                        expires_at: *expires_at,
                        days_left: *days_left,
                    });
                }
            }
            Event::OldSecretEndAsked { .. }
            | Event::OldSecretRetired
            | Event::OldSecretNotEnded { .. } => self.apply_old_secret(event),
            // It is in what was applied.
            Event::SuspensionApplied { .. } => {}
            _ => self.apply_orphans(event),
        }
    }

    /// Gateways are written anew; whose access comes back waits for it, and is told when it works.
    pub(super) fn suspension_changed(&mut self, requests: impl IntoIterator<Item = Uuid>) {
        self.revision += 1;
        self.refused = None;
        for id in requests {
            let resumed = !self.is_suspended(id);
            let Some(grant) = self.grants.get_mut(&id) else {
                continue;
            };
            if resumed && grant.stage == Stage::Active {
                grant.stage = Stage::Waiting;
            }
            let grant = grant.clone();
            self.ask_gateways(&grant);
        }
    }

    /// An outcome that switched the client off or on.
    pub(super) fn suspension_applied(&self, live: &Live, wanted: &Wanted) -> Option<Event> {
        (live.applied.suspended != wanted.suspended).then_some(Event::SuspensionApplied {
            suspended: wanted.suspended,
        })
    }
}
