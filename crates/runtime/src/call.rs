//! A call of a gRPC method: who calls ([`identity`]), whether they may ([`authorization`]), until when
//! ([`deadline`]), and what the method needs to know beside its message ([`Call`]).

pub mod authorization;
mod context;
pub mod deadline;
mod errors;
pub mod identity;

pub use context::Call;
pub use errors::{
    Problems, concurrent_change, name_taken, parse_id, query_error, refuse, refuse_at, require,
    store_error, vault_error,
};
pub use identity::{Caller, IdentityKey, Role};
