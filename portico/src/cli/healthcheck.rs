//! `portico healthcheck`: checks a health URL, for containers without a shell.

use std::time::Duration;

use url::Url;

/// Longer than any healthy answer takes; an orchestrator asks again soon.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sends one request.
///
/// # Errors
/// The status and body, where the status is not a success.
pub async fn run(url: Url) -> Result<(), String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "it goes where the person at the terminal says, and nowhere else"
    )]
    let http = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .map_err(|error| error.to_string())?;
    let answer = http
        .get(url)
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let body = answer.text().await.unwrap_or_default();
    Err(format!("{status}: {body}"))
}
