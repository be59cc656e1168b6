//! The decider by itself.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "tests look for one event among all"
)]

mod decisions;
mod held;
mod lifecycle;
mod orphans;
mod refusals;
mod reports;
mod sequences;
mod steps;
mod unknown;

use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_vault::VaultRef;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::application::Application;
use crate::client_metadata::Metadata;

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

/// A product `number` under the free plan, in this revision.
fn requested(number: u128, revision: u64, access: Access) -> Requested {
    Requested {
        request_id: request(number),
        revision,
        access,
        application_id: APPLICATION,
        identity_provider_id: PROVIDER,
        client_type_id: MACHINE,
        requester_id: "developer".into(),
        application: application("Weather app", 1),
        scopes: set(&[&format!("p{number}"), "free"]),
        retried: false,
    }
}

/// The version of a profile, by the name in it.
fn profile_of(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

fn application(name: &str, as_of: i64) -> Application {
    Application {
        profile: profile_of(name),
        as_of,
        suspended: false,
        erased: false,
    }
}

fn want(requested: Requested) -> Command {
    Command::Grant(GrantCommand::Want(requested))
}

fn granted(number: u128) -> Command {
    want(requested(number, 1, Access::Granted))
}

fn suspended(number: u128, revision: u64) -> Command {
    want(requested(number, revision, Access::Suspended))
}

fn revoked(number: u128, revision: u64) -> Command {
    want(requested(number, revision, Access::Revoked))
}

fn retried(number: u128, revision: u64) -> Command {
    want(Requested {
        retried: true,
        ..requested(number, revision, Access::Granted)
    })
}

/// Other scopes of a product.
fn rescoped(number: u128, revision: u64, scopes: &[&str]) -> Command {
    want(Requested {
        scopes: set(scopes),
        ..requested(number, revision, Access::Granted)
    })
}

fn report(number: u128, revision: u64, outcome: Outcome) -> Event {
    let request_id = request(number);
    GrantEvent::Reported(Reported {
        request_id,
        revision,
        outcome,
    })
    .into()
}

const DONE: Outcome = Outcome::Done {
    client_deleted: false,
};
const DELETED: Outcome = Outcome::Done {
    client_deleted: true,
};

fn profile() -> ClientProfile {
    ClientProfile {
        grant_types: set(&["client_credentials"]),
        response_types: set(&[]),
        token_endpoint_auth_method: "client_secret_basic".into(),
        okta_application_type: String::new(),
    }
}

fn wanted(scopes: &[&str]) -> Wanted {
    Wanted {
        profile: profile_of("Weather app"),
        client_type_ids: BTreeSet::from([MACHINE]),
        scopes: set(scopes),
        suspended: false,
    }
}

fn intent(wanted: Wanted) -> Intent {
    Intent {
        wanted,
        profile: profile(),
        client_type_id: MACHINE,
        client_id: "chosen".into(),
        secret_ref: VaultRef(Uuid::from_u128(1)),
        without_scopes: false,
    }
}

fn intend(wanted: Wanted) -> Command {
    Command::Registration(RegistrationCommand::Intend(intent(wanted)))
}

fn register(attempt: u32, answer: Answered) -> Command {
    Command::Registration(RegistrationCommand::Complete(Succeeded { attempt, answer }))
}

fn suspect(attempt: u32, cap: u32) -> Command {
    Command::Registration(RegistrationCommand::Suspect {
        attempt,
        detail: String::new(),
        then: AfterSuspicion::TryAgain(cap),
        again_at: much_later(),
        at: now(),
    })
}

fn intend_update(wanted: Wanted) -> Command {
    Command::Update(UpdateCommand::Intend {
        wanted,
        profile: profile(),
    })
}

fn update(attempt: u32, answer: Answered) -> Command {
    Command::Update(UpdateCommand::Complete(Succeeded { attempt, answer }))
}

fn intend_delete() -> Command {
    Command::Deletion(DeletionCommand::Intend)
}

fn deleted(client_id: &str) -> Command {
    let client_id = client_id.to_owned();
    Command::Deletion(DeletionCommand::Complete { client_id })
}

fn follow(application: Application) -> Command {
    Command::Follow(FollowCommand::Application(application))
}

fn rotate(secret: u128) -> Command {
    let secret_ref = VaultRef(Uuid::from_u128(secret));
    Command::Rotation(RotationCommand::Intend { secret_ref })
}

fn delay(code: &str, attempt_over: bool) -> Command {
    Command::Failure(FailureCommand::Delay {
        failed: failed(code, attempt_over),
        next_try_at: later(),
        counted: true,
    })
}

fn refuse(attempt_over: bool) -> Command {
    Command::Failure(FailureCommand::Refuse {
        failed: failed("no", attempt_over),
        again_at: much_later(),
        at: now(),
        tried: None,
    })
}

fn pause(attempt_over: bool) -> Command {
    Command::Failure(FailureCommand::Pause(failed("paused", attempt_over)))
}

const RESUME: Command = Command::Follow(FollowCommand::Provider);

fn answer(client_id: &str, scopes: &BTreeSet<String>) -> Answered {
    let scope: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let members = json!({"client_id": client_id, "scope": scope.join(" ")});
    Answered {
        client_id: client_id.into(),
        secret_ref: Some(VaultRef(Uuid::from_u128(1))),
        rat_ref: Some(VaultRef(Uuid::from_u128(2))),
        granted: Metadata::from_answer(members.as_object().unwrap().clone()),
        ..Answered::default()
    }
}

fn problem(code: &str) -> Problem {
    Problem {
        code: code.into(),
        reason: "because".into(),
    }
}

fn failed(code: &str, attempt_over: bool) -> FailedAttempt {
    FailedAttempt {
        problem: problem(code),
        attempt_over,
    }
}

/// A client, changed by commands as the policies and the worker give them.
#[derive(Default, Clone)]
struct Story {
    client: OauthClient,
    events: Vec<Event>,
}

impl Story {
    fn new(commands: impl IntoIterator<Item = Command>) -> Self {
        let mut story = Self::default();
        for command in commands {
            story.tell(&command).unwrap();
        }
        story
    }

    fn tell(&mut self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let events = self.client.decide(command)?;
        for event in &events {
            self.take_in(event.clone());
        }
        Ok(events)
    }

    fn take_in(&mut self, event: Event) {
        self.client.evolve(&event);
        self.events.push(event);
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
        story.then(&register(attempt, answer))
    }

    /// The provider updates to what is wanted.
    fn updated(self) -> Self {
        let wanted = self.client.wanted().unwrap();
        let story = self.then(&intend_update(wanted.clone()));
        let attempt = story.client.attempt;
        let answer = answer("c1", &wanted.scopes);
        story.then(&update(attempt, answer))
    }

    /// The provider deletes it.
    fn deleted(self) -> Self {
        self.then(&intend_delete()).then(&deleted("c1"))
    }

    /// With these requests granted and done.
    fn active(numbers: &[u128]) -> Self {
        let mut story = Self::new(numbers.iter().map(|n| granted(*n))).registered();
        if let Some(first) = numbers.first() {
            let request_id = request(*first);
            story = story.then(&Command::Access(AccessCommand::Activate { request_id }));
        }
        story
    }

    fn standing(&self, number: u128) -> Option<&Standing> {
        let grant = self.client.grants.get(&request(number));
        grant.map(|grant| &grant.standing)
    }

    fn has_failed(&self, number: u128) -> bool {
        matches!(self.standing(number), Some(Standing::Failed(_)))
    }

    /// What was reported of a request, in order.
    fn reports(&self, number: u128) -> Vec<(u64, Outcome)> {
        let of_request = self.events.iter().filter_map(|event| match event {
            Event::Grant(GrantEvent::Reported(reported))
                if reported.request_id == request(number) =>
            {
                Some((reported.revision, reported.outcome.clone()))
            }
            _ => None,
        });
        of_request.collect()
    }
}
