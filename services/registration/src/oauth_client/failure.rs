//! What comes of a try that failed, and of what gateways say. Pure.

use jiff::Timestamp;
use uuid::Uuid;

use super::decide::Decision;
use super::event::{Delayed, Event, Failed, Refused, Target};
use super::state::{Grant, OauthClient};
use super::{Command, Failing, Rejection};

/// When to try again what is never given up, and now.
type Times = (Timestamp, Timestamp);

impl OauthClient {
    pub(super) fn decide_failure(&self, command: &Command) -> Decision {
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
                    false => self.mappable().map(|(id, _)| id).collect(),
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
            Command::Hold(failing) if self.held.is_none() || failing.attempt_over => {
                self.held_back(failing)
            }
            Command::Hold(_) => Vec::new(),
            _ => return self.decide_lifecycle(command),
        })
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

    /// Waiting requests that lack something at the provider.
    fn uncovered(&self) -> impl Iterator<Item = (Uuid, &Grant)> {
        self.waiting().filter(|(_, grant)| !self.covers(grant))
    }

    fn held_back(&self, failing: &Failing) -> Vec<Event> {
        let held = |request_id| Event::Held {
            request_id,
            code: failing.code.clone(),
            reason: failing.reason.clone(),
            attempt_over: failing.attempt_over,
        };
        let waiting: Vec<Event> = self.uncovered().map(|(id, _)| held(Some(id))).collect();
        if waiting.is_empty() {
            return vec![held(None)];
        }
        waiting
    }

    fn delayed(&self, target: Target, failing: &Failing, next_try_at: Timestamp) -> Vec<Event> {
        let requests: Vec<Uuid> = match target {
            Target::Provider => self.uncovered().map(|(id, _)| id).collect(),
            Target::Gateway => self.mappable().map(|(id, _)| id).collect(),
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
            .mappable()
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

    pub(super) fn failed(&self, request_id: Uuid, target: Target, failing: &Failing) -> Event {
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
