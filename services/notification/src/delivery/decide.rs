//! Command + state -> events.

#![deny(clippy::wildcard_enum_match_arm)]

use super::{Command, Delivery, Event, Phase, Rejection};

pub(super) fn decide(delivery: &Delivery, command: &Command) -> Result<Vec<Event>, Rejection> {
    let event = match command {
        // The id is derived from the fact and the recipient, so a second command is a repetition.
        Command::Queue(mail) => {
            (delivery.phase == Phase::Unknown).then(|| Event::Queued(mail.clone()))
        }
        Command::StartSending => Some(start_sending(delivery)?),
        // Always a fact, even when it comes late, from a process that has lost its lease meanwhile.
        Command::RecordSent { reply_code } => {
            (known(delivery)?.phase != Phase::Sent).then_some(Event::Sent {
                reply_code: *reply_code,
            })
        }
        // A failure, however, counts for the present attempt only: a later attempt may still succeed or has succeeded.
        Command::Delay {
            attempt,
            error,
            next_try_at,
        } => is_under_way(known(delivery)?, *attempt).then(|| Event::Delayed {
            error: error.clone(),
            next_try_at: *next_try_at,
        }),
        Command::Fail {
            attempt,
            reason,
            error,
        } => is_under_way(known(delivery)?, *attempt).then(|| Event::Failed {
            reason: *reason,
            error: error.clone(),
        }),
        Command::Resend => Some(resend(delivery)?),
    };
    Ok(event.into_iter().collect())
}

fn known(delivery: &Delivery) -> Result<&Delivery, Rejection> {
    match delivery.phase {
        Phase::Unknown => Err(Rejection::Unknown),
        Phase::Waiting | Phase::Sending | Phase::Sent | Phase::Failed => Ok(delivery),
    }
}

/// An attempt that is still `Sending` has crashed, or the worker would not ask for another.
fn start_sending(delivery: &Delivery) -> Result<Event, Rejection> {
    match delivery.phase {
        Phase::Unknown => Err(Rejection::Unknown),
        Phase::Waiting | Phase::Sending => Ok(Event::SendingStarted {
            attempt: delivery.attempts + 1,
        }),
        Phase::Sent | Phase::Failed => Err(Rejection::Settled),
    }
}

fn is_under_way(delivery: &Delivery, attempt: u32) -> bool {
    delivery.phase == Phase::Sending && attempt == delivery.attempts
}

fn resend(delivery: &Delivery) -> Result<Event, Rejection> {
    match delivery.phase {
        Phase::Unknown => Err(Rejection::Unknown),
        Phase::Waiting | Phase::Sending => Err(Rejection::UnderWay),
        Phase::Sent | Phase::Failed => Ok(Event::ResendRequested {
            resend: delivery.resends + 1,
        }),
    }
}
