//! The one binary, `portico`.

use std::process::ExitCode;

use clap::Parser as _;
use portico::cli::Arguments;
use portico_runtime::{Clock, Config, config::LogFormat};
use serde_json::json;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (config, service) = (arguments.config.clone(), arguments.is_service());
    // Before anything is written, and before there is a second thread: whatever the process creates is its user's only.
    #[cfg(unix)]
    let _ = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // TLS needs one process-wide choice; it can only be made once, and this is the first call.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    match runtime.block_on(arguments.execute()) {
        Ok(code) => code,
        Err(message) if service && Config::log_format(config.as_deref()) == LogFormat::Json => {
            fail_in_json(&message)
        }
        Err(message) => fail(&message),
    }
}

/// As the lines before it, for who collects them.
#[expect(clippy::print_stderr, reason = "logging may not have begun")]
fn fail_in_json(message: &str) -> ExitCode {
    let timestamp = Clock::system().now().to_string();
    let line = json!({ "timestamp": timestamp, "level": "ERROR", "message": message, "target": "portico" });
    eprintln!("{line}");
    ExitCode::FAILURE
}

#[expect(clippy::print_stderr, reason = "the command line speaks to a person")]
fn fail(message: &str) -> ExitCode {
    eprintln!("portico: {message}");
    ExitCode::FAILURE
}
