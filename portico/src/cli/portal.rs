//! The running portal that a subcommand calls.

use clap::Args;

use crate::client::Portal;

/// A running portal.
#[derive(Debug, Args)]
pub struct PortalArgs {
    /// Its address.
    #[arg(long, env = "PORTICO_URL", default_value = "http://127.0.0.1:3000")]
    url: String,
    /// An administrator's API token. Prefer the variable: others can see the command line.
    #[arg(long, env = "PORTICO_TOKEN", hide_env_values = true)]
    token: String,
}

impl PortalArgs {
    /// A client of this portal.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub fn client(self) -> Result<Portal, String> {
        #[expect(
            clippy::disallowed_methods,
            reason = "it goes where the person at the terminal says, and nowhere else"
        )]
        let http = reqwest::Client::builder()
            .build()
            .map_err(|error| error.to_string())?;
        let url = self.url.trim_end_matches('/').to_owned();
        Ok(Portal::with_token(http, url, self.token))
    }
}

/// Replaces control characters: text that others wrote must not send escape sequences to the terminal.
pub(crate) fn for_terminal(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
        .collect()
}
