//! What can be asked of an entitlement, and why it is refused.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use portico_proto::{Error, Kind};
use uuid::Uuid;

use super::keys::KeyPlace;
use super::report::Nothing;
use super::state::{Prospect, Wanted};
use crate::item::CatalogueChange;
use crate::known::Application;

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Access(AccessCommand),
    Scopes(ScopesCommand),
    Mapping(MappingCommand),
    Key(KeyCommand),
    Try(TryCommand),
}

/// What other services and people say.
#[derive(Debug, Clone)]
pub(crate) enum AccessCommand {
    /// A revision of the request.
    Want(Box<Wanted>),
    /// The same where no gateway is configured: the first one is answered at once. The worker looks for those that are
    /// not served when there is one.
    WantWithoutGateway(Box<Wanted>),
    ChangeApplication(Application),
    FollowCatalogue(CatalogueChange),
    /// What it waited for may be there: the pause is over.
    Wake,
    /// There is a gateway.
    FindGateway,
}

/// The scopes that OAuth clients may hold because of the request.
#[derive(Debug, Clone)]
pub(crate) enum ScopesCommand {
    /// Registration has taken this revision into account, and the client holds these still, not counting those that
    /// its application was granted otherwise.
    Free {
        answered: u64,
        held: BTreeSet<String>,
    },
    /// By an admin: others may have the scope, whoever holds it.
    Release { scope: String, holder_id: String },
}

/// The worker's, of scopes at gateways.
#[derive(Debug, Clone)]
pub(crate) enum MappingCommand {
    /// The gateways are as was asked up to this count.
    Complete {
        asked: u64,
        nothing: Option<Nothing>,
    },
}

/// The first two are the owner's; the rest is the worker's.
#[derive(Debug, Clone)]
pub(crate) enum KeyCommand {
    /// Its owner looks at a key, which is possible once.
    Reveal { key_id: Uuid, at: Timestamp },
    /// Its owner wants another key.
    Replace { key_id: Uuid },
    /// Keys are needed at these gateways.
    Place { places: Vec<KeyPlace> },
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
    /// The gateways' policies say what product and plan say now.
    CompletePolicies,
    /// Nothing is left of a revoked request, in the vault neither.
    Finish,
}

/// The worker's, of tries that failed.
#[derive(Debug, Clone)]
pub(crate) enum TryCommand {
    /// It will be repeated.
    Delay {
        failing: Failing,
        next_try_at: Timestamp,
        prospect: Prospect,
    },
    /// The gateway refused for good.
    Refuse(Failing),
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failing {
    pub(crate) code: String,
    /// The gateway's own message.
    pub(crate) reason: String,
    /// None: it is about no gateway, or several.
    pub(crate) gateway_id: Option<Uuid>,
    /// The key whose attempt has an outcome by that: nothing came of it.
    pub(crate) undone: Option<Uuid>,
    /// [`super::Entitlement::news`] when the try was decided.
    pub(crate) news: u64,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    /// Things have changed since the step was decided: decide it anew.
    #[error("the entitlement has changed meanwhile")]
    Superseded,
    #[error("there is no such API key")]
    NotFound,
    /// It is not made yet, or being replaced.
    #[error("the API key is not ready")]
    NotReady,
    #[error("the API key was shown already")]
    AlreadyRevealed,
    /// An admin has taken it away for a time.
    #[error("the API key is suspended")]
    Suspended,
    /// The scope is not only held, but granted.
    #[error("the scope is granted")]
    StillGranted,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let conflict = |code: &'static str, message: &str| Self::new(Kind::Conflict, code, message);
        match rejection {
            Rejection::NotFound => Self::not_found("API key"),
            Rejection::NotReady => conflict(
                "api_key_not_ready",
                "The API key is not ready yet; wait until its status is `ready`.",
            ),
            Rejection::AlreadyRevealed => conflict(
                "api_key_already_revealed",
                "This API key was shown once and is not kept here. If it is lost, replace it: you get a new one, and \
                 the old one stops working.",
            ),
            Rejection::Suspended => conflict(
                "api_key_suspended",
                "An admin has suspended this access. When it is resumed there will be a new API key.",
            ),
            Rejection::Superseded => conflict(
                "api_key_busy",
                "The API key is being changed right now; try again in a moment.",
            ),
            Rejection::StillGranted => conflict(
                "scope_still_granted",
                "Access with this scope is still granted: revoke it, or take the scope from its product or plan first.",
            ),
        }
    }
}
