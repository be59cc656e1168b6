//! Doubles of identity providers that cannot be run here, each written from the provider's public documentation,
//! which the head of its file names. They check headers, members and order as strictly as the real ones are said to,
//! and their token endpoints issue real tokens for the clients that were registered.
//!
//! - [`okta`], [`auth0`], [`gluu`], [`curity`]
//! - [`stage`]: what they stand on: requests, faults, a signing key; [`tokens`]: the token endpoint

pub mod auth0;
pub mod curity;
pub mod gluu;
pub mod okta;
pub mod stage;
pub mod tokens;

pub use stage::{Handle, ReceivedRequest, Reply};

/// Unix seconds of the system's clock.
fn now() -> i64 {
    crate::clock::SandboxClock::default().epoch_seconds()
}
