//! The Keycloak driver against a real Keycloak.

#![expect(clippy::unwrap_used, unreachable_pub, reason = "tests")]

mod lifecycle;
mod provider;
mod registration;
mod scopes;
mod secrets;

fn main() -> std::process::ExitCode {
    portico_trials::run([
        registration::trials(),
        scopes::trials(),
        secrets::trials(),
        lifecycle::trials(),
    ])
}
