//! Command + state -> events.

#![deny(clippy::wildcard_enum_match_arm)]

use super::{Command, Details, Event, Product, Rejection, Status};

pub(super) fn decide(product: &Product, command: &Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Create { details, at } => {
            if product.status.is_some() {
                return Err(Rejection::Exists);
            }
            check(details, Status::Draft)?;
            let details = details.clone();
            Ok(vec![Event::Created { details, at: *at }])
        }
        Command::Change { details, at } => {
            let status = product.present()?;
            if *details == product.details {
                return Ok(Vec::new());
            }
            check(details, status)?;
            let details = details.clone();
            Ok(vec![Event::Changed { details, at: *at }])
        }
        Command::Publish { at } => {
            if product.present()? == Status::Published {
                return Ok(Vec::new());
            }
            check(&product.details, Status::Published)?;
            Ok(vec![Event::Published { at: *at }])
        }
        Command::Unpublish { at } => {
            if product.present()? == Status::Published {
                return Ok(vec![Event::Unpublished { at: *at }]);
            }
            Ok(Vec::new())
        }
        Command::Delete { at } => match product.status {
            None => Err(Rejection::NotFound),
            Some(Status::Deleted) => Ok(Vec::new()),
            Some(Status::Draft | Status::Published) => Ok(vec![Event::Deleted { at: *at }]),
        },
    }
}

/// The rules that span fields. A draft may wait for its client types, because they are often created after it.
fn check(details: &Details, status: Status) -> Result<(), Rejection> {
    if !details.dcr_enabled {
        return Ok(());
    }
    if details.scopes.is_empty() {
        return Err(Rejection::ScopesMissing);
    }
    if status == Status::Published && details.client_type_ids.is_empty() {
        return Err(Rejection::ClientTypesMissing);
    }
    Ok(())
}
