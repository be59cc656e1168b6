//! The decider by itself.

mod catalogue;
mod decisions;
mod lifecycle;
mod orphans;
mod sequences;
mod steps;

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_vault::VaultRef;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::granted::{Api, Application, CatalogueChange, Item, PlanChange, ProductChange, Rate};
use crate::providers::Metadata;

const APPLICATION: Uuid = Uuid::from_u128(0xa);
const PROVIDER: Uuid = Uuid::from_u128(0xb);
const MACHINE: Uuid = Uuid::from_u128(0xc);

fn request(number: u128) -> Uuid {
    Uuid::from_u128(0x1000 + number)
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn later() -> Timestamp {
    "2026-01-01T00:01:00Z".parse().unwrap()
}

fn much_later() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// A product `number` under the free plan, behind the gateway `g`.
fn grant(number: u128) -> Granted {
    Granted {
        request_id: request(number),
        application_id: APPLICATION,
        identity_provider_id: PROVIDER,
        client_type_id: MACHINE,
        requester_id: "developer".into(),
        application: application("Weather app", 1),
        items: vec![Item {
            product_id: format!("p{number}"),
            product_name: format!("P{number}"),
            product_scopes: set(&[&format!("p{number}")]),
            product_policy_id: String::new(),
            apis: vec![Api {
                api_id: format!("api{number}"),
                name: String::new(),
                url: String::new(),
                gateway_id: "g".into(),
            }],
            plan_id: "free".into(),
            plan_name: "Free".into(),
            plan_scopes: set(&["free"]),
            plan_policy_id: String::new(),
            rate: None,
            quota: None,
            product_version: 0,
            plan_version: 0,
        }],
    }
}

fn application(name: &str, as_of: i64) -> Application {
    Application {
        name: name.into(),
        redirect_urls: vec![],
        as_of,
        suspended: false,
    }
}

/// What the catalogue says of a product in a version: its scope is another one, all else as in [`grant`].
fn product(number: u128, version: u64) -> CatalogueChange {
    let item = grant(number).items.remove(0);
    CatalogueChange::Product(ProductChange {
        product_id: item.product_id,
        version,
        name: item.product_name,
        scopes: set(&[&format!("p{number}v{version}")]),
        policy_id: item.product_policy_id,
        apis: item.apis,
    })
}

fn granted(number: u128) -> Event {
    Event::Granted(grant(number))
}

fn withdraw(number: u128) -> Command {
    Command::Withdraw {
        request_id: request(number),
        application_id: APPLICATION,
        identity_provider_id: PROVIDER,
    }
}

fn withdrawn(number: u128) -> Event {
    Event::GrantWithdrawn {
        request_id: request(number),
        application_id: APPLICATION,
        identity_provider_id: PROVIDER,
    }
}

fn kind() -> Kind {
    Kind {
        grant_types: set(&["client_credentials"]),
        response_types: set(&[]),
        token_endpoint_auth_method: "client_secret_basic".into(),
        okta_application_type: String::new(),
    }
}

fn wanted(scopes: &[&str]) -> Wanted {
    Wanted {
        name: "Weather app".into(),
        redirect_urls: vec![],
        client_type_ids: BTreeSet::from([MACHINE]),
        scopes: set(scopes),
        suspended: false,
    }
}

fn intend(wanted: Wanted) -> Command {
    Command::IntendRegistration {
        wanted,
        kind: kind(),
        client_type_id: MACHINE,
        client_id: "chosen".into(),
        secret_ref: VaultRef(Uuid::from_u128(1)),
        without_scopes: false,
    }
}

fn answer(client_id: &str, scopes: &BTreeSet<String>) -> Answered {
    let scope: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let members = json!({"client_id": client_id, "scope": scope.join(" ")});
    Answered {
        client_id: client_id.into(),
        secret_ref: Some(VaultRef(Uuid::from_u128(1))),
        rat_ref: Some(VaultRef(Uuid::from_u128(2))),
        registration_client_uri: None,
        secret_expires_at: 0,
        granted: Metadata::from_answer(members.as_object().unwrap().clone()),
        differences: vec![],
        warnings: vec![],
    }
}

fn failing(code: &str, attempt_over: bool) -> Failing {
    Failing {
        code: code.into(),
        reason: "because".into(),
        attempt_over,
    }
}

/// A client, changed by commands as the worker gives them.
#[derive(Default, Clone)]
struct Story {
    client: OauthClient,
    events: Vec<Event>,
}

impl Story {
    fn new(events: impl IntoIterator<Item = Event>) -> Self {
        let mut story = Self::default();
        for event in events {
            story.client.evolve(&event);
            story.events.push(event);
        }
        story
    }

    fn tell(&mut self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let events = self.client.decide(command)?;
        for event in &events {
            self.client.evolve(event);
            self.events.push(event.clone());
        }
        Ok(events)
    }

    fn then(mut self, command: &Command) -> Self {
        self.tell(command).unwrap();
        self
    }

    fn step(&self) -> Step {
        self.client.next_step(now())
    }

    /// The provider registers what is wanted.
    fn registered(self) -> Self {
        let wanted = self.client.wanted().unwrap();
        let story = self.then(&intend(wanted.clone()));
        let attempt = story.client.attempt;
        let answer = answer("c1", &wanted.scopes);
        story.then(&Command::CompleteRegistration { attempt, answer })
    }

    /// The provider updates to what is wanted.
    fn updated(self) -> Self {
        let wanted = self.client.wanted().unwrap();
        let story = self.then(&Command::IntendUpdate {
            wanted: wanted.clone(),
            kind: kind(),
        });
        let attempt = story.client.attempt;
        let answer = answer("c1", &wanted.scopes);
        story.then(&Command::CompleteUpdate { attempt, answer })
    }

    fn mapped(self) -> Self {
        let revision = self.client.revision;
        self.then(&Command::CompleteMapping {
            gateway_ids: vec!["g".into()],
            revision,
            skipped: false,
        })
    }

    fn announced(self) -> Self {
        self.then(&Command::Announce)
    }

    /// With these requests active.
    fn active(numbers: &[u128]) -> Self {
        Self::new(numbers.iter().map(|n| granted(*n)))
            .registered()
            .mapped()
            .announced()
    }

    fn stage(&self, number: u128) -> Option<&Stage> {
        self.client
            .grants
            .get(&request(number))
            .map(|grant| &grant.stage)
    }
}
