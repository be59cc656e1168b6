//! What can be asked of the keys of an access request, and why it is refused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use portico_proto::{Error, Kind};
use uuid::Uuid;

use super::event::{Granted, Place};
use crate::granted::{Application, CatalogueChange};

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failing {
    /// A stable word.
    pub(crate) code: String,
    /// The gateway's own words.
    pub(crate) reason: String,
    /// Which gateway.
    pub(crate) gateway_id: Option<Uuid>,
    /// The key whose attempt has an outcome by that: nothing came of it.
    pub(crate) undone: Option<Uuid>,
}

/// What can be asked. From outside up to [`Command::Replace`]; the rest is the worker's.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// The access request was approved.
    Grant(Granted),
    /// It was revoked.
    Withdraw { application_id: Uuid },
    /// Try again what failed or waits.
    Retry,
    /// An admin takes the access away for a time, or gives it back.
    Suspend { suspended: bool, as_of: i64 },
    /// The application has another name, or was suspended or resumed.
    ChangeApplication(Application),
    /// A product or a plan was changed in the catalogue.
    FollowCatalogue(CatalogueChange),
    /// Its owner looks at a key, which is possible once.
    Reveal { key_id: Uuid, at: Timestamp },
    /// Its owner wants another key.
    Replace { key_id: Uuid },

    /// Keys are needed at these gateways.
    Place { places: Vec<Place> },
    /// A key is about to be created.
    Intend { key_id: Uuid },
    /// It was created.
    Complete {
        key_id: Uuid,
        attempt: u32,
        hash: String,
        headers: BTreeMap<String, String>,
        at: Timestamp,
    },
    /// Nothing of an attempt is at the gateway.
    Undo { key_id: Uuid, attempt: u32 },
    /// The key of an attempt is not at the gateway any more.
    CompleteDelete { key_id: Uuid, attempt: u32 },
    /// The key that was shown is not kept any more.
    CompleteWipe { key_id: Uuid, attempt: u32 },
    /// The gateways' policies were written.
    CompletePolicies,
    /// Say what has come to its end.
    Announce,
    /// A try failed and will be repeated.
    Delay {
        failing: Failing,
        next_try_at: Timestamp,
    },
    /// The gateway refused for good.
    Refuse(Failing),
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    /// Things have changed since the step was decided: decide it anew.
    #[error("the API keys have changed meanwhile")]
    Superseded,
    /// There is no such key (any more).
    #[error("there is no such API key")]
    NotFound,
    /// It is not made yet, or being replaced.
    #[error("the API key is not ready")]
    NotReady,
    /// It was shown before.
    #[error("the API key was shown already")]
    AlreadyRevealed,
    /// An admin has taken it away for a time.
    #[error("the API key is suspended")]
    Suspended,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let conflict = |code: &'static str, words: &str| Self::new(Kind::Conflict, code, words);
        match rejection {
            Rejection::NotFound => Self::not_found("API key"),
            Rejection::NotReady => conflict(
                "api_key_not_ready",
                "The API key is not ready yet; wait until its status is `ready`.",
            ),
            Rejection::AlreadyRevealed => conflict(
                "api_key_already_revealed",
                "This API key was shown once and is not kept here. If it is lost, replace it: you get a new one, and \
                 the old one stops to work.",
            ),
            Rejection::Suspended => conflict(
                "api_key_suspended",
                "An admin has suspended this access. When it is resumed there will be a new API key.",
            ),
            Rejection::Superseded => conflict(
                "api_key_busy",
                "The API key is being changed right now; try again in a moment.",
            ),
        }
    }
}
