//! Command + state -> events.

#![deny(clippy::wildcard_enum_match_arm)]

use super::{Command, Details, Event, Plan, Rejection, Status};

pub(super) fn decide(plan: &Plan, command: &Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Create { details, at } => {
            if plan.status.is_some() {
                return Err(Rejection::Exists);
            }
            check(details)?;
            let details = details.clone();
            Ok(vec![Event::Created { details, at: *at }])
        }
        Command::Change { details, at } => {
            if plan.status != Some(Status::Active) {
                return Err(Rejection::NotFound);
            }
            if *details == plan.details {
                return Ok(Vec::new());
            }
            check(details)?;
            let details = details.clone();
            Ok(vec![Event::Changed { details, at: *at }])
        }
        Command::Delete { at } => match plan.status {
            None => Err(Rejection::NotFound),
            Some(Status::Deleted) => Ok(Vec::new()),
            Some(Status::Active) => Ok(vec![Event::Deleted { at: *at }]),
        },
    }
}

fn check(details: &Details) -> Result<(), Rejection> {
    if details.scopes.is_empty() {
        return Err(Rejection::ScopesMissing);
    }
    Ok(())
}
