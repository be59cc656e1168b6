//! Any provider that follows RFC 7591, and RFC 7592 where it offers that: nothing differs from the default bodies.
//!
//! Registration is not idempotent: after an attempt without an outcome nobody can tell whether a client exists
//! ([`super::ReconcileClass::Plain`]). Its caller may keep such an orphan powerless: register with no scopes, store
//! the client, then [`Driver::update`] it with the scopes; that needs a provider that is known to manage clients.

use super::Driver;

/// Driver for servers of RFC 7591 without a driver of their own.
pub struct Other;

impl Driver for Other {}

#[cfg(test)]
mod tests;
