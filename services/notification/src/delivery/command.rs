//! What can be asked of a delivery.

use jiff::Timestamp;

use super::{Mail, Reason};

/// By a policy, the worker or an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Creates the delivery.
    Queue(Mail),
    /// Begins an attempt. To be recorded before the mail server is called.
    StartSending,
    /// The mail server accepted the message.
    RecordSent {
        /// SMTP reply code.
        reply_code: u16,
    },
    /// An attempt failed and another one follows.
    Delay {
        /// The attempt that failed.
        attempt: u32,
        /// For admins, without addresses.
        error: String,
        /// When the next attempt is due.
        next_try_at: Timestamp,
    },
    /// An attempt failed and none follows.
    Fail {
        /// The attempt that failed.
        attempt: u32,
        /// For programs.
        reason: Reason,
        /// For admins, without addresses.
        error: String,
    },
    /// Sends it once more, after success or final failure.
    Resend,
}
