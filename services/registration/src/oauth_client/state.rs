//! The state of an OAuth client, folded from its events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{Answered, Application, Granted, Item, Target, Unmapped, Wanted, gateways};
use super::{Event, RegistrationIntended};
use crate::providers::WantedClient;

/// One application's OAuth client at one identity provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OauthClient {
    /// Nil as long as nothing happened.
    pub application_id: Uuid,
    /// Nil as long as nothing happened.
    pub identity_provider_id: Uuid,
    /// The newest that is known.
    pub application: Application,
    /// Requests that are not over.
    pub grants: BTreeMap<Uuid, Grant>,
    /// Requests that are over; a late approval of one has no effect.
    pub ended: BTreeSet<Uuid>,
    /// Grows with everything that changes what is wanted at gateways.
    pub revision: u64,
    /// Of any kind.
    pub attempt: u32,
    /// What is at the provider.
    pub link: Link,
    /// Gateways that have yet to be written, with the revision that asked for it.
    pub unmapped: Unmapped,
    /// The provider's pause before the next try.
    pub provider_delay: Option<Delay>,
    /// The gateways' pause before the next try.
    pub gateway_delay: Option<Delay>,
    /// What the provider refused last, for good.
    pub refused: Option<Refusal>,
    /// The provider takes no registrations.
    pub held: Option<Words>,
    /// One of several waiting requests spoils it for the others: each on its own.
    pub one_at_a_time: bool,
    /// Suspected in a row.
    pub orphans: u32,
    /// It was registered at least once.
    pub was_live: bool,
    /// How the last rotation ended, where it was refused.
    pub rotation_refused: Option<(u32, Words)>,
}

/// A code and the words that go with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// A stable word.
    pub code: String,
    /// For people; the provider's own where it had some.
    pub reason: String,
}

/// An approved request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The order in which they came.
    pub order: u64,
    /// What kind of client the developer chose.
    pub client_type_id: Uuid,
    /// Who asked.
    pub requester_id: String,
    /// What was asked for.
    pub items: Vec<Item>,
    /// Where it stands.
    pub stage: Stage,
    /// An attempt was made for it.
    pub started: bool,
    /// It was said that it cannot be taken away.
    pub stuck: bool,
}

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// To be provisioned.
    Waiting,
    /// Provisioned.
    Active,
    /// Parked until it is retried. What a gateway refused stays wanted at the provider.
    Failed {
        /// Who refused.
        target: Target,
        /// Why.
        words: Words,
    },
    /// To be taken away.
    Withdrawn,
}

/// What is at the provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Nothing of ours, save for suspected orphans.
    #[default]
    None,
    /// Perhaps a client: the attempt has no outcome yet.
    Intended(Box<RegistrationIntended>),
    /// A client.
    Live(Box<Live>),
}

/// A registered client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The latest that is known.
    pub answer: Answered,
    /// Decides how the client authenticates.
    pub client_type_id: Uuid,
    /// What the provider made it.
    pub applied: Wanted,
    /// What has no outcome yet.
    pub operation: Option<Operation>,
}

/// What may have been done at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Which attempt.
    pub attempt: u32,
    /// What.
    pub kind: OperationKind,
}

/// See [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// RFC 7592 section 2.2.
    Update {
        /// What the client will be after it.
        wanted: Wanted,
        /// What is sent.
        client: WantedClient,
    },
    /// A new secret.
    Rotate {
        /// The chosen one.
        secret_ref: VaultRef,
    },
    /// RFC 7592 section 2.3.
    Delete,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// Why.
    pub words: Words,
    /// How long.
    pub next_try_at: Timestamp,
    /// Failed tries in a row.
    pub attempts: u32,
    /// See [`super::Delayed`].
    pub stuck_since: Option<Timestamp>,
}

/// What was refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// While just this is wanted, nothing is tried.
    pub wanted: Option<Wanted>,
    /// Why.
    pub words: Words,
    /// Since when.
    pub at: Timestamp,
}

impl Grant {
    /// All scopes of its products and plans.
    #[must_use]
    pub fn scopes(&self) -> BTreeSet<String> {
        let of = |item: &Item| {
            item.product_scopes
                .union(&item.plan_scopes)
                .cloned()
                .collect()
        };
        self.items
            .iter()
            .flat_map(|item| -> Vec<String> { of(item) })
            .collect()
    }

    /// Whether gateways are to let it through.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        match &self.stage {
            Stage::Waiting | Stage::Active => true,
            Stage::Failed { target, .. } => *target == Target::Gateway,
            Stage::Withdrawn => false,
        }
    }

    /// Names of its products, for people.
    #[must_use]
    pub fn product_names(&self) -> Vec<String> {
        self.items
            .iter()
            .map(|item| item.product_name.clone())
            .collect()
    }
}

impl OauthClient {
    /// The client of an application at a provider.
    #[must_use]
    pub fn id(application_id: Uuid, identity_provider_id: Uuid) -> Uuid {
        Uuid::new_v5(&application_id, identity_provider_id.as_bytes())
    }

    /// The registered client.
    #[must_use]
    pub fn live(&self) -> Option<&Live> {
        match &self.link {
            Link::Live(live) => Some(live),
            Link::None | Link::Intended(_) => None,
        }
    }

    /// The attempt to register that has no outcome yet.
    #[must_use]
    pub fn intended(&self) -> Option<&RegistrationIntended> {
        match &self.link {
            Link::Intended(intended) => Some(intended),
            Link::None | Link::Live(_) => None,
        }
    }

    pub(super) fn delay(&self, target: Target) -> Option<&Delay> {
        match target {
            Target::Provider => self.provider_delay.as_ref(),
            Target::Gateway => self.gateway_delay.as_ref(),
        }
    }

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
                self.application = application.clone();
                self.refused = None;
            }
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
            Event::OrphanSuspected { .. } => {
                self.link = Link::None;
                self.orphans += 1;
            }
            Event::UpdateIntended {
                attempt,
                wanted,
                client,
            } => {
                let (wanted, client) = (wanted.clone(), client.clone());
                self.began(*attempt, OperationKind::Update { wanted, client });
            }
            Event::Updated { answer, .. } => self.updated(answer),
            Event::TokenReplaced { rat_ref } => {
                if let Link::Live(live) = &mut self.link {
                    live.answer.rat_ref = Some(*rat_ref);
                }
            }
            Event::DeleteIntended { attempt } => self.began(*attempt, OperationKind::Delete),
            Event::Deleted { .. } => {
                self.link = Link::None;
                self.succeeded();
            }
            Event::RotationIntended {
                attempt,
                secret_ref,
            } => {
                let secret_ref = *secret_ref;
                self.began(*attempt, OperationKind::Rotate { secret_ref });
            }
            Event::SecretRotated { answer, .. } => {
                if let Link::Live(live) = &mut self.link {
                    live.answer = answer.clone();
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
            }
            // All others are taken in by the callers.
            _ => {}
        }
    }

    fn granted(&mut self, granted: &Granted) {
        self.application_id = granted.application_id;
        self.identity_provider_id = granted.identity_provider_id;
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
        };
        self.ask_gateways(&grant);
        self.grants.insert(granted.request_id, grant);
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

    fn ask_gateways(&mut self, grant: &Grant) {
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
            }));
        }
        self.was_live = true;
        self.succeeded();
    }

    fn updated(&mut self, answer: &Answered) {
        if let Link::Live(live) = &mut self.link {
            live.answer = answer.clone();
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

    fn succeeded(&mut self) {
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
