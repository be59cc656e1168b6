//! `portico drift`: what somebody else changed at identity providers and gateways. It asks a running portal, so that
//! nothing else works on the same client meanwhile.

use clap::Subcommand;
use http::StatusCode;
use serde_json::{Value, json};

use super::portal::{PortalArgs, for_terminal};
use crate::client::Portal;

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum What {
    /// List it; change nothing. Ends with an error where there is any.
    Plan,
    /// Make it again what Portico made it.
    Apply,
}

/// Lists or repairs, page after page. What `apply` repairs it has listed just before, and nothing else.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub async fn run(what: What, portal: PortalArgs) -> Result<(), String> {
    let portal = portal.client()?;
    let (mut after, mut count, mut bad) = (String::new(), 0, 0);
    loop {
        let page = page(&portal, what, &after).await?;
        for item in page["items"].as_array().into_iter().flatten() {
            println!("{}", line(item));
            count += 1;
            bad += u32::from(matches!(
                item["repair"].as_str(),
                Some("possible" | "not_possible" | "failed")
            ));
        }
        match page["next"].as_str().filter(|next| !next.is_empty()) {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    match (count, bad) {
        (0, _) => println!("No drift: everything is as Portico set it."),
        (_, 0) => println!("{count} differences; all are repaired or under way."),
        (_, bad) => return Err(format!("{bad} of {count} differences are not repaired")),
    }
    Ok(())
}

async fn page(portal: &Portal, what: What, after: &str) -> Result<Value, String> {
    let mut query = url::form_urlencoded::Serializer::new(String::from("limit=100"));
    if !after.is_empty() {
        query.append_pair("after", after);
    }
    let path = format!("/api/v1/drift?{}", query.finish());
    let plan = portal.get(&path).await?.expect(StatusCode::OK)?;
    match what {
        What::Plan => Ok(plan),
        What::Apply => {
            let Some(shown) = plan["plan"].as_str().filter(|shown| !shown.is_empty()) else {
                return Ok(plan);
            };
            let body = json!({"limit": 100, "after": after, "plan": shown});
            let answer = portal.post("/api/v1/drift/repair", body).await?;
            answer.expect(StatusCode::ACCEPTED)
        }
    }
}

fn line(item: &Value) -> String {
    let text = |member: &str| item[member].as_str().unwrap_or_default();
    let mut line = format!(
        "{}\t{}\t{}\t{}",
        text("place_name"),
        text("kind"),
        text("subject"),
        text("member"),
    );
    for (member, words) in [("wanted", "wanted"), ("found", "found"), ("detail", "")] {
        let value = text(member);
        if !value.is_empty() {
            line.push_str(&format!("\t{words} {value}"));
        }
    }
    line.push_str(&format!("\t[{}]", text("repair").replace('_', " ")));
    for_terminal(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_where_and_how_it_stands() {
        let item = json!({
            "place_name": "Login", "kind": "redirect_urls_changed", "subject": "c1", "member": "redirect_uris",
            "wanted": "https://a.example/", "found": "https://b.example/\u{1b}[2J", "repair": "not_possible",
        });
        assert_eq!(
            line(&item),
            "Login\tredirect_urls_changed\tc1\tredirect_uris\twanted https://a.example/\t\
             found https://b.example/ [2J\t[not possible]"
        );
    }
}
