//! Which command is taken, and which refused. A command repeated gives no event.

use super::Failing;
use super::command::{AccessCommand, Command, MappingCommand, Rejection, TryCommand};
use super::event::{AccessEvent, Event, MappingEvent, TryEvent};
use super::report::Nothing;
use super::state::{Entitlement, Reason, WantedState};
use super::step::Step;

impl Entitlement {
    pub(super) fn decided(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Access(command) => {
                let event = self.decide_access(command).map(Event::Access);
                let nowhere = matches!(command, AccessCommand::WantWithoutGateway(_));
                let mapped = event.as_ref().filter(|_| nowhere);
                let mapped = mapped.and_then(|event| self.mapped_nowhere(event));
                Ok(event.into_iter().chain(mapped).collect())
            }
            Command::Scopes(command) => self.decide_scopes(command),
            Command::Mapping(command) => self.decide_mapping(command),
            Command::Key(command) => self.decide_key(command),
            Command::Try(command) => self.decide_try(command),
        }
    }

    fn decide_access(&self, command: &AccessCommand) -> Option<AccessEvent> {
        match command {
            AccessCommand::Want(wanted) | AccessCommand::WantWithoutGateway(wanted) => {
                let known = self.wanted.as_ref().map(|known| known.revision);
                if known.is_none_or(|known| wanted.revision > known) {
                    return Some(AccessEvent::Wanted(wanted.clone()));
                }
                let claims = self.claims_more(wanted) && known != Some(wanted.revision);
                claims.then(|| AccessEvent::Overtaken(wanted.clone()))
            }
            AccessCommand::ChangeApplication(changed) => (changed.as_of > self.application.as_of)
                .then(|| AccessEvent::ApplicationChanged(changed.clone())),
            AccessCommand::FollowCatalogue(change) => {
                let living = self.state() != Some(WantedState::Revoked);
                let mut items = self.items().iter();
                let concerned = living && items.any(|item| change.applied_to(item).is_some());
                concerned.then(|| AccessEvent::CatalogueChanged(change.clone()))
            }
            AccessCommand::Wake => self.delay.as_ref().map(|_| AccessEvent::Woken),
            AccessCommand::FindGateway => self.lacks_gateway().then_some(AccessEvent::GatewayFound),
        }
    }

    /// What the worker would answer to what is asked by the event, without its steps. Only to the first thing that is
    /// wanted: where a gateway may have been written before, one that is added just now is to be looked at.
    fn mapped_nowhere(&self, event: &Event) -> Option<Event> {
        let mut after = self.clone();
        after.take(event);
        let Step::Map { asked } = after.work() else {
            return None;
        };
        if self.wanted.is_some() || !after.is_wanted() {
            return None;
        }
        Some(Event::Mapping(MappingEvent::Mapped {
            asked,
            nothing: Some(Nothing::NoGateway),
        }))
    }

    /// What was asked since then has yet to be written.
    fn decide_mapping(&self, command: &MappingCommand) -> Result<Vec<Event>, Rejection> {
        match command {
            MappingCommand::Complete { asked, .. } if *asked != self.mapping.asked => {
                Err(Rejection::Superseded)
            }
            MappingCommand::Complete { asked, .. } if *asked == self.mapping.done => Ok(Vec::new()),
            MappingCommand::Complete { asked, nothing } => {
                Ok(vec![Event::Mapping(MappingEvent::Mapped {
                    asked: *asked,
                    nothing: *nothing,
                })])
            }
        }
    }

    /// A try that was decided before something changed is not held against what is wanted now; a revocation, say, does
    /// not wait because a key could not be created. Whether the attempt came to something is kept all the same.
    fn decide_try(&self, command: &TryCommand) -> Result<Vec<Event>, Rejection> {
        let (failing, event) = match command {
            TryCommand::Delay {
                failing,
                next_try_at,
                prospect,
            } => (
                failing,
                TryEvent::Delayed {
                    reason: reason(failing),
                    next_try_at: *next_try_at,
                    prospect: *prospect,
                },
            ),
            TryCommand::Refuse(failing) => (
                failing,
                TryEvent::Failed {
                    reason: reason(failing),
                },
            ),
        };
        let undone = self.undone(failing);
        let counts = failing.news == self.news;
        if !counts && undone.is_none() {
            return Err(Rejection::Superseded);
        }
        let event = counts.then_some(Event::Try(event));
        Ok(undone.into_iter().chain(event).collect())
    }
}

fn reason(failing: &Failing) -> Reason {
    Reason {
        code: failing.code.clone(),
        message: failing.reason.clone(),
        gateway_id: failing.gateway_id,
    }
}
