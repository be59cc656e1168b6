//! Registration at the provider (RFC 7591 section 3). Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::failure::{FailedAttempt, Times};
use super::grant::{Outcome, report};
use super::state::{Answered, ClientProfile, Link, Live, OauthClient, Problem, Wanted};
use super::{Decision, Event as Any, Rejection, Step};
use crate::client_metadata::{Marker, WantedClient};

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
    Complete {
        /// Number of the attempt.
        attempt: u32,
        /// The provider's registration response.
        answer: Answered,
    },
    /// Nothing can be found out about an attempt.
    Suspect {
        /// Number of the attempt.
        attempt: u32,
        /// Suspicions in a row before it is parked.
        cap: u32,
        /// When to try again, if something is to be taken away.
        again_at: Timestamp,
        /// Clock reading of the caller.
        at: Timestamp,
    },
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
    pub client: WantedClient,
}

/// Registration of a client (RFC 7591 section 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// See [`RegistrationIntended`].
    #[serde(rename = "registration_intended")]
    Intended(RegistrationIntended),
    /// The client is registered.
    Registered {
        /// Number of the attempt.
        attempt: u32,
        /// The provider's registration response.
        answer: Answered,
    },
    /// The registration has no outcome, and none can be found out: a client may exist that nobody knows.
    OrphanSuspected {
        /// Number of the attempt.
        attempt: u32,
        /// What the client is marked with, where the provider keeps it.
        marker: String,
    },
}

impl OauthClient {
    pub(super) fn decide_registration(&self, command: &Command) -> Decision {
        match command {
            Command::Intend(intent) => self.decide_intent(intent),
            Command::Complete { attempt, answer } => {
                let intended = self.attempted(*attempt)?;
                let registered = Event::Registered {
                    attempt: *attempt,
                    answer: answer.clone(),
                };
                let ungranted = self.ungranted(&intended.wanted, answer);
                Ok(std::iter::once(registered.into())
                    .chain(ungranted)
                    .collect())
            }
            Command::Suspect {
                attempt,
                cap,
                again_at,
                at,
            } => self.decide_suspicion(*attempt, *cap, (*again_at, *at)),
        }
    }

    pub(super) fn apply_registration(&mut self, event: &Event) {
        match event {
            Event::Intended(intended) => {
                self.attempt = intended.attempt;
                self.secrets_left = true;
                self.link = Link::Intended(Box::new(intended.clone()));
            }
            Event::Registered { answer, .. } => {
                if let Some(intended) = self.intended() {
                    self.link = Link::Live(Box::new(Live::new(
                        answer.clone(),
                        intended.client_type_id,
                        intended.wanted.clone(),
                        intended.client.marker.to_string(),
                    )));
                }
                self.was_live = true;
                self.succeeded();
            }
            Event::OrphanSuspected { marker, .. } => {
                self.list_suspected(marker);
                self.link = Link::None;
                self.suspicions += 1;
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
    fn decide_suspicion(&self, attempt: u32, cap: u32, times: Times) -> Decision {
        let intended = self.attempted(attempt)?;
        let suspected = Event::OrphanSuspected {
            attempt,
            marker: intended.client.marker.to_string(),
        };
        let mut events = vec![suspected.into()];
        if self.suspicions + 1 >= cap {
            let last = self.delay.as_ref();
            let last = last.map_or("no answer was kept", |delay| &delay.problem.reason);
            let failed = FailedAttempt {
                problem: Problem {
                    code: "registration_outcome_unknown".into(),
                    reason: format!(
                        "it is not known whether the provider registered a client, and it cannot be asked: {last}"
                    ),
                },
                attempt_over: true,
            };
            events.extend(self.refused_together(&failed, times));
        }
        Ok(events)
    }

    /// What is sent to the provider.
    pub(crate) fn sent(
        &self,
        wanted: &Wanted,
        profile: &ClientProfile,
        attempt: u32,
    ) -> WantedClient {
        WantedClient {
            name: wanted.name.clone(),
            redirect_uris: wanted.redirect_urls.clone(),
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

    /// Waiting requests that can never have their scopes by an answer: the provider was asked, and left one out. Many
    /// providers echo only a part of the metadata, so silence about scopes is taken as granted.
    pub(super) fn ungranted(&self, asked: &Wanted, answer: &Answered) -> Vec<Any> {
        let Some(granted) = answer.granted.scopes() else {
            return Vec::new();
        };
        let asked_for = self.waiting().filter(|(_, grant)| {
            grant.scopes.is_subset(&asked.scopes)
                && asked.client_type_ids.contains(&grant.client_type_id)
        });
        asked_for
            .filter_map(|(id, grant)| {
                let missing: BTreeSet<&String> = grant.scopes.difference(&granted).collect();
                let names: Vec<&str> = missing.iter().map(|scope| scope.as_str()).collect();
                let problem = Problem {
                    code: "scope_not_granted".into(),
                    reason: format!("the provider did not grant {}", names.join(" ")),
                };
                (!missing.is_empty()).then(|| report(id, grant, Outcome::Failed(problem)).into())
            })
            .collect()
    }
}
