//! What providers repeat of what people wrote: names, redirect URLs and other addresses.

use serde::{Deserialize, Serialize};

use super::{Difference, Metadata, UNUSED_REDIRECT, WantedClient};

/// The part of an answer that is personal: in the vault, never in an event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Echo {
    /// Members that people wrote.
    pub granted: Metadata,
    /// Differences of such members.
    pub differences: Vec<Difference>,
    /// The redirect URLs that the client has: as granted where the provider says so, otherwise as asked.
    pub redirect_urls: Vec<String>,
}

impl Echo {
    /// Takes the personal part out of what was granted and how that differs from what was sent.
    #[must_use]
    pub fn taken_from(
        sent: &WantedClient,
        granted: &mut Metadata,
        differences: &mut Vec<Difference>,
    ) -> Self {
        let personal = granted.take(is_personal);
        let in_force = personal.list("redirect_uris");
        let in_force = in_force.map(|granted| granted.into_iter().collect());
        let mut redirect_urls: Vec<String> = in_force.unwrap_or_else(|| sent.redirect_uris.clone());
        redirect_urls.retain(|url| url != UNUSED_REDIRECT);
        let (about_people, rest) = std::mem::take(differences)
            .into_iter()
            .partition(|one| is_personal(&one.member));
        *differences = rest;
        Self {
            granted: personal,
            differences: about_people,
            redirect_urls,
        }
    }

    /// Puts it back.
    pub fn put_back(&self, granted: &mut Metadata, differences: &mut Vec<Difference>) {
        granted.extend(&self.granted);
        differences.extend(self.differences.iter().cloned());
    }
}

/// Whether people choose the value of a member; it may have a language tag (RFC 7591 section 2.2).
fn is_personal(member: &str) -> bool {
    let name = member.split('#').next().unwrap_or(member);
    // Whether a client can get a token depends on these two.
    let tells_of_key = matches!(name, "jwks_uri" | "tls_client_auth_san_uri");
    let is_address = (name.ends_with("_uri") || name.ends_with("_uris")) && !tells_of_key;
    is_address || matches!(name, "client_name" | "name" | "contacts" | "callbacks")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client_metadata::differences;

    #[test]
    fn what_people_wrote_is_taken_out_and_put_back() {
        let sent = WantedClient {
            name: "Shop".into(),
            redirect_uris: vec![
                "https://shop.example/a".into(),
                "https://shop.example/b".into(),
            ],
            scopes: ["pay".to_owned(), "ship".to_owned()].into(),
            ..WantedClient::default()
        };
        let answer = json!({
            "client_name": "Shop (1)", "client_name#de": "Laden", "redirect_uris": ["https://shop.example/a"],
            "client_uri": "https://shop.example/", "contacts": ["anna@shop.example"], "scope": "pay",
            "grant_types": [],
        });
        let whole = Metadata::from_answer(answer.as_object().unwrap().clone());
        let all = differences(&sent, &whole);
        let (mut granted, mut others) = (whole.clone(), all.clone());
        let echo = Echo::taken_from(&sent, &mut granted, &mut others);
        let kept = serde_json::to_string(&(&granted, &others))
            .unwrap()
            .to_lowercase();
        assert!(!kept.contains("shop") && !kept.contains("laden"), "{kept}");
        assert_eq!(granted.text("scope"), Some("pay"));
        assert_eq!(others.len(), 1);
        assert_eq!(echo.redirect_urls, ["https://shop.example/a"]);
        echo.put_back(&mut granted, &mut others);
        assert_eq!(granted, whole);
        assert_eq!(others.len(), all.len());
    }

    #[test]
    fn where_nothing_is_repeated_what_was_asked_is_in_force() {
        let sent = WantedClient {
            redirect_uris: vec!["https://shop.example/a".into(), UNUSED_REDIRECT.into()],
            ..WantedClient::default()
        };
        let echo = Echo::taken_from(&sent, &mut Metadata::default(), &mut Vec::new());
        assert_eq!(echo.redirect_urls, ["https://shop.example/a"]);
    }
}
