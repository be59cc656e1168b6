//! Registration at the provider (RFC 7591 section 3). Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::failure::{FailedAttempt, Times};
use super::grant::{Outcome, report};
use super::state::{Answered, ClientProfile, Link, Live, OauthClient, Problem, Succeeded, Wanted};
use super::{Decision, Event as Any, Rejection, Resolution, Step};
use crate::client_metadata::{ClientRequest, Marker};

/// A registration that is about to be attempted.
#[derive(Debug, Clone)]
pub struct Intent {
    /// As it was when the step was decided.
    pub wanted: Wanted,
    /// Profile merged from the client types of all requests.
    pub profile: ClientProfile,
    /// Client type of the first access request.
    pub client_type_id: Uuid,
    /// Chosen.
    pub client_id: String,
    /// Chosen, in the vault.
    pub secret_ref: VaultRef,
    /// The client gets its scopes by an update, once it is known here.
    pub without_scopes: bool,
}

/// Registration of a client (RFC 7591 section 3).
#[derive(Debug, Clone)]
pub enum Command {
    /// It is about to be attempted.
    Intend(Intent),
    /// The client is registered.
    Complete(Succeeded),
    /// Nothing can be found out about an attempt, or not yet.
    Suspect {
        /// Number of the attempt.
        attempt: u32,
        /// What may be shown of an answer that cannot be used; empty where none came.
        detail: String,
        /// Whether there is another attempt.
        then: AfterSuspicion,
        /// When to try again, if something is to be taken away.
        again_at: Timestamp,
        /// Clock reading of the caller.
        at: Timestamp,
    },
}

/// What comes after a suspicion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterSuspicion {
    /// The client is looked for again at this time: a search may lag behind.
    LookAgain(FailedAttempt, Timestamp),
    /// Another attempt, as long as there are fewer suspicions than this in a row.
    TryAgain(u32),
    /// None: the provider says that it registered the client.
    Park(Problem),
}

/// A registration is about to be attempted: from now on a client may exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationIntended {
    /// Counts every attempt of this client, of any kind, from 1.
    pub attempt: u32,
    /// Chosen; what providers make of it is the driver's matter.
    pub client_id: String,
    /// Secret chosen for the client, in the vault.
    pub secret_ref: VaultRef,
    /// Decides how the client authenticates, as long as it lives.
    pub client_type_id: Uuid,
    /// What the client will be after it.
    pub wanted: Wanted,
    /// What is sent, with the marker; kept so that the very same attempt can be repeated.
    pub client: ClientRequest,
}

/// Registration of a client (RFC 7591 section 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// See [`RegistrationIntended`].
    #[serde(rename = "registration_intended")]
    Intended(RegistrationIntended),
    /// The client is registered.
    Registered(Succeeded),
    /// The registration has no outcome, and none can be found out: a client may exist that nobody knows.
    OrphanSuspected {
        /// Number of the attempt.
        attempt: u32,
        /// What the client is marked with, where the provider keeps it.
        marker: String,
        /// What may be shown of an answer that cannot be used.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
        /// The attempt goes on: the client is looked for again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sought: bool,
    },
}

impl RegistrationIntended {
    /// `sought`: the attempt goes on.
    pub(super) fn suspected(&self, detail: &str, sought: bool) -> Event {
        Event::OrphanSuspected {
            attempt: self.attempt,
            marker: self.client.marker.to_string(),
            detail: detail.to_owned(),
            sought,
        }
    }
}

impl OauthClient {
    pub(super) fn decide_registration(&self, command: &Command) -> Decision {
        match command {
            Command::Intend(intent) => self.decide_intent(intent),
            Command::Complete(succeeded) => {
                let intended = self.attempted(succeeded.attempt)?;
                let registered = Event::Registered(succeeded.clone());
                let answer = &succeeded.answer;
                let marker = intended.client.marker.to_string();
                let found = self.cleared(&marker, &answer.client_id, Resolution::Adopted);
                let refused = self.ungranted(&intended.wanted, answer);
                Ok(found.chain([registered.into()]).chain(refused).collect())
            }
            Command::Suspect {
                attempt,
                detail,
                then,
                again_at,
                at,
            } => self.decide_suspicion(*attempt, detail, then, (*again_at, *at)),
        }
    }

    pub(super) fn apply_registration(&mut self, event: &Event) {
        match event {
            Event::Intended(intended) => {
                self.attempt = intended.attempt;
                self.looks = 0;
                self.secrets_left = true;
                self.link = Link::Intended(Box::new(intended.clone()));
            }
            Event::Registered(Succeeded { answer, .. }) => {
                if let Some(intended) = self.intended() {
                    self.link = Link::Live(Box::new(Live {
                        answer: answer.clone(),
                        client_type_id: intended.client_type_id,
                        applied: intended.wanted.clone(),
                        marker: intended.client.marker.to_string(),
                        ..Live::default()
                    }));
                }
                self.was_live = true;
                self.succeeded();
            }
            Event::OrphanSuspected {
                marker,
                detail,
                sought,
                ..
            } => {
                self.list_suspected(marker, detail);
                if *sought {
                    self.looks += 1;
                } else {
                    self.link = Link::None;
                    self.suspicions += 1;
                }
            }
        }
    }

    fn attempted(&self, attempt: u32) -> Result<&super::RegistrationIntended, Rejection> {
        let intended = self.intended();
        let intended = intended.filter(|intended| intended.attempt == attempt);
        intended.ok_or(Rejection::Superseded)
    }

    fn decide_intent(&self, intent: &Intent) -> Decision {
        // The fence: of two workers one wins, and the other decides anew.
        if self.provider_work() != Some(Step::Register(intent.wanted.clone())) {
            return Err(Rejection::Superseded);
        }
        let mut wanted = intent.wanted.clone();
        if intent.without_scopes {
            wanted.scopes.clear();
        }
        let attempt = self.attempt + 1;
        let intended = RegistrationIntended {
            attempt,
            client_id: intent.client_id.clone(),
            secret_ref: intent.secret_ref,
            client_type_id: intent.client_type_id,
            client: self.sent(&wanted, &intent.profile, attempt),
            wanted,
        };
        Ok(self.started(Event::Intended(intended)))
    }

    /// The failed attempt before this has had its pause, so the next one may begin at once.
    fn decide_suspicion(
        &self,
        attempt: u32,
        detail: &str,
        then: &AfterSuspicion,
        times: Times,
    ) -> Decision {
        let intended = self.attempted(attempt)?;
        let suspected = |sought| intended.suspected(detail, sought).into();
        let problem = match then {
            AfterSuspicion::LookAgain(looked, next_look_at) => {
                let looked = self.put_off(looked, *next_look_at, false);
                return Ok(std::iter::once(suspected(true)).chain(looked).collect());
            }
            AfterSuspicion::TryAgain(cap) if self.suspicions + 1 < *cap => None,
            AfterSuspicion::TryAgain(_) => Some(self.unknown_outcome()),
            AfterSuspicion::Park(problem) => Some(problem.clone()),
        };
        let parked = problem.map(|problem| {
            let failed = FailedAttempt {
                problem,
                attempt_over: true,
            };
            self.refused_together(&failed, times)
        });
        let parked = parked.into_iter().flatten();
        Ok(std::iter::once(suspected(false)).chain(parked).collect())
    }

    fn unknown_outcome(&self) -> Problem {
        let last = self.delay.as_ref();
        let last = last.map_or("no answer was kept", |delay| &delay.problem.reason);
        Problem {
            code: "registration_outcome_unknown".into(),
            reason: format!(
                "it is not known whether the provider registered a client, and it cannot be asked: {last}"
            ),
        }
    }

    /// What is sent to the provider.
    pub(crate) fn sent(
        &self,
        wanted: &Wanted,
        profile: &ClientProfile,
        attempt: u32,
    ) -> ClientRequest {
        ClientRequest {
            profile: wanted.profile,
            grant_types: profile.grant_types.clone(),
            response_types: profile.response_types.clone(),
            token_endpoint_auth_method: profile.token_endpoint_auth_method.clone(),
            scopes: wanted.scopes.clone(),
            okta_application_type: profile.okta_application_type.clone(),
            marker: Marker {
                id: Self::id(self.application_id, self.identity_provider_id).to_string(),
                attempt,
            },
        }
    }

    /// Waiting requests that an answer does not serve: nobody can get a token by it, or the provider was asked for a scope
    /// and left it out. Many providers echo only a part of the metadata, so silence about scopes is taken as granted.
    pub(super) fn ungranted(&self, asked: &Wanted, answer: &Answered) -> Vec<Any> {
        let (granted, unusable) = (answer.granted.scopes(), answer.unusable.as_ref());
        let asked_for = self.waiting().filter(|(_, grant)| {
            unusable.is_some()
                || (grant.scopes.is_subset(&asked.scopes)
                    && asked.client_type_ids.contains(&grant.client_type_id))
        });
        let refused = asked_for.filter_map(|(id, grant)| {
            let problem = unusable
                .cloned()
                .or_else(|| scopes_missing(&grant.scopes, granted.as_ref()?))?;
            Some(report(id, grant, Outcome::Failed(problem)).into())
        });
        refused.collect()
    }
}

fn scopes_missing(asked: &BTreeSet<String>, granted: &BTreeSet<String>) -> Option<Problem> {
    let missing: Vec<&str> = asked.difference(granted).map(String::as_str).collect();
    (!missing.is_empty()).then(|| Problem {
        code: "scope_not_granted".into(),
        reason: format!("the provider did not grant {}", missing.join(" ")),
    })
}
