//! One message to one person: queued, tried until it is sent or refused, sent again on request.
//!
//! No address and no name of a person stands here: the recipient is an id, resolved again at every sending.

use jiff::Timestamp;
use portico_eventstore::Aggregate;
use portico_proto::{Error, Kind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::templates::Template;

#[cfg(test)]
mod tests;

/// What the message is and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Which template is filled.
    pub template: Template,
    /// The user it goes to.
    pub recipient_id: Uuid,
    /// The access request that it is about; none for a test message.
    pub subject_id: Option<Uuid>,
    /// What failed, where the template tells of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A failed registration, as the registration service published it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Name of the identity provider.
    pub provider_name: String,
    /// Stable word.
    pub code: String,
    /// The provider's own words.
    pub words: String,
}

/// Why a delivery ended without success; the word in `MailFailed.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The recipient was erased, is not active, or never was.
    RecipientGone,
    /// What it is about is not there any more.
    SubjectGone,
    /// The recipient's address is not one.
    AddressInvalid,
    /// The mail server refused it for good (5xx).
    Refused,
    /// It was tried as often as the configuration allows.
    GaveUp,
}

impl Reason {
    /// As in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RecipientGone => "recipient_gone",
            Self::SubjectGone => "subject_gone",
            Self::AddressInvalid => "address_invalid",
            Self::Refused => "refused",
            Self::GaveUp => "gave_up",
        }
    }
}

/// What can be asked of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Makes it.
    Queue(Mail),
    /// Before the mail server is called.
    StartSending,
    /// The mail server took it.
    RecordSent {
        /// SMTP reply code.
        reply_code: u16,
    },
    /// An attempt failed and another one follows.
    Delay {
        /// The attempt that failed.
        attempt: u32,
        /// Why, without addresses.
        error: String,
        /// When the next one is due.
        next_try_at: Timestamp,
    },
    /// An attempt failed and none follows.
    Fail {
        /// The attempt that failed.
        attempt: u32,
        /// Stable word.
        reason: Reason,
        /// Why, without addresses.
        error: String,
    },
    /// Once more, after success or final failure.
    Resend,
}

/// What happened to a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// It waits to be sent.
    Queued(Mail),
    /// The mail server is about to be called. Without an outcome after it (a crash) the same message, with the
    /// same Message-ID, is sent again.
    SendingStarted {
        /// Counts from 1.
        attempt: u32,
    },
    /// The mail server took it.
    Sent {
        /// SMTP reply code.
        reply_code: u16,
    },
    /// To be tried again.
    Delayed {
        /// Why, without addresses.
        error: String,
        /// When.
        next_try_at: Timestamp,
    },
    /// Not to be tried again, unless an admin asks.
    Failed {
        /// Stable word.
        reason: Reason,
        /// Why, without addresses.
        error: String,
    },
    /// An admin asked for it.
    ResendRequested {
        /// Counts from 1; part of the Message-ID, so that mail programs show it as another message.
        resend: u32,
    },
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not queued yet.
    #[default]
    Unknown,
    /// For its first or next attempt.
    Waiting,
    /// An attempt has begun; its outcome is not known.
    Sending,
    /// Taken by the mail server.
    Sent,
    /// Ended without success.
    Failed,
}

/// A delivery, folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Where it stands.
    pub phase: Phase,
    /// What it is; there from the first event on.
    pub mail: Option<Mail>,
    /// Attempts in all.
    pub attempts: u32,
    /// Attempts since it was queued or last asked for again.
    pub attempts_of_round: u32,
    /// How often an admin asked for it again.
    pub resends: u32,
    /// When to try again, where the last attempt was delayed.
    pub next_try_at: Option<Timestamp>,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such delivery.
    #[error("there is no such delivery")]
    Unknown,
    /// It has been sent or has failed.
    #[error("the delivery is settled")]
    Settled,
    /// It has neither been sent nor failed.
    #[error("the delivery is still under way")]
    UnderWay,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Unknown => Self::not_found("delivery"),
            Rejection::Settled => Self::new(
                Kind::Conflict,
                "delivery_settled",
                "This message has been sent or has failed for good; ask for a resend.",
            ),
            Rejection::UnderWay => Self::new(
                Kind::Conflict,
                "delivery_under_way",
                "This message is still waiting or being sent; it can be sent again once it was sent or has failed.",
            ),
        }
    }
}

impl Aggregate for Delivery {
    const CATEGORY: &'static str = "delivery";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        if let Command::Queue(mail) = command {
            // The id is derived from the fact and the recipient: the same again is a repetition.
            return Ok(match self.phase {
                Phase::Unknown => vec![Event::Queued(mail.clone())],
                _ => Vec::new(),
            });
        }
        if self.phase == Phase::Unknown {
            return Err(Rejection::Unknown);
        }
        self.decide_known(command)
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Queued(mail) => {
                self.phase = Phase::Waiting;
                self.mail = Some(mail.clone());
            }
            Event::SendingStarted { attempt } => {
                self.phase = Phase::Sending;
                self.attempts = *attempt;
                self.attempts_of_round += 1;
            }
            Event::Sent { .. } => self.phase = Phase::Sent,
            Event::Delayed { next_try_at, .. } => {
                self.phase = Phase::Waiting;
                self.next_try_at = Some(*next_try_at);
            }
            Event::Failed { .. } => self.phase = Phase::Failed,
            Event::ResendRequested { resend } => {
                self.phase = Phase::Waiting;
                self.attempts_of_round = 0;
                self.resends = *resend;
                self.next_try_at = None;
            }
        }
    }
}

impl Delivery {
    fn decide_known(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let current = |attempt: &u32| self.phase == Phase::Sending && *attempt == self.attempts;
        Ok(match command {
            Command::StartSending => match self.phase {
                Phase::Waiting | Phase::Sending => vec![Event::SendingStarted {
                    attempt: self.attempts + 1,
                }],
                _ => return Err(Rejection::Settled),
            },
            // A fact, even if it comes late: from a process that had lost its turn meanwhile.
            Command::RecordSent { reply_code } if self.phase != Phase::Sent => vec![Event::Sent {
                reply_code: *reply_code,
            }],
            Command::Delay {
                attempt,
                error,
                next_try_at,
            } if current(attempt) => vec![Event::Delayed {
                error: error.clone(),
                next_try_at: *next_try_at,
            }],
            Command::Fail {
                attempt,
                reason,
                error,
            } if current(attempt) => vec![Event::Failed {
                reason: *reason,
                error: error.clone(),
            }],
            Command::Resend => match self.phase {
                Phase::Sent | Phase::Failed => vec![Event::ResendRequested {
                    resend: self.resends + 1,
                }],
                _ => return Err(Rejection::UnderWay),
            },
            // A repetition, or the outcome of an attempt that another one has overtaken.
            Command::Queue(_)
            | Command::RecordSent { .. }
            | Command::Delay { .. }
            | Command::Fail { .. } => Vec::new(),
        })
    }
}

/// The `Message-ID` (RFC 5322 section 3.6.4): a function of the delivery, so that a message which is sent again
/// after a crash is recognised as the same one.
pub fn message_id(id: &str, resends: u32, host: &str) -> String {
    match resends {
        0 => format!("<{id}@{host}>"),
        n => format!("<{id}.{n}@{host}>"),
    }
}
