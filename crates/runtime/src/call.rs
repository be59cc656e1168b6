//! A call of a gRPC method: who calls ([`identity`]), whether they may ([`authorization`]), and what the method needs to
//! know beside its message ([`Call`]).

pub mod authorization;
mod context;
pub mod identity;

pub use context::{Call, Problems, parse_id, query_error, refuse, require, store_error};
pub use identity::{Caller, IdentityKey, Role};
