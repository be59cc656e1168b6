//! State + event -> state.

#![deny(clippy::wildcard_enum_match_arm)]

use super::{Event, Plan, Status};

pub(super) fn evolve(plan: &mut Plan, event: &Event) {
    let (status, at) = match event {
        Event::Created { details, at } => {
            plan.details = details.clone();
            plan.created_at = *at;
            (Status::Active, *at)
        }
        Event::Changed { details, at } => {
            plan.details = details.clone();
            (Status::Active, *at)
        }
        Event::Deleted { at } => (Status::Deleted, *at),
    };
    plan.status = Some(status);
    plan.updated_at = at;
}
