//! `portico orphans`: clients that identity providers have and a running portal does not know.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use http::StatusCode;
use serde_json::{Value, json};

use super::portal::{PortalArgs, for_terminal};
use crate::client::Portal;

/// Parts of one provider's list. A list without an end is left there.
const PARTS: usize = 1000;

/// What to do about them.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum What {
    /// Look for Portico's marker at every identity provider that lists its clients, as after a restore. Changes nothing.
    /// Exits with 0 where every client is known, with 3 where some are not, and with 1 where a search failed.
    Find {
        /// Only at this identity provider.
        #[arg(long)]
        provider: Option<uuid::Uuid>,
        /// How the clients are printed.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line for each client: provider, client id, marker, scopes.
    Text,
    /// One JSON document.
    Json,
}

/// What was found at one provider.
#[derive(Debug, Default)]
struct Search {
    id: String,
    name: String,
    /// Clients by their ids; a provider may list one twice.
    clients: BTreeMap<String, Value>,
    looked_at: u64,
    undecided: u64,
    ended: Ended,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Ended {
    #[default]
    AtTheEnd,
    /// The provider has no list, or Portico may not read it.
    NotListed(String),
    /// It was not read to its end.
    Failed(String),
}

/// Looks at one provider, or at all of them.
///
/// # Errors
/// The portal does not answer, or refuses. In words for the person at the terminal.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the output of the command"
)]
pub async fn run(what: What, portal: PortalArgs) -> Result<ExitCode, String> {
    let What::Find { provider, format } = what;
    let portal = portal.client()?;
    let mut searches = Vec::new();
    for (id, name) in providers(&portal, provider).await? {
        searches.push(search(&portal, id, name).await?);
    }
    match format {
        Format::Json => println!("{:#}", document(&searches)),
        Format::Text => {
            for search in &searches {
                lines(search).iter().for_each(|line| println!("{line}"));
                eprintln!("{}", for_terminal(&summary(search)));
            }
        }
    }
    Ok(ExitCode::from(code(&searches)))
}

/// Ids and names.
async fn providers(
    portal: &Portal,
    only: Option<uuid::Uuid>,
) -> Result<Vec<(String, String)>, String> {
    let named = |one: &Value| {
        let text = |member: &str| one[member].as_str().unwrap_or_default().to_owned();
        (text("id"), text("name"))
    };
    if let Some(id) = only {
        let path = format!("/api/v1/identity-providers/{id}");
        let one = portal.get(&path).await?.expect(StatusCode::OK)?;
        return Ok(vec![named(&one)]);
    }
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let mut query = url::form_urlencoded::Serializer::new(String::from("limit=100"));
        if !after.is_empty() {
            query.append_pair("after", &after);
        }
        let path = format!("/api/v1/identity-providers?{}", query.finish());
        let page = portal.get(&path).await?.expect(StatusCode::OK)?;
        all.extend(page["items"].as_array().into_iter().flatten().map(named));
        match page["next"].as_str().filter(|next| !next.is_empty()) {
            Some(next) => next.clone_into(&mut after),
            None => return Ok(all),
        }
    }
}

/// Every part of a provider's list. What was found before a part failed counts.
async fn search(portal: &Portal, id: String, name: String) -> Result<Search, String> {
    let (mut body, mut search) = (json!({"identity_provider_id": id}), Search::default());
    (search.id, search.name) = (id, name);
    for _ in 0..PARTS {
        let answer = portal.post("/api/v1/orphans/find", body.clone()).await?;
        let part = answer.body;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => {
                let why = part["detail"].as_str().unwrap_or_default().to_owned();
                search.ended = match part["code"] == "clients_not_listed" {
                    true => Ended::NotListed(why),
                    false => Ended::Failed(why),
                };
                return Ok(search);
            }
            status => return Err(format!("{status}: {}", for_terminal(&part.to_string()))),
        }
        let number = |member: &str| part[member].as_u64().unwrap_or_default();
        search.looked_at += number("looked_at");
        search.undecided += number("undecided");
        for client in part["clients"].as_array().into_iter().flatten() {
            let id = client["client_id"].as_str().unwrap_or_default();
            search.clients.insert(id.to_owned(), client.clone());
        }
        match part["next"].as_str() {
            None | Some("") => return Ok(search),
            // It would come again and again.
            Some(next) if body["after"] == next => break,
            Some(next) => body["after"] = next.into(),
        }
    }
    search.ended = Ended::Failed("the list has no end".to_owned());
    Ok(search)
}

fn lines(search: &Search) -> Vec<String> {
    let line = |client: &Value| {
        let text = |member: &str| client[member].as_str().unwrap_or_default();
        let scopes = client["scopes"].as_array().into_iter().flatten();
        let scopes: Vec<&str> = scopes.filter_map(Value::as_str).collect();
        for_terminal(&format!(
            "{}\t{}\t{}\t{}",
            search.name,
            text("client_id"),
            text("marker"),
            scopes.join(" ")
        ))
    };
    search.clients.values().map(line).collect()
}

fn summary(search: &Search) -> String {
    let Search {
        name, looked_at, ..
    } = search;
    let found = search.clients.len();
    let mut said = match &search.ended {
        Ended::NotListed(why) => return format!("{name}: not searched. {why}"),
        Ended::AtTheEnd => format!("{name}: {found} unknown of {looked_at} clients"),
        Ended::Failed(why) => {
            format!(
                "{name}: {found} unknown of the first {looked_at} clients; the rest was not read: {why}"
            )
        }
    };
    if search.undecided > 0 {
        said.push_str(&format!(
            "; {} are being changed right now, so look again",
            search.undecided
        ));
    }
    said
}

fn document(searches: &[Search]) -> Value {
    let providers = searches.iter().map(|search| {
        let (outcome, reason) = match &search.ended {
            Ended::AtTheEnd => ("searched", Value::Null),
            Ended::NotListed(why) => ("not_listed", json!(why)),
            Ended::Failed(why) => ("failed", json!(why)),
        };
        json!({
            "identity_provider_id": search.id, "name": search.name, "outcome": outcome, "reason": reason,
            "looked_at": search.looked_at, "undecided": search.undecided,
            "clients": search.clients.values().collect::<Vec<_>>(),
        })
    });
    json!({"providers": providers.collect::<Vec<_>>()})
}

/// The exit code. What was found weighs more than what could not be looked at; a provider without a list is no failure.
fn code(searches: &[Search]) -> u8 {
    let failed = |one: &Search| matches!(one.ended, Ended::Failed(_)) || one.undecided > 0;
    if searches.iter().any(|one| !one.clients.is_empty()) {
        3
    } else {
        u8::from(searches.iter().any(failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched(clients: &[&str], ended: Ended) -> Search {
        let client = |id: &&str| {
            let shown = json!({"client_id": id, "marker": "m.1", "scopes": ["a", "b"]});
            ((*id).to_owned(), shown)
        };
        Search {
            name: "Login\u{1b}[2J".to_owned(),
            clients: clients.iter().map(client).collect(),
            looked_at: 7,
            ended,
            ..Search::default()
        }
    }

    #[test]
    fn the_exit_code_says_what_is_to_be_done() {
        let clean = || searched(&[], Ended::AtTheEnd);
        let unlisted = || searched(&[], Ended::NotListed("no list".into()));
        let failed = || searched(&[], Ended::Failed("503".into()));
        let found = || searched(&["c1"], Ended::AtTheEnd);
        assert_eq!(code(&[]), 0);
        assert_eq!(code(&[clean(), unlisted()]), 0);
        assert_eq!(code(&[clean(), failed()]), 1);
        assert_eq!(code(&[failed(), found()]), 3);
        let undecided = Search {
            undecided: 1,
            ..clean()
        };
        assert_eq!(code(&[undecided]), 1);
    }

    #[test]
    fn a_line_has_what_is_needed_to_look_the_client_up_and_no_escape_sequence() {
        let search = searched(&["c1", "c2"], Ended::AtTheEnd);
        assert_eq!(
            lines(&search),
            ["Login [2J\tc1\tm.1\ta b", "Login [2J\tc2\tm.1\ta b"]
        );
        let failed = searched(&["c1"], Ended::Failed("away".into()));
        let said = summary(&failed);
        assert!(said.ends_with("1 unknown of the first 7 clients; the rest was not read: away"));
        let document = document(&[search, failed]);
        assert_eq!(document["providers"][0]["clients"][1]["client_id"], "c2");
        assert_eq!(document["providers"][1]["outcome"], "failed");
    }
}
