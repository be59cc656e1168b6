//! What happened to a delivery.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Mail, Reason};

/// In the order in which they usually come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// It waits for its first attempt.
    Queued(Mail),
    /// The mail server is about to be called. When no outcome follows, the process has crashed, and the same message is
    /// sent again with the same `Message-ID`.
    SendingStarted {
        /// Counts from 1.
        attempt: u32,
    },
    /// The mail server accepted it.
    Sent {
        /// SMTP reply code.
        reply_code: u16,
    },
    /// The attempt failed; another one follows.
    Delayed {
        /// For admins, without addresses.
        error: String,
        /// When the next attempt is due.
        next_try_at: Timestamp,
    },
    /// The last attempt failed; an admin may ask for a resend.
    Failed {
        /// For programs.
        reason: Reason,
        /// For admins, without addresses.
        error: String,
    },
    /// An admin asked for it.
    ResendRequested {
        /// Counts from 1; part of the `Message-ID`.
        resend: u32,
    },
}
