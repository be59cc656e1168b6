//! Keys against the gateway of the sandbox, by both of its control APIs.

mod flow;
mod trouble;
pub(crate) mod world;
