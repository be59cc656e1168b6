//! The registration service over its gRPC methods, with the sandbox identity provider.
#![expect(clippy::unwrap_used, reason = "a failure is the end of the test")]

mod authorization;
mod client_types;
mod discovery;
mod identity_providers;
mod support;
mod trust;
