//! State + event -> state.

#![deny(clippy::wildcard_enum_match_arm)]

use super::{Event, Product, Status};

pub(super) fn evolve(product: &mut Product, event: &Event) {
    let (status, at) = match event {
        Event::Created { details, at } => {
            product.details = details.clone();
            product.created_at = *at;
            (Some(Status::Draft), *at)
        }
        Event::Changed { details, at } => {
            product.details = details.clone();
            (product.status, *at)
        }
        Event::Published { at } => (Some(Status::Published), *at),
        Event::Unpublished { at } => (Some(Status::Draft), *at),
        Event::Deleted { at } => (Some(Status::Deleted), *at),
    };
    product.status = status;
    product.updated_at = at;
}
