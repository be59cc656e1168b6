//! What comes of a command. Pure.

use uuid::Uuid;

use super::event::{Answered, Event, Granted, Provisioned, RegistrationIntended, Target, Wanted};
use super::state::{Live, OauthClient, Operation, OperationKind, Stage};
use super::{Command, Failing, Kind, Rejection, Step};
use crate::providers::{Marker, WantedClient};

pub(super) type Decision = Result<Vec<Event>, Rejection>;

impl OauthClient {
    pub(super) fn decided(&self, command: &Command) -> Decision {
        match command {
            Command::Grant(granted) => Ok(self.decide_grant(granted)),
            Command::Withdraw {
                request_id,
                application_id,
                identity_provider_id,
            } => Ok(self.decide_withdrawal(*request_id, *application_id, *identity_provider_id)),
            Command::Retry { request_id } => Ok(self.decide_retry(*request_id)),
            Command::ChangeApplication(application) => {
                let newer =
                    !self.application_id.is_nil() && application.as_of > self.application.as_of;
                Ok(only_if(
                    newer,
                    Event::ApplicationChanged(application.clone()),
                ))
            }
            Command::FollowCatalogue(change) => Ok(only_if(
                self.concerns(change),
                Event::CatalogueChanged(change.clone()),
            )),
            Command::Resume => {
                let stuck = self
                    .provider_delay
                    .as_ref()
                    .and_then(|delay| delay.stuck_since);
                let waits = self.held.is_some() || self.refused.is_some() || stuck.is_some();
                Ok(only_if(waits, Event::Resumed))
            }
            Command::Rotate { secret_ref } => {
                let live = self.live().ok_or(Rejection::NotRegistered)?;
                if self.is_all_suspended() {
                    return Err(Rejection::Suspended);
                }
                if live.operation.is_some() || self.wanted().is_none() || self.replacing {
                    return Err(Rejection::Busy);
                }
                Ok(vec![Event::RotationIntended {
                    attempt: self.attempt + 1,
                    secret_ref: *secret_ref,
                }])
            }
            Command::Reveal => {
                self.live().ok_or(Rejection::NotRegistered)?;
                if self.is_all_suspended() {
                    return Err(Rejection::Suspended);
                }
                Ok(vec![Event::CredentialsRevealed])
            }
            _ => self.decide_work(command),
        }
    }

    /// Commands of the worker.
    fn decide_work(&self, command: &Command) -> Decision {
        match command {
            Command::IntendRegistration { .. } => self.decide_intent(command),
            Command::IntendUpdate { wanted, kind } => self.decide_update(wanted, kind),
            Command::CompleteRegistration { attempt, answer } => {
                self.decide_registered(*attempt, answer)
            }
            Command::CompleteUpdate { attempt, answer } => self.decide_updated(*attempt, answer),
            Command::ReplaceToken { attempt, rat_ref } => {
                self.operation(*attempt)?;
                Ok(vec![Event::TokenReplaced { rat_ref: *rat_ref }])
            }
            Command::FindMissing { client_id } => {
                self.found(client_id)?;
                Ok(vec![Event::FoundMissing {
                    client_id: client_id.clone(),
                }])
            }
            Command::FindChanged { client_id, members } => Ok(only_if(
                !self.found(client_id)?.drifted,
                Event::FoundChanged {
                    members: members.clone(),
                },
            )),
            Command::KeepToken { client_id, rat_ref } => {
                self.found(client_id)?;
                Ok(vec![Event::TokenReplaced { rat_ref: *rat_ref }])
            }
            Command::IntendDelete => self.decide_delete(),
            Command::CompleteDelete { client_id } => match self.live() {
                Some(live) if live.answer.client_id == *client_id => Ok(vec![Event::Deleted {
                    unexpected: self.wanted().is_some(),
                }]),
                _ => Err(Rejection::Superseded),
            },
            Command::CompleteRotation {
                attempt,
                answer,
                old_secret,
            } => {
                self.operation(*attempt)?;
                Ok(vec![Event::SecretRotated {
                    attempt: *attempt,
                    answer: answer.clone(),
                    old_secret: old_secret.clone(),
                }])
            }
            Command::RefuseRotation { attempt, failing } => {
                self.operation(*attempt)?;
                Ok(vec![Event::RotationRefused {
                    attempt: *attempt,
                    code: failing.code.clone(),
                    reason: failing.reason.clone(),
                }])
            }
            Command::Announce => Ok(self.announcements()),
            _ => self.decide_failure(command),
        }
    }

    fn decide_grant(&self, granted: &Granted) -> Vec<Event> {
        let known = self.grants.contains_key(&granted.request_id)
            || self.ended.contains(&granted.request_id);
        only_if(!known, Event::Granted(granted.clone()))
    }

    fn decide_withdrawal(
        &self,
        request_id: Uuid,
        application_id: Uuid,
        identity_provider_id: Uuid,
    ) -> Vec<Event> {
        let withdrawn = Event::GrantWithdrawn {
            request_id,
            application_id,
            identity_provider_id,
        };
        if self.ended.contains(&request_id) {
            return Vec::new();
        }
        match self.grants.get(&request_id) {
            Some(grant) => only_if(grant.stage != Stage::Withdrawn, withdrawn),
            // The approval is still on its way and will have no effect.
            None => vec![
                withdrawn,
                Event::Deprovisioned {
                    request_id,
                    application_id,
                    client_deleted: false,
                },
            ],
        }
    }

    fn decide_retry(&self, request_id: Uuid) -> Vec<Event> {
        let concerns = self
            .grants
            .get(&request_id)
            .is_some_and(|grant| grant.stage != Stage::Active);
        only_if(concerns, Event::Retried { request_id })
    }

    fn decide_intent(&self, command: &Command) -> Decision {
        let Command::IntendRegistration {
            wanted,
            kind,
            client_type_id,
            client_id,
            secret_ref,
            without_scopes,
        } = command
        else {
            return Err(Rejection::Superseded);
        };
        if self.provider_work() != Some(Step::Register(wanted.clone())) {
            return Err(Rejection::Superseded);
        }
        let mut wanted = wanted.clone();
        if *without_scopes {
            wanted.scopes.clear();
        }
        let attempt = self.attempt + 1;
        let intended = RegistrationIntended {
            attempt,
            client_id: client_id.clone(),
            secret_ref: *secret_ref,
            client_type_id: *client_type_id,
            client: self.sent(&wanted, kind, attempt),
            wanted,
        };
        Ok(self.started(Event::RegistrationIntended(intended)))
    }

    fn decide_update(&self, wanted: &Wanted, kind: &Kind) -> Decision {
        if self.provider_work() != Some(Step::Update(wanted.clone())) {
            return Err(Rejection::Superseded);
        }
        let attempt = self.attempt + 1;
        let client = self.sent(wanted, kind, attempt);
        let before = self.live().and_then(|live| live.operation.as_ref());
        if let Some(OperationKind::Update {
            wanted: intended,
            client: sent,
        }) = before.map(|operation| &operation.kind)
        {
            let same = intended == wanted
                && sent.grant_types == client.grant_types
                && sent.response_types == client.response_types;
            if same {
                return Ok(Vec::new());
            }
        }
        Ok(self.started(Event::UpdateIntended {
            attempt,
            wanted: wanted.clone(),
            client,
        }))
    }

    fn decide_delete(&self) -> Decision {
        if self.provider_work() != Some(Step::Delete) {
            return Err(Rejection::Superseded);
        }
        let before = self.live().and_then(|live| live.operation.as_ref());
        let intended = before.is_some_and(|operation| operation.kind == OperationKind::Delete);
        Ok(only_if(
            !intended,
            Event::DeleteIntended {
                attempt: self.attempt + 1,
            },
        ))
    }

    fn decide_registered(&self, attempt: u32, answer: &Answered) -> Decision {
        let intended = self.intended().filter(|i| i.attempt == attempt);
        let intended = intended.ok_or(Rejection::Superseded)?;
        let (request_ids, failed) = self.outcome(&intended.wanted, answer);
        let registered = Event::Registered {
            attempt,
            answer: answer.clone(),
            request_ids,
        };
        Ok(std::iter::once(registered).chain(failed).collect())
    }

    fn decide_updated(&self, attempt: u32, answer: &Answered) -> Decision {
        let operation = self.operation(attempt)?;
        let OperationKind::Update { wanted, .. } = &operation.kind else {
            return Err(Rejection::Superseded);
        };
        let (request_ids, failed) = self.outcome(wanted, answer);
        let updated = Event::Updated {
            attempt,
            answer: answer.clone(),
            request_ids,
        };
        let live = self.live().ok_or(Rejection::Superseded)?;
        let suspension = self.suspension_applied(live, wanted);
        Ok(suspension
            .into_iter()
            .chain([updated])
            .chain(failed)
            .collect())
    }

    /// What is sent to the provider.
    fn sent(&self, wanted: &Wanted, kind: &Kind, attempt: u32) -> WantedClient {
        WantedClient {
            name: wanted.name.clone(),
            redirect_uris: wanted.redirect_urls.clone(),
            grant_types: kind.grant_types.clone(),
            response_types: kind.response_types.clone(),
            token_endpoint_auth_method: kind.token_endpoint_auth_method.clone(),
            scopes: wanted.scopes.clone(),
            okta_application_type: kind.okta_application_type.clone(),
            marker: Marker {
                id: Self::id(self.application_id, self.identity_provider_id).to_string(),
                attempt,
            },
        }
    }

    /// The intent, and the requests that it is the first attempt for.
    fn started(&self, intent: Event) -> Vec<Event> {
        self.waiting()
            .filter(|(_, grant)| !grant.started)
            .map(|(request_id, _)| Event::Started {
                request_id,
                application_id: self.application_id,
                identity_provider_id: self.identity_provider_id,
            })
            .chain([intent])
            .collect()
    }

    /// Which waiting requests have their scopes by an answer, and which can never have them.
    fn outcome(&self, asked: &Wanted, answer: &Answered) -> (Vec<Uuid>, Vec<Event>) {
        let (mut request_ids, mut failed) = (Vec::new(), Vec::new());
        let granted = answer.granted.scopes();
        for (id, grant) in self.waiting() {
            let scopes = grant.scopes();
            if !scopes.is_subset(&asked.scopes)
                || !asked.client_type_ids.contains(&grant.client_type_id)
            {
                continue;
            }
            let missing: Vec<String> = match &granted {
                Some(granted) => scopes.difference(granted).cloned().collect(),
                // Many providers echo only a part.
                None => Vec::new(),
            };
            if missing.is_empty() {
                request_ids.push(id);
            } else {
                let failing = Failing {
                    code: "scope_not_granted".into(),
                    reason: format!("the provider did not grant {}", missing.join(" ")),
                    attempt_over: true,
                };
                failed.push(self.failed(id, Target::Provider, &failing));
            }
        }
        (request_ids, failed)
    }

    /// The client that somebody looked at, where it is wanted and nothing is under way.
    fn found(&self, client_id: &str) -> Result<&Live, Rejection> {
        self.live()
            .filter(|live| live.answer.client_id == client_id && live.operation.is_none())
            .filter(|_| self.wanted().is_some())
            .ok_or(Rejection::Superseded)
    }

    fn operation(&self, attempt: u32) -> Result<&Operation, Rejection> {
        self.live()
            .and_then(|live| live.operation.as_ref())
            .filter(|operation| operation.attempt == attempt)
            .ok_or(Rejection::Superseded)
    }

    fn announcements(&self) -> Vec<Event> {
        let client_deleted = self.live().is_none();
        let client_id = self.live().map(|live| live.answer.client_id.clone());
        self.finished()
            .map(|(request_id, grant)| match grant.stage {
                Stage::Withdrawn => Event::Deprovisioned {
                    request_id,
                    application_id: self.application_id,
                    client_deleted,
                },
                _ => Event::Provisioned(Provisioned {
                    request_id,
                    application_id: self.application_id,
                    application_name: self.application.name.clone(),
                    identity_provider_id: self.identity_provider_id,
                    client_id: client_id.clone().unwrap_or_default(),
                    scopes: grant.scopes(),
                    product_names: grant.product_names(),
                    requester_id: grant.requester_id.clone(),
                }),
            })
            .collect()
    }
}

pub(super) fn only_if(condition: bool, event: Event) -> Vec<Event> {
    if condition { vec![event] } else { Vec::new() }
}
