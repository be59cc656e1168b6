//! The contract: how messages look in REST, and that it changes on purpose only.
#![expect(clippy::unwrap_used, reason = "a failure is the end of the test")]

mod bodies;
mod contract;
mod reading;
mod schemas;
