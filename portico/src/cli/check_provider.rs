//! `portico check-provider`: what an identity provider supports, found out by a running portal with a temporary client.

use std::time::Duration;

use clap::Args;
use http::StatusCode;
use serde_json::{Value, json};

use super::portal::{PortalArgs, for_terminal};
use crate::client::Portal;

/// How often to ask for progress.
const POLL: Duration = Duration::from_millis(300);

/// The provider, and what to check it with.
#[derive(Debug, Args)]
pub struct Which {
    /// The provider's id, as the portal has it.
    id: String,
    /// Scopes to register with and to ask a token for, separated by spaces.
    #[arg(long, default_value = "")]
    scopes: String,
}

/// Runs the check and prints each step when it ends. A failed step is an error; a step that the provider does not support
/// is not.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub async fn run(which: Which, portal: PortalArgs) -> Result<(), String> {
    let portal = portal.client()?;
    let path = format!("/api/v1/identity-providers/{}/conformance", which.id);
    let body = json!({"scopes": which.scopes});
    let mut check = portal
        .post(&path, body)
        .await?
        .expect(StatusCode::ACCEPTED)?;
    let begun = check["started_at"].clone();
    let mut printed = 0;
    loop {
        let steps = check["steps"].as_array().map_or(&[][..], Vec::as_slice);
        for step in steps.iter().skip(printed) {
            println!("{}", line(step));
        }
        printed = printed.max(steps.len());
        if check["status"] != "running" {
            break;
        }
        tokio::time::sleep(POLL).await;
        check = again(&portal, &path, &begun).await?;
    }
    verdict(&check)
}

async fn again(portal: &Portal, path: &str, begun: &Value) -> Result<Value, String> {
    let check = portal.get(path).await?.expect(StatusCode::OK)?;
    if check["started_at"] == *begun {
        Ok(check)
    } else {
        Err("another check of this provider was started meanwhile".to_owned())
    }
}

fn verdict(check: &Value) -> Result<(), String> {
    let steps = check["steps"].as_array().map_or(&[][..], Vec::as_slice);
    let failed = steps.iter().filter(|step| step["outcome"] == "failed");
    let failed: Vec<&str> = failed.filter_map(|step| step["name"].as_str()).collect();
    if let Some(client) = check["left_behind"].as_str() {
        return Err(format!(
            "the check left the client {} at the provider; the next check deletes it",
            for_terminal(client)
        ));
    }
    match (check["status"].as_str(), failed.as_slice()) {
        (Some("finished"), []) => Ok(()),
        (Some("finished"), failed) => Err(format!("failed: {}", failed.join(", "))),
        _ => Err("the check was interrupted".to_owned()),
    }
}

fn line(step: &Value) -> String {
    let text = |member: &str| step[member].as_str().unwrap_or_default();
    let outcome = text("outcome").replace('_', " ");
    for_terminal(&format!(
        "{:<10}{outcome:<13}{}",
        text("name"),
        text("detail")
    ))
    .trim_end()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outcomes: &[(&str, &str)], left_behind: Option<&str>) -> Value {
        let steps: Vec<Value> = outcomes
            .iter()
            .map(|(name, outcome)| json!({"name": name, "outcome": outcome, "detail": ""}))
            .collect();
        json!({"status": "finished", "steps": steps, "left_behind": left_behind})
    }

    #[test]
    fn a_step_that_failed_or_a_client_left_behind_is_an_error() {
        let good = [("register", "passed"), ("rotate", "not_offered")];
        assert_eq!(verdict(&check(&good, None)), Ok(()));
        let bad = [
            ("register", "passed"),
            ("read", "failed"),
            ("gone", "skipped"),
        ];
        assert_eq!(verdict(&check(&bad, None)), Err("failed: read".to_owned()));
        assert!(verdict(&check(&good, Some("c\u{1b}1"))).is_err_and(|words| words.contains("c 1")));
    }

    #[test]
    fn a_line_is_a_row_of_the_matrix() {
        let step = json!({"name": "rotate", "outcome": "not_offered", "detail": "no\u{7}way"});
        assert_eq!(line(&step), "rotate    not offered  no way");
    }
}
