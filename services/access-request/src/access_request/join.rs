//! What registration and gateway report, and what follows for the request.
//!
//! The two halves work each by itself, and their reports come late, twice or in any order. Of each half the latest report
//! is kept, by (revision, position in that half's log), and only a report at the request's present revision counts: so
//! every order of arrival ends in the same state. Positions of the two logs are never compared.
#![deny(clippy::wildcard_enum_match_arm)]

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccessRequest, Credential, Decided, Decision, Rejection, Wanted};

/// Who provides a part of the access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// The OAuth client at the identity provider.
    Registration,
    /// Scope mappings or API keys at the gateways.
    Gateway,
}

/// How far a half has come with one revision. Nothing personal and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The half that reports.
    pub half: Half,
    /// The revision of the wanted state that this answers.
    pub revision: u64,
    /// Position in the half's log.
    pub position: i64,
    /// Time at the half that reports.
    pub at: Timestamp,
    /// Name of the identity provider or gateway, where the report is about one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<String>,
    /// How far it has come.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// See `portico.access.v1.Report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Work has begun, or begun again after a delay or failure.
    Started,
    /// The outside world is as the revision wants it.
    Done {
        /// RFC 7591 section 3.2.1; none from the gateway, and while there is no client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// Nothing was left to keep the client for.
        client_deleted: bool,
    },
    /// The revision needs nothing of this half.
    NothingToDo,
    /// An attempt failed; there will be another one.
    Delayed {
        /// The provider's or gateway's own message.
        reason: String,
        /// None while nothing is scheduled, because an admin must act first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_try_at: Option<Timestamp>,
    },
    /// No more attempts until an admin wants one, or something that it depends on changes.
    Failed {
        /// Stable code for programs.
        code: String,
        /// The provider's or gateway's own message.
        reason: String,
    },
}

/// What became of a request. Each is said once for each revision, in the transaction of the report that decided it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A half reported.
    Reported(Report),
    /// Every half that is needed has finished a granted revision: the credentials work.
    Activated(Announced),
    /// A half has failed and waits for an admin.
    Failed(Announced),
    /// Every half has reported that revoked access is gone.
    Ended(Announced),
}

/// Of which revision, and when it came about outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Present revision of the request.
    pub revision: u64,
    /// Of the latest report that it follows from, so that it does not depend on the order of arrival.
    pub at: Timestamp,
}

/// The latest reports of one half.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// Kept by itself: what is finished stays so while its neighbour is worked at for something else.
    started: Option<(u64, i64)>,
    /// Every outcome but `Started`.
    latest: Option<Report>,
}

/// The latest reports of both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halves {
    registration: Reports,
    gateway: Reports,
}

/// The last announcements, by revision; 0: none yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcements {
    pub(crate) activated: u64,
    pub(crate) failed: u64,
    pub(crate) ended: u64,
}

/// How far one half, or both together, are with the present revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// No report yet.
    Silent,
    /// Not finished.
    UnderWay { next_try_at: Option<Timestamp> },
    /// As wanted, since then.
    Finished { at: Timestamp },
    /// Waits for an admin.
    Failed(Failure<'a>),
}

/// Why a half waits for an admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure<'a> {
    pub(crate) half: Half,
    /// The identity provider or gateway, where it is about one.
    pub(crate) neighbour: Option<&'a str>,
    pub(crate) code: &'a str,
    /// The neighbour's own message.
    pub(crate) reason: &'a str,
    at: Timestamp,
}

impl Report {
    fn place(&self) -> (u64, i64) {
        (self.revision, self.position)
    }
}

impl Reports {
    fn take(&mut self, report: &Report) {
        let place = report.place();
        match report.outcome {
            Outcome::Started => self.started = self.started.max(Some(place)),
            Outcome::Done { .. }
            | Outcome::NothingToDo
            | Outcome::Delayed { .. }
            | Outcome::Failed { .. } => {
                if self.latest.as_ref().is_none_or(|kept| kept.place() < place) {
                    self.latest = Some(report.clone());
                }
            }
        }
    }

    /// `revision` is the request's: a report on another one says nothing of what is wanted now.
    fn standing(&self, revision: u64) -> Standing<'_> {
        let started = self.started.filter(|(at, _)| *at == revision);
        let Some(latest) = self.latest.as_ref().filter(|l| l.revision == revision) else {
            return match started {
                Some(_) => Standing::UnderWay { next_try_at: None },
                None => Standing::Silent,
            };
        };
        let again = started > Some(latest.place());
        match &latest.outcome {
            Outcome::Done { .. } | Outcome::NothingToDo => Standing::Finished { at: latest.at },
            Outcome::Failed { code, reason } if !again => Standing::Failed(Failure {
                half: latest.half,
                neighbour: latest.neighbour.as_deref(),
                code,
                reason,
                at: latest.at,
            }),
            Outcome::Delayed { next_try_at, .. } if !again => Standing::UnderWay {
                next_try_at: *next_try_at,
            },
            Outcome::Failed { .. } | Outcome::Delayed { .. } | Outcome::Started => {
                Standing::UnderWay { next_try_at: None }
            }
        }
    }
}

impl<'a> Standing<'a> {
    /// Of two halves together. One that has failed decides, and both must have finished.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (failed @ Self::Failed(_), _) | (_, failed @ Self::Failed(_)) => failed,
            (Self::Finished { at }, Self::Finished { at: other }) => {
                Self::Finished { at: at.max(other) }
            }
            (Self::Silent, Self::Silent) => Self::Silent,
            (one, other) => Self::UnderWay {
                next_try_at: [one.next_try_at(), other.next_try_at()]
                    .into_iter()
                    .flatten()
                    .min(),
            },
        }
    }

    pub(crate) fn next_try_at(self) -> Option<Timestamp> {
        match self {
            Self::UnderWay { next_try_at } => next_try_at,
            Self::Silent | Self::Finished { .. } | Self::Failed(_) => None,
        }
    }
}

impl AccessRequest {
    /// How far the halves that the request needs are with its present revision.
    pub(crate) fn standing(&self) -> Standing<'_> {
        let revision = self.revision();
        let gateway = self.halves.gateway.standing(revision);
        match self.submission.credential {
            Credential::OauthClient(_) => self.halves.registration.standing(revision).and(gateway),
            Credential::ApiKey => gateway,
        }
    }

    /// What an admin is waited for at the present revision, if anything.
    pub(crate) fn failure(&self) -> Option<Failure<'_>> {
        match self.standing() {
            Standing::Failed(failure) => Some(failure),
            Standing::Silent | Standing::UnderWay { .. } | Standing::Finished { .. } => None,
        }
    }

    /// Whether registration deleted the client, as far as it has answered the present revision.
    pub(crate) fn client_deleted(&self) -> bool {
        let latest = self.halves.registration.latest.as_ref();
        latest.is_some_and(|report| {
            let deleted = matches!(
                report.outcome,
                Outcome::Done {
                    client_deleted: true,
                    ..
                }
            );
            deleted && report.revision == self.revision()
        })
    }

    pub(super) fn decide_join(&self, report: &Report) -> Decided {
        if self.decision == Decision::None {
            return Err(Rejection::NotFound);
        }
        let reported = Event::Reported(report.clone());
        let mut after = self.clone();
        after.evolve_join(&reported);
        let events = [Some(reported), after.announcement()].into_iter();
        Ok(events.flatten().map(Into::into).collect())
    }

    /// What the reports so far amount to, where it was not announced yet.
    fn announcement(&self) -> Option<Event> {
        let revision = self.revision();
        let announced = &self.announced;
        match (self.standing(), self.wanted()?) {
            (Standing::Finished { at }, Wanted::Granted) if announced.activated < revision => {
                Some(Event::Activated(Announced { revision, at }))
            }
            (Standing::Finished { at }, Wanted::Revoked) if announced.ended < revision => {
                Some(Event::Ended(Announced { revision, at }))
            }
            (Standing::Failed(failure), _) if announced.failed < revision => {
                Some(Event::Failed(Announced {
                    revision,
                    at: failure.at,
                }))
            }
            (
                Standing::Silent
                | Standing::UnderWay { .. }
                | Standing::Finished { .. }
                | Standing::Failed(_),
                Wanted::Granted | Wanted::Suspended | Wanted::Revoked,
            ) => None,
        }
    }

    pub(super) fn evolve_join(&mut self, event: &Event) {
        match event {
            Event::Reported(report) => match report.half {
                Half::Registration => self.halves.registration.take(report),
                Half::Gateway => self.halves.gateway.take(report),
            },
            Event::Activated(now) => self.announced.activated = now.revision,
            Event::Failed(now) => self.announced.failed = now.revision,
            Event::Ended(now) => self.announced.ended = now.revision,
        }
    }
}
