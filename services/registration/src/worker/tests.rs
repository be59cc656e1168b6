//! The worker against the provider of the sandbox.

mod flow;
mod recovery;
mod trouble;
mod world;
