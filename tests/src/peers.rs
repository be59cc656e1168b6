//! Third-party providers, each in a folder of `tests/peers` with pinned dependencies. They print their issuer when they
//! are ready, answer the number of their clients at `/clients`, and exit when their standard input is closed.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure ends the test"
)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use portico_trials::{Server, works};

/// Required by tests with [`Peer::oidc_provider`].
pub const OIDC_PROVIDER: Server = Server {
    name: "node oidc-provider",
    missing: || {
        let found = works("node", "--version")
            && peers()
                .join("oidc-provider/node_modules/oidc-provider")
                .is_dir();
        (!found).then_some("not installed (npm ci --prefix tests/peers/oidc-provider)")
    },
};

/// Required by tests with [`Peer::authlib`].
pub const AUTHLIB: Server = Server {
    name: "Authlib",
    missing: || (!python().exists()).then_some("not installed (tests/peers/authlib/install)"),
};

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// In the virtual environment that `tests/peers/authlib/install` creates.
fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/authlib/bin/python")
}

/// A running provider; stopped when dropped, or when this process ends.
pub struct Peer {
    child: Child,
    well_known_url: String,
    clients_url: String,
    _alive: Option<ChildStdin>,
}

impl Peer {
    /// Starts node oidc-provider, a certified implementation, with this initial access token and these scopes.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn oidc_provider(initial_access_token: &str, scopes: &[&str]) -> Self {
        let mut command = Command::new("node");
        command.arg(peers().join("oidc-provider/server.mjs"));
        // OpenID Connect Discovery 1.0 section 4.
        Self::start(command, initial_access_token, scopes, |origin, path| {
            format!("{origin}{path}/.well-known/openid-configuration")
        })
    }

    /// Starts Authlib. Its issuer has a path, so its metadata is at the place that RFC 8414 section 3.1 says.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn authlib(initial_access_token: &str, scopes: &[&str]) -> Self {
        let mut command = Command::new(python());
        command.arg(peers().join("authlib/server.py"));
        Self::start(command, initial_access_token, scopes, |origin, path| {
            format!("{origin}/.well-known/oauth-authorization-server{path}")
        })
    }

    fn start(
        mut command: Command,
        initial_access_token: &str,
        scopes: &[&str],
        well_known_url: fn(&str, &str) -> String,
    ) -> Self {
        let mut child = command
            .arg(initial_access_token)
            .args(scopes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("its interpreter starts");
        let output = child.stdout.take().expect("standard output is a pipe");
        let mut issuer = String::new();
        BufReader::new(output)
            .read_line(&mut issuer)
            .expect("it says where it listens");
        let host = issuer.trim().strip_prefix("http://127.0.0.1:");
        let host = host.expect("it has started");
        let (port, path) = host.split_once('/').unwrap_or((host, ""));
        let origin = format!("http://127.0.0.1:{port}");
        let path = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        Self {
            _alive: child.stdin.take(),
            child,
            well_known_url: well_known_url(&origin, &path),
            clients_url: format!("{origin}/clients"),
        }
    }

    /// URL of its metadata.
    #[must_use]
    pub fn well_known_url(&self) -> String {
        self.well_known_url.clone()
    }

    /// Number of clients that are registered and not deleted.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn client_count(&self) -> usize {
        let http = portico_sandbox::outgoing::http_client().expect("a client for this machine");
        let answer = http.get(&self.clients_url).send().await;
        let count = answer.expect("it answers").text().await;
        count
            .ok()
            .and_then(|count| count.parse().ok())
            .expect("a number")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
