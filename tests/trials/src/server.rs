//! Servers that tests may need, and whether they can be started.

mod nats;
pub mod postgres;

use std::{
    env,
    process::{Command, Stdio},
};

pub use nats::NatsServer;
pub use postgres::Postgres;

/// A server that tests start.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// For messages.
    pub name: &'static str,
    /// Why it cannot be started here and what to install; `None` if it can.
    pub missing: fn() -> Option<&'static str>,
}

/// [`Postgres`].
pub const POSTGRESQL: Server = Server {
    name: "PostgreSQL",
    missing: || {
        let found = postgres::programs().is_some();
        (!found).then_some("initdb not found (apt-get install postgresql, or PORTICO_POSTGRES_BIN)")
    },
};

/// [`NatsServer`].
pub const NATS: Server = Server {
    name: "NATS",
    missing: || {
        let found = nats::nats_server_binary().is_some();
        (!found).then_some(
            "nats-server not found (go install github.com/nats-io/nats-server/v2@latest, or PORTICO_NATS_SERVER)",
        )
    },
};

/// The browser and its driver.
pub const CHROMIUM: Server = Server {
    name: "Chromium",
    missing: || {
        let found = in_path("chromedriver") && in_path("chromium");
        (!found).then_some(
            "chromium or chromedriver not found (apt-get install chromium chromium-driver)",
        )
    },
};

/// The command line of OpenSSL, with which documents make certificates.
pub const OPENSSL: Server = Server {
    name: "OpenSSL",
    missing: || {
        let found = in_path("openssl");
        (!found).then_some("openssl not found (apt-get install openssl)")
    },
};

/// Whether a program of this name is in `PATH`.
pub fn in_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Whether a program exits with success.
pub fn works(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
