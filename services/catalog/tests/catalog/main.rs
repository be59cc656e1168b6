//! The catalogue over its gRPC API, with its store, its relay and a double of the registration service.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod events;
mod plans;
mod products;
mod reading;
mod scopes;
mod stored;
mod support;
