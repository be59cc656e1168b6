//! The worker against the provider of the sandbox.

mod flow;
mod hostile;
mod keycloak;
mod lifecycle;
mod providers;
mod recovery;
mod texts;
mod trouble;
mod unknown;
pub(crate) mod world;
