//! What happened to a product.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Details;

/// `Created` and `Changed` hold all details, so that a reader needs no earlier event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Event {
    Created { details: Details, at: Timestamp },
    Changed { details: Details, at: Timestamp },
    Published { at: Timestamp },
    Unpublished { at: Timestamp },
    Deleted { at: Timestamp },
}
