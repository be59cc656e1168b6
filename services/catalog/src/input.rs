//! Fields of requests: trimmed, checked, and every problem noted.

use std::collections::BTreeSet;

use portico_proto::{catalog::v1::PolicyMapping, rest::LARGEST_NUMBER};
use portico_runtime::{Problems, texts};
use url::Url;
use uuid::Uuid;

const DOCUMENTATION_BYTES: usize = 100_000;
const TAGS: usize = 20;
const TAG: usize = 40;
const SCOPES: usize = 100;
const SCOPE: usize = 255;
const POLICY_ID: usize = 200;
/// As many as the registration service lists on one page.
const CLIENT_TYPES: usize = 100;
pub(crate) const APIS: usize = 100;
const API_ID: usize = 200;
const URL: usize = 2000;

/// Reads fields and notes what is wrong with them. What it gives for a wrong field is not to be used.
#[derive(Default)]
pub(crate) struct Input {
    pub(crate) problems: Problems,
}

impl Input {
    pub(crate) fn name(&mut self, field: &str, text: &str) -> String {
        texts::name(&mut self.problems, field, text)
    }

    pub(crate) fn description(&mut self, text: &str) -> String {
        texts::description(&mut self.problems, "description", text)
    }

    pub(crate) fn documentation(&mut self, text: &str) -> String {
        texts::document(
            &mut self.problems,
            "documentation",
            text,
            DOCUMENTATION_BYTES,
        )
    }

    /// Scope tokens of RFC 6749 section 3.3. A text with several, separated by spaces, counts as several.
    pub(crate) fn scopes(&mut self, texts: &[String]) -> BTreeSet<String> {
        let scopes: BTreeSet<String> = texts
            .iter()
            .flat_map(|text| text.split(' '))
            .filter(|token| !token.is_empty())
            .map(str::to_owned)
            .collect();
        for scope in &scopes {
            if scope.len() > SCOPE || !scope.bytes().all(is_scope_byte) {
                self.problems.add(
                    "scopes",
                    "scopes_invalid",
                    format!(
                        "`scopes`: {scope:?} is no scope. A scope has 1 to {SCOPE} visible ASCII characters, without \
                         quotation marks and backslashes (RFC 6749 section 3.3)."
                    ),
                );
            }
        }
        self.at_most("scopes", scopes.len(), SCOPES);
        scopes
    }

    pub(crate) fn tags(&mut self, texts: &[String]) -> BTreeSet<String> {
        let tags: BTreeSet<String> = texts.iter().map(|text| tag(text)).collect();
        let wrong = |tag: &String| {
            tag.is_empty() || tag.chars().count() > TAG || tag.contains(char::is_control)
        };
        if tags.iter().any(wrong) {
            self.problems.add(
                "tags",
                "tags_invalid",
                format!(
                    "`tags`: each must have 1 to {TAG} characters, without control characters."
                ),
            );
        }
        for tag in &tags {
            texts::no_disguise(&mut self.problems, "tags", tag);
        }
        self.at_most("tags", tags.len(), TAGS);
        tags
    }

    pub(crate) fn client_type_ids(&mut self, texts: &[String]) -> Vec<Uuid> {
        let mut ids = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match self.id(&format!("client_type_ids[{index}]"), text) {
                Some(id) if !ids.contains(&id) => ids.push(id),
                _ => {}
            }
        }
        self.at_most("client_type_ids", ids.len(), CLIENT_TYPES);
        ids
    }

    pub(crate) fn id(&mut self, field: &str, text: &str) -> Option<Uuid> {
        let id = text.trim().parse().ok();
        if id.is_none() {
            self.problems.add(
                field,
                "id_invalid",
                format!("`{field}` must be an id such as 0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e."),
            );
        }
        id
    }

    pub(crate) fn policy_id(&mut self, mapping: Option<PolicyMapping>) -> String {
        let policy_id = mapping.and_then(|mapping| mapping.policy_id);
        let text = policy_id.as_deref().unwrap_or_default();
        texts::line(&mut self.problems, "policy_id", text, POLICY_ID)
    }

    pub(crate) fn api_id(&mut self, field: &str, text: &str) -> String {
        let id = texts::line(&mut self.problems, field, text, API_ID);
        if id.is_empty() {
            let message = format!("`{field}` must be the API's id at the gateway.");
            self.problems.add(field, "api_id_missing", message);
        }
        id
    }

    /// An absolute http(s) URL without credentials, or empty.
    pub(crate) fn url(&mut self, field: &str, text: &str) -> String {
        let text = text.trim();
        if !text.is_empty() && !is_web_address(text) {
            self.problems.add(
                field,
                "url_invalid",
                format!("`{field}` must be an absolute http or https URL without user and password, or empty."),
            );
        }
        text.to_owned()
    }

    /// A number of a limit, at most what REST can show.
    pub(crate) fn at_least_one(&mut self, field: &str, number: u64) {
        if !(1..=LARGEST_NUMBER).contains(&number) {
            let last = field.rsplit('.').next().unwrap_or(field);
            let right = format!("`{field}` must be a whole number from 1 to {LARGEST_NUMBER}.");
            self.problems.add(field, &format!("{last}_invalid"), right);
        }
    }

    pub(crate) fn at_most(&mut self, field: &str, count: usize, most: usize) {
        if count > most {
            let code = format!("{field}_too_many");
            let message = format!("`{field}` must have at most {most} entries.");
            self.problems.add(field, &code, message);
        }
    }
}

/// A tag as it is stored and looked for.
pub(crate) fn tag(text: &str) -> String {
    texts::composed(&text.trim().to_lowercase())
}

fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}

fn is_web_address(text: &str) -> bool {
    text.len() <= URL
        && Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(input: Input) -> Vec<(String, String)> {
        match input.problems.into_result() {
            Ok(()) => Vec::new(),
            Err(error) => error
                .fields
                .into_iter()
                .map(|f| (f.field, f.code))
                .collect(),
        }
    }

    #[test]
    fn scopes_are_split_sorted_and_checked() {
        let mut input = Input::default();
        let scopes = input.scopes(&["write  read".into(), "read".into()]);
        assert_eq!(scopes.into_iter().collect::<Vec<_>>(), ["read", "write"]);
        assert_eq!(codes(input), []);
        for wrong in ["a\"b", "a\\b", "ä", "a\tb"] {
            let mut input = Input::default();
            input.scopes(&[wrong.to_owned()]);
            assert_eq!(
                codes(input),
                [("scopes".to_owned(), "scopes_invalid".to_owned())],
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn addresses_are_absolute_and_of_the_web() {
        for right in [
            "",
            "https://api.example.com/v1",
            "http://localhost:8080/payments/",
        ] {
            let mut input = Input::default();
            input.url("url", right);
            assert_eq!(codes(input), [], "{right}");
        }
        for wrong in [
            "/v1",
            "ftp://a/b",
            "javascript:alert(1)",
            "https://u:p@a/",
            "http://",
        ] {
            let mut input = Input::default();
            input.url("url", wrong);
            assert_eq!(codes(input).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut input = Input::default();
        input.name("name", "  ");
        input.description(&"x".repeat(2001));
        input.documentation(&"x".repeat(100_001));
        input.tags(&["x".repeat(41)]);
        input.client_type_ids(&["nonsense".into()]);
        input.at_least_one("rate.requests", 0);
        let fields: Vec<_> = codes(input).into_iter().map(|(field, _)| field).collect();
        assert_eq!(
            fields,
            [
                "name",
                "description",
                "documentation",
                "tags",
                "client_type_ids[0]",
                "rate.requests"
            ]
        );
    }

    #[test]
    fn numbers_of_limits_are_named() {
        for number in [0, LARGEST_NUMBER + 1, 1 << 63, u64::MAX] {
            let mut input = Input::default();
            input.at_least_one("quota.requests", number);
            let error = input.problems.into_result().unwrap_err();
            assert_eq!(error.code, "requests_invalid");
            assert_eq!(
                error.message,
                "`quota.requests` must be a whole number from 1 to 9007199254740991."
            );
        }
        for number in [1, LARGEST_NUMBER] {
            let mut input = Input::default();
            input.at_least_one("quota.requests", number);
            assert_eq!(codes(input), []);
        }
        let mut input = Input::default();
        input.at_most("apis", 101, APIS);
        let error = input.problems.into_result().unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.message.as_str()),
            ("apis_too_many", "`apis` must have at most 100 entries.")
        );
    }

    #[test]
    fn tags_become_lower_case() {
        let mut input = Input::default();
        assert_eq!(
            input.tags(&[" Money ".into(), "money".into()]),
            BTreeSet::from(["money".to_owned()])
        );
        assert_eq!(codes(input), []);
        let mut input = Input::default();
        input.tags(&["mo\u{200B}ney".into()]);
        assert_eq!(
            codes(input),
            [("tags".to_owned(), "tags_invalid".to_owned())]
        );
    }
}
