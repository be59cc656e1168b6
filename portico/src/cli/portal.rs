//! The running portal that a command asks.

use clap::Args;

use crate::demo::portal::Portal;

/// A running portal.
#[derive(Debug, Args)]
pub struct At {
    /// Where it is.
    #[arg(long, env = "PORTICO_URL", default_value = "http://127.0.0.1:3000")]
    url: String,
    /// An administrator's API token; better in the variable than here, where others can see it.
    #[arg(long, env = "PORTICO_TOKEN", hide_env_values = true)]
    token: String,
}

impl At {
    /// A client of it.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub fn portal(self) -> Result<Portal, String> {
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

/// What others wrote may not play tricks with the terminal.
pub(crate) fn for_terminal(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
        .collect()
}
