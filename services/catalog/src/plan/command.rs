//! What an admin asks of a plan.

use jiff::Timestamp;

use super::Details;

/// Whether the caller is an admin is checked before. `at` is the time of the call.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "imperatives of the events")]
pub enum Command {
    Create { details: Details, at: Timestamp },
    Change { details: Details, at: Timestamp },
    Delete { at: Timestamp },
}
