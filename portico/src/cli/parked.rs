//! `portico parked`: messages that a service could not handle. It asks a running portal.

use clap::{Args, Subcommand};
use http::StatusCode;
use serde_json::{Value, json};

use super::portal::{PortalArgs, for_terminal};
use crate::client::Portal;

/// What to do about them.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum What {
    /// List them: service, consumer, id, type of the event, tries, first and last time, status, reason.
    List {
        /// Only of this service.
        #[arg(long, default_value = "")]
        service: String,
        /// Only of this consumer.
        #[arg(long, default_value = "")]
        consumer: String,
        /// `parked`, `replaying` or `dropped`; without it, those that were not dropped.
        #[arg(long, default_value = "")]
        status: String,
    },
    /// Have them handled again. What still cannot be handled is parked again with the new reason.
    Replay(Which),
    /// Give them up. Who did it and when is kept.
    Drop(Which),
}

/// Of a service: one message, or all of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Which {
    /// `catalog`, `access-request`, `registration`, `notification` or `accounts`.
    service: String,
    #[command(flatten)]
    what: OneOrAll,
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
struct OneOrAll {
    /// The id of the message.
    #[arg(long)]
    id: Option<uuid::Uuid>,
    /// All messages of this consumer.
    #[arg(long)]
    consumer: Option<String>,
}

/// Does it.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub async fn run(what: What, portal: PortalArgs) -> Result<(), String> {
    let portal = portal.client()?;
    let done = match what {
        What::List {
            service,
            consumer,
            status,
        } => {
            let filters = [
                ("service", service),
                ("consumer", consumer),
                ("status", status),
            ];
            return list(&portal, &filters).await;
        }
        What::Replay(which) => format!("{} handled again", replay(&portal, &which).await?),
        What::Drop(which) => format!("{} dropped", give_up(&portal, &which).await?),
    };
    println!("{done}");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the output of the command")]
async fn list(portal: &Portal, filters: &[(&str, String)]) -> Result<(), String> {
    let mut after = String::new();
    loop {
        let mut query = url::form_urlencoded::Serializer::new(String::from("limit=100"));
        query.extend_pairs(filters.iter().filter(|(_, value)| !value.is_empty()));
        if !after.is_empty() {
            query.append_pair("after", &after);
        }
        let path = format!("/api/v1/parked-messages?{}", query.finish());
        let page = portal.get(&path).await?.expect(StatusCode::OK)?;
        for item in page["items"].as_array().into_iter().flatten() {
            println!("{}", line(item));
        }
        let unreachable = page["unreachable"].as_array().into_iter().flatten();
        let unreachable: Vec<&str> = unreachable.filter_map(Value::as_str).collect();
        if !unreachable.is_empty() {
            return Err(format!("not reachable: {}", unreachable.join(", ")));
        }
        match page["next"].as_str().filter(|next| !next.is_empty()) {
            Some(next) => next.clone_into(&mut after),
            None => return Ok(()),
        }
    }
}

fn line(item: &Value) -> String {
    let members = [
        "service",
        "consumer",
        "id",
        "subject",
        "attempts",
        "first_parked_at",
        "last_parked_at",
        "status",
        "reason",
    ];
    let values = members.map(|member| match &item[member] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    for_terminal(&values.join("\t"))
}

async fn replay(portal: &Portal, which: &Which) -> Result<Value, String> {
    let answer = match which.one() {
        Some(path) => portal.post(&format!("{path}/replay"), json!({})).await?,
        None => {
            portal
                .post("/api/v1/parked-messages/replay", which.all())
                .await?
        }
    };
    Ok(answer.expect(StatusCode::ACCEPTED)?["count"].clone())
}

async fn give_up(portal: &Portal, which: &Which) -> Result<Value, String> {
    if let Some(path) = which.one() {
        portal.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
        return Ok(json!(1));
    }
    let path = "/api/v1/parked-messages/drop";
    let answer = portal.post(path, which.all()).await?;
    Ok(answer.expect(StatusCode::OK)?["count"].clone())
}

impl Which {
    /// The path of the one message.
    fn one(&self) -> Option<String> {
        let id = self.what.id?;
        let mut service = url::form_urlencoded::byte_serialize(self.service.as_bytes());
        let service: String = service.by_ref().collect();
        Some(format!("/api/v1/parked-messages/{service}/{id}"))
    }

    /// What names all of the consumer.
    fn all(&self) -> Value {
        json!({"service": self.service, "consumer": self.what.consumer})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_all_but_the_content() {
        let item = json!({
            "service": "registration", "consumer": "registration", "id": "i", "subject": "portico.access.x",
            "attempts": 8, "first_parked_at": "t1", "last_parked_at": "t2", "status": "parked",
            "reason": "no\u{1b}[2J",
        });
        assert_eq!(
            line(&item),
            "registration\tregistration\ti\tportico.access.x\t8\tt1\tt2\tparked\tno [2J"
        );
    }
}
