//! Accounts over its gRPC router, on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a failure is the end of the test")]

mod api_tokens;
mod authentication;
mod limits;
mod secrecy;
mod security;
mod sign_up;
mod support;
mod users;

fn main() -> std::process::ExitCode {
    portico_trials::run([
        api_tokens::trials(),
        authentication::trials(),
        limits::trials(),
        secrecy::trials(),
        security::trials(),
        sign_up::trials(),
        users::trials(),
    ])
}
