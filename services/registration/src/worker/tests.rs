//! The worker against the provider of the sandbox.

mod flow;
mod keycloak;
mod lifecycle;
mod providers;
mod recovery;
mod trouble;
pub(crate) mod world;
