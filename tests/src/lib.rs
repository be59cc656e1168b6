//! Helpers for tests that start real servers and real processes.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure ends the test"
)]

pub mod canaries;
pub mod cluster;
pub mod keycloak;
pub mod patience;
pub mod peers;
pub mod ports;
