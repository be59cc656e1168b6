//! The service over its gRPC methods, with doubles of the catalog and registration services.
#![expect(clippy::unwrap_used, reason = "a failure is the end of the test")]

mod accounts;
mod actor;
mod applications;
mod catalogue;
mod checkout;
mod decisions;
mod doubles;
mod erasure;
mod keys;
mod lists;
mod reports;
mod stored;
mod support;
mod suspension;
mod watch;
