//! One application's OAuth client at one identity provider: the heart of the service.
//!
//! Grants say what is wanted, the provider's answers what is there; [`OauthClient::next_step`] is the difference,
//! and the worker does it. Every attempt is intended first, by an event, so that a process that dies leaves
//! nothing behind that is not looked for.
//!
//! - `state`, `status`: what is known of the client, and how it looks from outside; `step`: what is to be done next
//! - `grant`: what each access request wants, and what is reported of it; in it `held`: scopes that a client may hold,
//!   `access`: whether the credentials may be shown, and that they were
//! - `follow`: the application, the client type and the provider change
//! - `registration`, `update`, `rotation`, `deletion`: what is done at the provider; `failure`: attempts that failed
//! - `drift`: what somebody else did at the provider; `orphan`: clients at the provider that nobody uses
//! - `rejection`: why a command is refused

#![deny(clippy::wildcard_enum_match_arm)]

mod deletion;
mod drift;
mod failure;
mod follow;
mod grant;
mod orphan;
mod registration;
mod rejection;
mod rotation;
mod state;
mod status;
mod step;
#[cfg(test)]
mod tests;
mod update;

use portico_eventstore::Aggregate;

pub use deletion::{Command as DeletionCommand, Event as DeletionEvent, UndeletableClient};
pub use drift::{Command as DriftCommand, Event as DriftEvent};
pub use failure::{Command as FailureCommand, Event as FailureEvent, FailedAttempt};
pub use follow::{Command as FollowCommand, Event as FollowEvent};
pub use grant::access::{Command as AccessCommand, Event as AccessEvent};
pub use grant::held::HeldScopes;
pub use grant::{Access, Command as GrantCommand, Event as GrantEvent, Grant, Outcome, Reported};
pub use grant::{Requested, Standing};
pub use orphan::{
    AdoptedClient, Command as OrphanCommand, Event as OrphanEvent, FoundClient, ORPHAN_OWNER,
    Orphan, OrphanReason, Resolution, Resolved, UnknownClient,
};
pub use registration::{AfterSuspicion, Intent, RegistrationIntended};
pub use registration::{Command as RegistrationCommand, Event as RegistrationEvent};
pub use rejection::Rejection;
pub use rotation::old_secret::{Command as OldSecretCommand, Event as OldSecretEvent, OldSecret};
pub use rotation::{
    Command as RotationCommand, Event as RotationEvent, NOTICES, Notice, Rotated, RotationRefused,
};
pub use state::{
    Answered, ClientProfile, Delay, Link, Live, OauthClient, Operation, OperationKind, Problem,
    Refusal, Succeeded, Wanted,
};
pub use step::Step;
pub use update::{Command as UpdateCommand, Event as UpdateEvent};

/// Kind of the vault owner whose id is the OAuth client's.
pub const OWNER: &str = "oauth_client";
/// Kind of the vault owner whose id is the application's: what providers repeat of its name and redirect URLs, erased with
/// the account of the application's owner.
pub const APPLICATION_OWNER: &str = "application";

/// What can be asked of an OAuth client, by subject.
#[derive(Debug, Clone)]
pub enum Command {
    /// An access request wants something.
    Grant(GrantCommand),
    /// The credentials are shown, or may be from now on.
    Access(AccessCommand),
    /// Something that the client follows has changed.
    Follow(FollowCommand),
    /// RFC 7591 section 3.
    Registration(RegistrationCommand),
    /// RFC 7592 section 2.2.
    Update(UpdateCommand),
    /// A new client secret.
    Rotation(RotationCommand),
    /// The secret before the last rotation.
    OldSecret(OldSecretCommand),
    /// RFC 7592 section 2.3.
    Deletion(DeletionCommand),
    /// Somebody else did something at the provider.
    Drift(DriftCommand),
    /// A client that nobody uses.
    Orphan(OrphanCommand),
    /// An attempt failed.
    Failure(FailureCommand),
}

portico_eventstore::nested_events! {
    /// What happened to an OAuth client, by subject. Private: the public events are made of these in `publish`.
    ///
    /// No event holds a secret: secrets and tokens are references into the vault, whose owner is the OAuth client.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Event {
        /// See [`GrantEvent`].
        Grant(GrantEvent),
        /// See [`AccessEvent`].
        Access(AccessEvent),
        /// See [`FollowEvent`].
        Follow(FollowEvent),
        /// See [`RegistrationEvent`].
        Registration(RegistrationEvent),
        /// See [`UpdateEvent`].
        Update(UpdateEvent),
        /// See [`RotationEvent`].
        Rotation(RotationEvent),
        /// See [`OldSecretEvent`].
        OldSecret(OldSecretEvent),
        /// See [`DeletionEvent`].
        Deletion(DeletionEvent),
        /// See [`DriftEvent`].
        Drift(DriftEvent),
        /// See [`OrphanEvent`].
        Orphan(OrphanEvent),
        /// See [`FailureEvent`].
        Failure(FailureEvent),
    }
}

/// The events of a command, or why it is refused.
type Decision = Result<Vec<Event>, Rejection>;

/// One event where the condition holds; otherwise the command has had its effect before.
fn only_if(condition: bool, event: impl Into<Event>) -> Vec<Event> {
    condition.then(|| event.into()).into_iter().collect()
}

impl Aggregate for OauthClient {
    const CATEGORY: &'static str = "oauth_client";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    /// Whatever a command leads to, what access-request and the gateway must hear of it is appended with it, so that
    /// no command can forget it.
    fn decide(&self, command: &Command) -> Decision {
        let mut events = match command {
            Command::Grant(command) => Ok(self.decide_grant(command)),
            Command::Access(command) => self.decide_access(command),
            Command::Follow(command) => Ok(self.decide_follow(command)),
            Command::Registration(command) => self.decide_registration(command),
            Command::Update(command) => self.decide_update(command),
            Command::Rotation(command) => self.decide_rotation(command),
            Command::OldSecret(command) => self.decide_old_secret(command),
            Command::Deletion(command) => self.decide_deletion(command),
            Command::Drift(command) => self.decide_drift(command),
            Command::Orphan(command) => self.decide_orphan(command),
            Command::Failure(command) => Ok(self.decide_failure(command)),
        }?;
        if events.is_empty() {
            return Ok(events);
        }
        let mut after = self.clone();
        events.iter().for_each(|event| after.evolve(event));
        let reports: Vec<Event> = after.due_reports();
        reports.iter().for_each(|event| after.evolve(event));
        events.extend(reports);
        events.extend(after.due_scopes());
        Ok(events)
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Grant(event) => self.apply_grant(event),
            Event::Access(event) => self.apply_access(event),
            Event::Follow(event) => self.apply_follow(event),
            Event::Registration(event) => self.apply_registration(event),
            Event::Update(event) => self.apply_update(event),
            Event::Rotation(event) => self.apply_rotation(event),
            Event::OldSecret(event) => self.apply_old_secret(event),
            Event::Deletion(event) => self.apply_deletion(event),
            Event::Drift(event) => self.apply_drift(event),
            Event::Orphan(event) => self.apply_orphan(event),
            Event::Failure(event) => self.apply_failure(event),
        }
    }
}
