//! The contract of the event store, the same on SQLite and PostgreSQL.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure is the end of the test"
)]

mod append;
mod backup;
mod call;
mod commands;
mod consumer;
mod counter;
mod flow;
mod inbox;
mod lease;
mod newer;
mod order;
mod place;
mod property;
mod recovery;
mod relay;
mod retention;
mod server;
mod stub;
mod upcasting;
mod views;
mod worker;

fn main() -> std::process::ExitCode {
    portico_trials::run([
        // One of them waits for long.
        flow::trials(),
        append::trials(),
        backup::trials(),
        call::trials(),
        commands::trials(),
        consumer::trials(),
        inbox::trials(),
        lease::trials(),
        newer::trials(),
        order::trials(),
        property::trials(),
        recovery::trials(),
        relay::trials(),
        retention::trials(),
        server::trials(),
        upcasting::trials(),
        views::trials(),
        worker::trials(),
    ])
}
