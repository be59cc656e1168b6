//! What comes of a command. Pure.

use jiff::Timestamp;
use uuid::Uuid;

use super::event::{
    Answered, Delayed, Event, Failed, Granted, Provisioned, Refused, RegistrationIntended, Target,
    Wanted,
};
use super::state::{Grant, OauthClient, Operation, OperationKind, Stage};
use super::{Command, Failing, Kind, Rejection, Step};
use crate::providers::{Marker, WantedClient};

type Decision = Result<Vec<Event>, Rejection>;
/// When to try again what is never given up, and now.
type Times = (Timestamp, Timestamp);

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
                if live.operation.is_some() || self.wanted().is_none() {
                    return Err(Rejection::Busy);
                }
                Ok(vec![Event::RotationIntended {
                    attempt: self.attempt + 1,
                    secret_ref: *secret_ref,
                }])
            }
            Command::Reveal => {
                self.live().ok_or(Rejection::NotRegistered)?;
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
            Command::IntendDelete => self.decide_delete(),
            Command::CompleteDelete { client_id } => match self.live() {
                Some(live) if live.answer.client_id == *client_id => Ok(vec![Event::Deleted {
                    unexpected: self.wanted().is_some(),
                }]),
                _ => Err(Rejection::Superseded),
            },
            Command::CompleteRotation { attempt, answer } => {
                self.operation(*attempt)?;
                Ok(vec![Event::SecretRotated {
                    attempt: *attempt,
                    answer: answer.clone(),
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

    fn decide_failure(&self, command: &Command) -> Decision {
        Ok(match command {
            Command::SuspectOrphan {
                attempt,
                cap,
                again_at,
                at,
            } => return self.decide_orphan(*attempt, *cap, (*again_at, *at)),
            Command::CompleteMapping {
                gateway_ids,
                revision,
                skipped,
            } => vec![Event::GatewayMapped {
                gateway_ids: gateway_ids.clone(),
                revision: *revision,
                request_ids: match skipped {
                    true => Vec::new(),
                    false => self.covered().map(|(id, _)| id).collect(),
                },
            }],
            Command::RefuseMapping {
                gateway_ids,
                revision,
                failing,
                again_at,
                at,
            } => self.refused_by_gateway(gateway_ids, *revision, failing, (*again_at, *at)),
            Command::Delay {
                target,
                failing,
                next_try_at,
            } => self.delayed(*target, failing, *next_try_at),
            Command::Refuse {
                failing,
                again_at,
                at,
            } => self.refused_by_provider(failing, (*again_at, *at)),
            Command::Hold(failing) => only_if(
                self.held.is_none() || failing.attempt_over,
                Event::Held {
                    code: failing.code.clone(),
                    reason: failing.reason.clone(),
                    attempt_over: failing.attempt_over,
                },
            ),
            _ => Vec::new(),
        })
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
        Ok(std::iter::once(updated).chain(failed).collect())
    }

    /// The failed try before this has had its pause, so the next attempt may begin at once.
    fn decide_orphan(&self, attempt: u32, cap: u32, times: Times) -> Decision {
        let intended = self.intended().filter(|i| i.attempt == attempt);
        let intended = intended.ok_or(Rejection::Superseded)?;
        let mut events = vec![Event::OrphanSuspected {
            attempt,
            marker: intended.client.marker.to_string(),
        }];
        if self.orphans + 1 >= cap {
            let last = self.delay(Target::Provider);
            let last = last.map_or("no answer was kept", |delay| &delay.words.reason);
            let reason = format!(
                "it is not known whether the provider registered a client, and it cannot be asked: {last}"
            );
            let failing = Failing {
                code: "registration_outcome_unknown".into(),
                reason,
                attempt_over: true,
            };
            events.extend(self.refused_together(&failing, times));
        }
        Ok(events)
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

    fn operation(&self, attempt: u32) -> Result<&Operation, Rejection> {
        self.live()
            .and_then(|live| live.operation.as_ref())
            .filter(|operation| operation.attempt == attempt)
            .ok_or(Rejection::Superseded)
    }

    /// Waiting requests that have everything at the provider.
    fn covered(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        self.waiting().filter(|(_, grant)| self.covers(grant))
    }

    /// Waiting requests that lack something at the provider.
    fn uncovered(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        self.waiting().filter(|(_, grant)| !self.covers(grant))
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

    fn delayed(&self, target: Target, failing: &Failing, next_try_at: Timestamp) -> Vec<Event> {
        let requests: Vec<Uuid> = match target {
            Target::Provider => self.uncovered().map(|(id, _)| id).collect(),
            Target::Gateway => self.covered().map(|(id, _)| id).collect(),
        };
        let delayed = |request_id| self.one_delayed(request_id, target, failing, next_try_at, None);
        if requests.is_empty() {
            return vec![delayed(None)];
        }
        requests.into_iter().map(|id| delayed(Some(id))).collect()
    }

    fn one_delayed(
        &self,
        request_id: Option<Uuid>,
        target: Target,
        failing: &Failing,
        next_try_at: Timestamp,
        stuck_since: Option<Timestamp>,
    ) -> Event {
        Event::Delayed(Delayed {
            request_id,
            target,
            code: failing.code.clone(),
            reason: failing.reason.clone(),
            next_try_at,
            attempts: self.delay(target).map_or(0, |delay| delay.attempts) + 1,
            attempt_over: failing.attempt_over,
            stuck_since,
        })
    }

    /// One of several requests may spoil it for the others; then each is tried on its own.
    fn refused_by_provider(&self, failing: &Failing, times: Times) -> Vec<Event> {
        let several = self.uncovered().count() > 1 && !self.one_at_a_time && failing.attempt_over;
        if several {
            return vec![refused(failing, true, times.1)];
        }
        self.refused_together(failing, times)
    }

    fn refused_together(&self, failing: &Failing, times: Times) -> Vec<Event> {
        let waiting: Vec<Uuid> = self.uncovered().map(|(id, _)| id).collect();
        if waiting.is_empty() && self.withdrawn().any(|(_, grant)| !self.is_released(grant)) {
            return self.stuck(Target::Provider, failing, times);
        }
        let failed = waiting
            .into_iter()
            .map(|id| self.failed(id, Target::Provider, failing));
        std::iter::once(refused(failing, false, times.1))
            .chain(failed)
            .collect()
    }

    fn refused_by_gateway(
        &self,
        gateway_ids: &[String],
        revision: u64,
        failing: &Failing,
        times: Times,
    ) -> Vec<Event> {
        let failed = self
            .covered()
            .map(|(id, _)| self.failed(id, Target::Gateway, failing));
        if self.withdrawn().next().is_some() {
            let stuck = self.stuck(Target::Gateway, failing, times);
            return failed.chain(stuck).collect();
        }
        let refused = Event::MappingRefused {
            gateway_ids: gateway_ids.to_vec(),
            revision,
            code: failing.code.clone(),
            reason: failing.reason.clone(),
        };
        std::iter::once(refused).chain(failed).collect()
    }

    /// What is to be taken away is tried for ever, and said once.
    fn stuck(&self, target: Target, failing: &Failing, (again_at, at): Times) -> Vec<Event> {
        let since = self.delay(target).and_then(|delay| delay.stuck_since);
        let since = Some(since.unwrap_or(at));
        let failed = self
            .withdrawn()
            .filter(|(_, grant)| !grant.stuck)
            .map(|(id, _)| self.failed(id, target, failing));
        failed
            .chain([self.one_delayed(None, target, failing, again_at, since)])
            .collect()
    }

    fn failed(&self, request_id: Uuid, target: Target, failing: &Failing) -> Event {
        Event::Failed(Failed {
            request_id,
            application_id: self.application_id,
            application_name: self.application.name.clone(),
            identity_provider_id: self.identity_provider_id,
            target,
            code: failing.code.clone(),
            reason: failing.reason.clone(),
        })
    }
}

fn refused(failing: &Failing, one_at_a_time: bool, at: Timestamp) -> Event {
    Event::Refused(Refused {
        code: failing.code.clone(),
        reason: failing.reason.clone(),
        attempt_over: failing.attempt_over,
        one_at_a_time,
        at,
    })
}

fn only_if(condition: bool, event: Event) -> Vec<Event> {
    if condition { vec![event] } else { Vec::new() }
}
