//! The worker against the provider of the sandbox.

mod flow;
mod recovery;
mod trouble;
pub(crate) mod world;
