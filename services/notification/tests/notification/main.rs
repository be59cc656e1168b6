//! The service against a real SMTP server (the sandbox's catcher), with doubles of the accounts and
//! access-request services.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail the test"
)]

mod administration;
mod doubles;
mod privacy;
mod recovery;
mod sending;
mod stored;
mod support;
