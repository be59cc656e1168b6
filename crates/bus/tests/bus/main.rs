//! The contract suite for every bus, and what only NATS can do wrong.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure is the end of the test"
)]

mod contract;
mod nats;
mod support;

fn main() -> std::process::ExitCode {
    portico_trials::run([contract::trials(), nats::trials()])
}
