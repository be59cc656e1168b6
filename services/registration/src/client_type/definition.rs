//! The metadata that a client type stands for, and which of it fits together.

use std::collections::BTreeSet;

use portico_proto::Error;
use portico_runtime::{Problems, texts};
use serde::{Deserialize, Serialize};

/// Grant types (RFC 7591 section 2, RFC 8628 section 3.4, RFC 8693 section 2.1, RFC 7523 section 2.1). Not
/// `password`: RFC 9700 section 2.4 forbids it.
const GRANT_TYPES: [&str; 7] = [
    "authorization_code",
    "client_credentials",
    "refresh_token",
    "implicit",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
];
/// What a response type is made of (OAuth 2.0 Multiple Response Type Encoding Practices).
const RESPONSE_TYPES: [&str; 3] = ["code", "id_token", "token"];
/// A client type that is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// 1 to 100 characters.
    pub name: String,
    /// At most 2000 characters.
    pub description: String,
    /// RFC 7591 section 2; may be empty.
    pub response_types: BTreeSet<String>,
    /// RFC 7591 section 2; never empty.
    pub grant_types: BTreeSet<String>,
    /// RFC 7591 section 2; never empty.
    pub token_endpoint_auth_method: String,
    /// `web`, `native`, `browser`, `service` or empty. Other drivers than Okta's ignore it.
    pub okta_application_type: String,
}

impl Definition {
    /// Whether clients of this type need redirect URLs (RFC 7591 section 2).
    #[must_use]
    pub fn needs_redirect_urls(&self) -> bool {
        ["authorization_code", "implicit"]
            .iter()
            .any(|grant| self.grant_types.contains(*grant))
    }
}

/// A client type as it was entered.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// See [`Definition`].
    pub name: String,
    /// See [`Definition`].
    pub description: String,
    /// In any order, also of the words in one.
    pub response_types: Vec<String>,
    /// In any order.
    pub grant_types: Vec<String>,
    /// Empty: `client_secret_basic`, the default of RFC 7591 section 2.
    pub token_endpoint_auth_method: String,
    /// See [`Definition`].
    pub okta_application_type: String,
}

impl Draft {
    /// Checks it as a whole. `problems` are those found before.
    ///
    /// # Errors
    /// All problems at once.
    pub fn checked(self, mut problems: Problems) -> Result<Definition, Error> {
        let method = match self.token_endpoint_auth_method.as_str() {
            "" => "client_secret_basic",
            method => method,
        };
        let definition = Definition {
            name: texts::name(&mut problems, "name", &self.name),
            description: texts::description(&mut problems, "description", &self.description),
            response_types: self
                .response_types
                .iter()
                .map(|text| ordered(text))
                .collect(),
            grant_types: self
                .grant_types
                .iter()
                .map(|text| text.trim().to_owned())
                .collect(),
            token_endpoint_auth_method: method.to_owned(),
            okta_application_type: self.okta_application_type,
        };
        definition.check_words(&mut problems);
        // Whether words fit together can be told only where each is known.
        problems.into_result()?;
        let mut problems = Problems::default();
        definition.check_response_types(&mut problems);
        definition.check_grant_types(&mut problems);
        problems.into_result()?;
        Ok(definition)
    }
}

/// The words of a response type in the order in which it is registered with IANA: `code id_token token`.
fn ordered(text: &str) -> String {
    let words: BTreeSet<&str> = text.split_whitespace().collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}

fn parts(response_type: &str) -> impl Iterator<Item = &str> {
    response_type.split(' ')
}

impl Definition {
    fn check_words(&self, problems: &mut Problems) {
        if self.grant_types.is_empty() {
            let right = format!(
                "`grant_types` must name at least one of {}.",
                GRANT_TYPES.join(", ")
            );
            problems.add("grant_types", "grant_types_missing", right);
        }
        if self
            .grant_types
            .iter()
            .any(|grant| !GRANT_TYPES.contains(&grant.as_str()))
        {
            let right = format!("`grant_types` must be among {}.", GRANT_TYPES.join(", "));
            problems.add("grant_types", "grant_type_unknown", right);
        }
        let known = |kind: &String| {
            kind == "none" || parts(kind).all(|part| RESPONSE_TYPES.contains(&part))
        };
        if !self.response_types.iter().all(known) {
            let right = "`response_types` must be `none` or made of `code`, `id_token` and `token`, for example \
                         `code` or `code id_token`.";
            problems.add("response_types", "response_type_unknown", right);
        }
    }

    fn grants(&self, grant: &str) -> bool {
        self.grant_types.contains(grant)
    }

    /// RFC 7591 section 2.1. `token` also goes with `client_credentials`: Okta wants it for services.
    fn check_response_types(&self, problems: &mut Problems) {
        let answers = |word: &str| {
            self.response_types
                .iter()
                .any(|kind| parts(kind).any(|part| part == word))
        };
        let (code, token, id_token) = (answers("code"), answers("token"), answers("id_token"));
        let mut mismatch =
            |right: &str| problems.add("response_types", "response_types_mismatch", right);
        if code && !self.grants("authorization_code") {
            mismatch(
                "The response type `code` needs the grant type `authorization_code` (RFC 7591 section 2.1).",
            );
        }
        if self.grants("authorization_code") && !code {
            mismatch(
                "The grant type `authorization_code` needs the response type `code` (RFC 7591 section 2.1).",
            );
        }
        let service = self.grants("client_credentials");
        if !self.grants("implicit") && (id_token || (token && !service)) {
            mismatch(
                "The response types `token` and `id_token` need the grant type `implicit` (RFC 7591 section 2.1).",
            );
        }
        if self.grants("implicit") && !token && !id_token {
            mismatch(
                "The grant type `implicit` needs the response type `token` or `id_token` (RFC 7591 section 2.1).",
            );
        }
    }

    fn check_grant_types(&self, problems: &mut Problems) {
        if self.grants("refresh_token") && self.grant_types.len() == 1 {
            let right = "`refresh_token` must come with a grant type that gives refresh tokens, for example \
                         `authorization_code`.";
            problems.add("grant_types", "grant_types_mismatch", right);
        }
        // RFC 6749 section 4.4: only confidential clients.
        if self.grants("client_credentials") && self.token_endpoint_auth_method == "none" {
            let right = "`token_endpoint_auth_method` must not be `none` with the grant type \
                         `client_credentials`, which needs a client that can keep a secret.";
            problems.add("token_endpoint_auth_method", "auth_method_mismatch", right);
        }
    }
}
