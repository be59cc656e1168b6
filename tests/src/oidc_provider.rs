//! A real provider that nobody here has written: node oidc-provider, which is certified. `npm ci` in
//! `tests/peers/oidc-provider` installs it.

#![expect(
    clippy::expect_used,
    reason = "a helper of tests: what goes wrong here ends the test"
)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use portico_trials::works;

/// What tests with an [`OidcProvider`] need.
pub const OIDC_PROVIDER: portico_trials::Server = portico_trials::Server {
    name: "node oidc-provider",
    missing: || {
        let found =
            works("node", "--version") && root().join("node_modules/oidc-provider").is_dir();
        (!found).then_some("not installed (npm ci --prefix tests/peers/oidc-provider)")
    },
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/oidc-provider")
}

/// A running provider; it ends with this, and with the process.
pub struct OidcProvider {
    child: Child,
    issuer: String,
    _alive: Option<ChildStdin>,
}

impl OidcProvider {
    /// Starts one with this initial access token and these scopes.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(initial_access_token: &str, scopes: &[&str]) -> Self {
        let mut child = Command::new("node")
            .arg(root().join("server.mjs"))
            .arg(initial_access_token)
            .args(scopes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let output = child.stdout.take().expect("standard output is a pipe");
        let mut issuer = String::new();
        BufReader::new(output)
            .read_line(&mut issuer)
            .expect("node oidc-provider says where it listens");
        let issuer = issuer.trim().to_owned();
        assert!(issuer.starts_with("http://127.0.0.1:"), "it did not start");
        Self {
            _alive: child.stdin.take(),
            child,
            issuer,
        }
    }

    /// Its issuer, which is where it listens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// OpenID Connect Discovery 1.0 section 4.
    #[must_use]
    pub fn well_known_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer)
    }

    /// Clients that were registered and not deleted.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn client_count(&self) -> usize {
        let http = portico_sandbox::outgoing::http_client().expect("a client for this machine");
        let answer = http.get(format!("{}/clients", self.issuer)).send().await;
        let count = answer.expect("it answers").text().await;
        count
            .ok()
            .and_then(|count| count.parse().ok())
            .expect("a number")
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
