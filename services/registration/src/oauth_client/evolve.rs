//! What an event makes of an OAuth client.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Event;
use super::event::{Answered, Granted, Target, gateways};
use super::state::{
    Delay, Grant, Link, Live, OauthClient, Operation, OperationKind, Refusal, Stage, Words,
};

impl OauthClient {
    fn delay_mut(&mut self, target: Target) -> &mut Option<Delay> {
        match target {
            Target::Provider => &mut self.provider_delay,
            Target::Gateway => &mut self.gateway_delay,
        }
    }

    /// Takes one event in.
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Granted(granted) => self.granted(granted),
            Event::GrantWithdrawn {
                request_id,
                application_id,
                identity_provider_id,
            } => {
                self.application_id = *application_id;
                self.identity_provider_id = *identity_provider_id;
                self.withdraw(*request_id);
            }
            Event::Retried { request_id } => self.retried(*request_id),
            Event::ApplicationChanged(application) => {
                let before = self.application.suspended;
                self.application = application.clone();
                self.refused = None;
                if before != self.application.suspended {
                    let all: Vec<Uuid> = self.grants.keys().copied().collect();
                    self.suspension_changed(all);
                }
            }
            Event::CatalogueChanged(change) => self.follow_catalogue(change),
            Event::Started { request_id, .. } => self.grant(*request_id, |g| g.started = true),
            Event::Provisioned(p) => {
                self.grant(p.request_id, |grant| grant.stage = Stage::Active);
                self.settle_queue();
            }
            Event::Deprovisioned { request_id, .. } => {
                self.grants.remove(request_id);
                self.ended.insert(*request_id);
                self.settle_queue();
            }
            Event::Failed(failed) => {
                let words = words(&failed.code, &failed.reason);
                let target = failed.target;
                self.grant(failed.request_id, |grant| match grant.stage {
                    Stage::Withdrawn => grant.stuck = true,
                    _ => grant.stage = Stage::Failed { target, words },
                });
                self.settle_queue();
            }
            Event::CredentialsRevealed => {}
            _ => self.apply_at_provider(event),
        }
    }

    fn apply_at_provider(&mut self, event: &Event) {
        match event {
            Event::RegistrationIntended(intended) => {
                self.attempt = intended.attempt;
                self.link = Link::Intended(Box::new(intended.clone()));
            }
            Event::Registered { answer, .. } => self.registered(answer),
            Event::OrphanSuspected { marker, .. } => {
                self.list_suspected(marker);
                self.link = Link::None;
                self.orphans += 1;
            }
            Event::UpdateIntended {
                attempt,
                wanted,
                client,
            } => {
                if let Link::Live(live) = &mut self.link {
                    live.perhaps.extend(wanted.scopes.iter().cloned());
                }
                let (wanted, client) = (wanted.clone(), Box::new(client.clone()));
                self.began(*attempt, OperationKind::Update { wanted, client });
            }
            Event::Updated { answer, .. } => self.updated(answer),
            Event::TokenReplaced { rat_ref } => {
                if let Link::Live(live) = &mut self.link {
                    live.answer.rat_ref = Some(*rat_ref);
                }
            }
            Event::DeleteIntended { attempt } => self.began(*attempt, OperationKind::Delete),
            Event::Deleted { .. } if self.replacing => self.gone(),
            Event::Deleted { .. } => {
                self.link = Link::None;
                self.succeeded();
            }
            Event::FoundMissing { .. } => {
                // They get new credentials, and are told when those work.
                self.gone();
            }
            Event::FoundChanged { .. } => {
                if let Link::Live(live) = &mut self.link {
                    live.drifted = true;
                }
                self.refused = None;
            }
            Event::RotationIntended {
                attempt,
                secret_ref,
            } => {
                let secret_ref = *secret_ref;
                self.began(*attempt, OperationKind::Rotate { secret_ref });
            }
            Event::SecretRotated {
                answer, old_secret, ..
            } => {
                if let Link::Live(live) = &mut self.link {
                    live.answer = answer.clone();
                    live.old_secret.clone_from(old_secret);
                    live.operation = None;
                }
                self.rotation_refused = None;
                self.provider_delay = None;
            }
            Event::RotationRefused {
                attempt,
                code,
                reason,
            } => {
                self.attempt_over();
                self.provider_delay = None;
                self.rotation_refused = Some((*attempt, words(code, reason)));
            }
            _ => self.apply_failure(event),
        }
    }

    fn apply_failure(&mut self, event: &Event) {
        match event {
            Event::Delayed(delayed) => {
                *self.delay_mut(delayed.target) = Some(Delay {
                    words: words(&delayed.code, &delayed.reason),
                    next_try_at: delayed.next_try_at,
                    attempts: delayed.attempts,
                    stuck_since: delayed.stuck_since,
                });
                if delayed.attempt_over {
                    self.attempt_over();
                }
            }
            Event::Refused(refused) => {
                self.provider_delay = None;
                if refused.attempt_over {
                    self.attempt_over();
                }
                if refused.one_at_a_time {
                    self.one_at_a_time = true;
                } else {
                    self.refused = Some(Refusal {
                        wanted: self.wanted(),
                        words: words(&refused.code, &refused.reason),
                        at: refused.at,
                    });
                }
            }
            Event::Held {
                code,
                reason,
                attempt_over,
                ..
            } => {
                self.held = Some(words(code, reason));
                if *attempt_over {
                    self.attempt_over();
                }
            }
            Event::Resumed => {
                self.held = None;
                self.refused = None;
                self.provider_delay = None;
            }
            Event::GatewayMapped { revision, .. } | Event::MappingRefused { revision, .. } => {
                // What was asked for since then has yet to be written.
                self.unmapped.retain(|_, asked| *asked > *revision);
                self.gateway_delay = None;
                let unmapped = &self.unmapped;
                for grant in self.grants.values_mut() {
                    let behind = gateways(&grant.items)
                        .iter()
                        .any(|gateway| unmapped.contains_key(gateway));
                    grant.outdated &= behind;
                }
            }
            _ => self.apply_lifecycle(event),
        }
    }

    fn granted(&mut self, granted: &Granted) {
        self.application_id = granted.application_id;
        self.identity_provider_id = granted.identity_provider_id;
        let before = self.application.suspended;
        if self.application.name.is_empty() || granted.application.as_of > self.application.as_of {
            self.application = granted.application.clone();
        }
        self.revision += 1;
        self.refused = None;
        let grant = Grant {
            order: self.revision,
            client_type_id: granted.client_type_id,
            requester_id: granted.requester_id.clone(),
            items: granted.items.clone(),
            stage: Stage::Waiting,
            started: false,
            stuck: false,
            outdated: false,
        };
        self.ask_gateways(&grant);
        self.grants.insert(granted.request_id, grant);
        if before != self.application.suspended {
            let all: Vec<Uuid> = self.grants.keys().copied().collect();
            self.suspension_changed(all);
        }
    }

    fn withdraw(&mut self, request_id: Uuid) {
        let Some(grant) = self.grants.get_mut(&request_id) else {
            self.ended.insert(request_id);
            return;
        };
        grant.stage = Stage::Withdrawn;
        let grant = grant.clone();
        self.revision += 1;
        self.refused = None;
        self.ask_gateways(&grant);
        self.settle_queue();
    }

    fn retried(&mut self, request_id: Uuid) {
        let mut again = None;
        if let Some(grant) = self.grants.get_mut(&request_id) {
            if matches!(grant.stage, Stage::Failed { .. }) {
                grant.stage = Stage::Waiting;
            }
            again = Some(grant.clone());
        }
        self.revision += 1;
        if let Some(grant) = again {
            self.ask_gateways(&grant);
        }
        self.refused = None;
        self.provider_delay = None;
        self.gateway_delay = None;
        self.orphans = 0;
    }

    pub(super) fn ask_gateways(&mut self, grant: &Grant) {
        let revision = self.revision;
        self.unmapped
            .extend(gateways(&grant.items).into_iter().map(|id| (id, revision)));
    }

    fn registered(&mut self, answer: &Answered) {
        if let Link::Intended(intended) = &self.link {
            self.link = Link::Live(Box::new(Live {
                answer: answer.clone(),
                client_type_id: intended.client_type_id,
                applied: intended.wanted.clone(),
                operation: None,
                perhaps: BTreeSet::new(),
                drifted: false,
                marker: intended.client.marker.to_string(),
                old_secret: None,
                notice: None,
            }));
        }
        self.was_live = true;
        self.succeeded();
    }

    fn updated(&mut self, answer: &Answered) {
        if let Link::Live(live) = &mut self.link {
            live.answer = answer.clone();
            live.drifted = false;
            live.perhaps.clear();
            if let Some(Operation {
                kind: OperationKind::Update { wanted, .. },
                ..
            }) = live.operation.take()
            {
                live.applied = wanted;
            }
        }
        self.succeeded();
    }

    fn began(&mut self, attempt: u32, kind: OperationKind) {
        self.attempt = attempt;
        if let Link::Live(live) = &mut self.link {
            live.operation = Some(Operation { attempt, kind });
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.provider_delay = None;
        self.refused = None;
        self.held = None;
        self.orphans = 0;
    }

    fn attempt_over(&mut self) {
        match &mut self.link {
            Link::Intended(_) => self.link = Link::None,
            Link::Live(live) => live.operation = None,
            Link::None => {}
        }
    }

    fn grant(&mut self, request_id: Uuid, change: impl FnOnce(&mut Grant)) {
        if let Some(grant) = self.grants.get_mut(&request_id) {
            change(grant);
        }
    }

    /// When nobody waits any more, the next ones are tried together again.
    fn settle_queue(&mut self) {
        if !self
            .grants
            .values()
            .any(|grant| grant.stage == Stage::Waiting)
        {
            self.one_at_a_time = false;
        }
    }
}

fn words(code: &str, reason: &str) -> Words {
    Words {
        code: code.to_owned(),
        reason: reason.to_owned(),
    }
}
