//! State + event -> state.

#![deny(clippy::wildcard_enum_match_arm)]

use super::{Delivery, Event, Phase};

pub(super) fn evolve(delivery: &mut Delivery, event: &Event) {
    match event {
        Event::Queued(mail) => {
            delivery.phase = Phase::Waiting;
            delivery.mail = Some(mail.clone());
        }
        Event::SendingStarted { attempt } => {
            delivery.phase = Phase::Sending;
            delivery.attempts = *attempt;
            delivery.attempts_of_round += 1;
        }
        Event::Sent { .. } => delivery.phase = Phase::Sent,
        Event::Delayed { next_try_at, .. } => {
            delivery.phase = Phase::Waiting;
            delivery.next_try_at = Some(*next_try_at);
        }
        Event::Failed { .. } => delivery.phase = Phase::Failed,
        Event::ResendRequested { resend } => {
            delivery.phase = Phase::Waiting;
            delivery.attempts_of_round = 0;
            delivery.resends = *resend;
            delivery.next_try_at = None;
        }
    }
}
