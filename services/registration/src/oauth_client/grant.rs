//! What access requests want of the client, and what is reported of each. The highest revision of a request counts,
//! and every revision is answered.

pub(super) mod access;
pub(super) mod held;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Link;
use super::state::{OauthClient, Problem};
use crate::application::Application;

/// What access-request wants of one request, complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// Id of the request at access-request.
    pub request_id: Uuid,
    /// Raised with every change of what is wanted.
    pub revision: u64,
    /// Whether the credentials are to work.
    pub access: Access,
    /// Application that owns the client.
    pub application_id: Uuid,
    /// Identity provider of the client.
    pub identity_provider_id: Uuid,
    /// What type of client the developer chose.
    pub client_type_id: Uuid,
    /// Id of the user who submitted the request.
    pub requester_id: String,
    /// As of this revision.
    pub application: Application,
    /// Of all its products and plans (RFC 6749 section 3.3).
    pub scopes: BTreeSet<String>,
    /// An admin wants it tried again, now.
    pub retried: bool,
}

/// Whether the credentials are to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// The scopes are granted.
    Granted,
    /// Taken away until it is resumed.
    Suspended,
    /// Taken away for ever.
    Revoked,
}

/// Latest revision of one access request, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The order in which they came.
    pub order: u64,
    /// The highest that is known.
    pub revision: u64,
    /// As of that revision.
    pub access: Access,
    /// What type of client the developer chose.
    pub client_type_id: Uuid,
    /// Id of the user who submitted the request.
    pub requester_id: String,
    /// As of that revision.
    pub scopes: BTreeSet<String>,
    /// What was reported of that revision.
    pub standing: Standing,
    /// An earlier revision, or this one, was done with the present client.
    pub served: bool,
}

impl Grant {
    /// Whether the credentials are to work.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.access == Access::Granted
    }

    /// Parked until it is retried.
    #[must_use]
    pub fn failure(&self) -> Option<&Problem> {
        match &self.standing {
            Standing::Failed(problem) => Some(problem),
            Standing::New | Standing::Started | Standing::Delayed | Standing::Done => None,
        }
    }

    /// What was refused is asked for again, where the client served it before.
    pub(super) fn try_anew(&mut self) {
        if self.is_granted() && self.served && self.failure().is_some() {
            self.standing = Standing::New;
        }
    }

    /// Something is still to be done for it, or to be taken away.
    pub(super) fn is_open(&self) -> bool {
        match self.standing {
            Standing::New | Standing::Started | Standing::Delayed => true,
            Standing::Done | Standing::Failed(_) => false,
        }
    }
}

/// What was reported last of a request's present revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing yet.
    New,
    /// Work has begun.
    Started,
    /// An attempt failed and is repeated.
    Delayed,
    /// The provider is as this revision wants it.
    Done,
    /// Parked. What is to be taken away is tried again all the same.
    Failed(Problem),
}

/// The report on a request's revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Id of the request at access-request.
    pub request_id: Uuid,
    /// The revision that this answers.
    pub revision: u64,
    /// Outcome of that revision so far.
    pub outcome: Outcome,
}

/// How far a revision has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Work has begun, or begun again.
    Started,
    /// The provider is as the revision wants it.
    Done {
        /// The client was deleted there.
        client_deleted: bool,
    },
    /// Nothing had been created that could be taken away.
    NeverCreated,
    /// An attempt failed and is repeated.
    Delayed {
        /// Code and message of the failure.
        problem: Problem,
        /// None while nothing is scheduled, because an admin must act first.
        next_try_at: Option<Timestamp>,
    },
    /// Parked until it is retried, or something changes.
    Failed(Problem),
}

/// An access request wants something.
#[derive(Debug, Clone)]
pub enum Command {
    /// Takes over a revision of a request.
    Want(Requested),
}

/// Requests, and what is reported of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A request wants this from now on.
    Wanted(Requested),
    /// See [`Reported`].
    Reported(Reported),
    /// The scopes that a client may hold from now on are others, or take another revision into account.
    ScopesHeld(held::HeldScopes),
}

impl OauthClient {
    pub(super) fn decide_grant(&self, command: &Command) -> Vec<super::Event> {
        let Command::Want(requested) = command;
        let id = &requested.request_id;
        let known = self.grants.get(id).map(|grant| grant.revision);
        let known = known.or_else(|| self.ended.get(id).copied());
        super::only_if(
            known.is_none_or(|known| requested.revision > known),
            Event::Wanted(requested.clone()),
        )
    }

    pub(super) fn apply_grant(&mut self, event: &Event) {
        match event {
            Event::Wanted(requested) => self.requested(requested),
            Event::Reported(reported) => self.reported(reported),
            Event::ScopesHeld(held) => self.held = held.clone(),
        }
    }

    fn requested(&mut self, requested: &Requested) {
        self.application_id = requested.application_id;
        self.identity_provider_id = requested.identity_provider_id;
        if self.application.profile.is_nil() || requested.application.as_of > self.application.as_of
        {
            self.follow_application(&requested.application);
        }
        if self.provider_work().is_none() {
            // The pause was before something that nobody wants any more.
            self.delay = None;
        }
        self.order += 1;
        let known = self.grants.get(&requested.request_id);
        let grant = Grant {
            order: known.map_or(self.order, |grant| grant.order),
            revision: requested.revision,
            access: requested.access,
            client_type_id: requested.client_type_id,
            requester_id: requested.requester_id.clone(),
            scopes: requested.scopes.clone(),
            standing: Standing::New,
            served: known.is_some_and(|grant| grant.served),
        };
        self.ended.remove(&requested.request_id);
        self.grants.insert(requested.request_id, grant);
        self.refused = None;
        // What is stuck is tried hours apart: whoever wants something else does not wait for that.
        if requested.retried || self.is_stuck() {
            self.delay = None;
        }
        if requested.retried {
            self.suspicions = 0;
        }
        self.settle_queue();
    }

    fn reported(&mut self, reported: &Reported) {
        let Some(grant) = self.grants.get_mut(&reported.request_id) else {
            return;
        };
        grant.standing = match &reported.outcome {
            Outcome::Started => Standing::Started,
            Outcome::Done { .. } | Outcome::NeverCreated => Standing::Done,
            Outcome::Delayed { .. } => Standing::Delayed,
            Outcome::Failed(problem) => Standing::Failed(problem.clone()),
        };
        grant.served |= grant.is_granted() && grant.standing == Standing::Done;
        if grant.access == Access::Revoked && grant.standing == Standing::Done {
            self.grants.remove(&reported.request_id);
            self.ended.insert(reported.request_id, reported.revision);
        }
        self.settle_queue();
    }

    /// When nobody waits any more, the next ones are tried together again.
    fn settle_queue(&mut self) {
        let waits = |grant: &Grant| grant.is_granted() && grant.is_open();
        if !self.grants.values().any(waits) {
            self.one_at_a_time = false;
        }
    }

    /// Answers that follow from the state: what is done, and what waits without having been told so.
    pub(super) fn due_reports(&self) -> Vec<super::Event> {
        let told = self.pending().map(|delayed| self.waiting_for(delayed));
        let told = told.into_iter().flatten();
        told.chain(self.finished()).map(Into::into).collect()
    }

    /// What is waited for by everybody: until the provider is resumed, or the pause after a failed attempt is over.
    fn pending(&self) -> Option<Outcome> {
        let delayed = |problem: &Problem, next_try_at| Outcome::Delayed {
            problem: problem.clone(),
            next_try_at,
        };
        let paused = self.paused.as_ref().filter(|_| self.waits_for_provider());
        let delay = self.delay.as_ref();
        paused
            .map(|problem| delayed(problem, None))
            .or(delay.map(|delay| delayed(&delay.problem, Some(delay.next_try_at))))
    }

    fn finished(&self) -> impl Iterator<Item = Event> {
        self.grants.iter().filter_map(|(id, grant)| {
            let outcome = match grant.access {
                // What is to be taken away is done whenever it is, also after it was said to have failed.
                Access::Suspended | Access::Revoked => (grant.standing != Standing::Done
                    && self.is_released(grant))
                .then(|| self.taken_away()),
                // It goes on when the application is resumed; the join must not take that for silence.
                Access::Granted if self.application.suspended => {
                    (grant.standing == Standing::New).then_some(Outcome::Started)
                }
                Access::Granted => {
                    (grant.is_open() && self.covers(grant)).then_some(Outcome::Done {
                        client_deleted: false,
                    })
                }
            };
            outcome.map(|outcome| report(*id, grant, outcome))
        })
    }

    fn taken_away(&self) -> Outcome {
        let created = self.was_live || !self.orphans.is_empty();
        match (&self.link, created) {
            (Link::None, false) => Outcome::NeverCreated,
            (link, _) => Outcome::Done {
                client_deleted: *link == Link::None,
            },
        }
    }

    /// Those who wait for this, and were not told.
    fn waiting_for(&self, delayed: Outcome) -> impl Iterator<Item = Event> {
        let left = self
            .to_take_away()
            .filter(|(_, grant)| !self.is_released(grant));
        let unaware = self
            .uncovered()
            .chain(left)
            .filter(|(_, grant)| matches!(grant.standing, Standing::New | Standing::Started));
        unaware.map(move |(id, grant)| report(id, grant, delayed.clone()))
    }

    /// The intent of an attempt, and the requests that it is the first attempt for.
    pub(super) fn started(&self, intent: impl Into<super::Event>) -> Vec<super::Event> {
        self.uncovered()
            .filter(|(_, grant)| grant.standing == Standing::New)
            .map(|(id, grant)| report(id, grant, Outcome::Started).into())
            .chain([intent.into()])
            .collect()
    }

    /// Waiting requests that lack something at the provider are told.
    pub(super) fn tell_uncovered(&self, outcome: &Outcome) -> impl Iterator<Item = super::Event> {
        self.uncovered()
            .map(|(id, grant)| report(id, grant, outcome.clone()).into())
    }
}

/// An answer to the request's present revision.
pub(super) fn report(request_id: Uuid, grant: &Grant, outcome: Outcome) -> Event {
    Event::Reported(Reported {
        request_id,
        revision: grant.revision,
        outcome,
    })
}
