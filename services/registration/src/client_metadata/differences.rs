//! Where a provider granted something else than was asked for, and what that means.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::metadata::secret_expires_at;
use super::{Metadata, WantedClient, joined};

/// A member that the provider granted with another value than was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Member of RFC 7591 section 2.
    pub member: String,
    /// What was asked for.
    pub asked: String,
    /// What was granted.
    pub granted: String,
    /// What it means for the people concerned.
    pub consequence: String,
}

/// Where `granted` differs from `wanted`. A member that the answer leaves out is
/// taken as granted, because many providers echo only a part.
#[must_use]
pub fn differences(wanted: &WantedClient, granted: &Metadata) -> Vec<Difference> {
    let redirect_uris = wanted.redirect_uris.iter().cloned().collect();
    let sets = [
        ("scope", &wanted.scopes, SCOPES),
        ("grant_types", &wanted.grant_types, GRANTS),
        ("response_types", &wanted.response_types, RESPONSES),
        ("redirect_uris", &redirect_uris, REDIRECTS),
    ];
    let of_set = |(member, asked, words)| of_sets(member, asked, &granted.list(member)?, words);
    let mut found: Vec<Difference> = sets.into_iter().filter_map(of_set).collect();
    found.extend(of_auth_method(wanted, granted));
    found.extend(of_expiry(granted));
    found
}

/// What it means that values are missing, or were added.
type Words = (&'static str, &'static str);

const SCOPES: Words = (
    "a token with the missing scopes cannot be had, so calls that need them are refused",
    "the client may ask for more scopes than were approved",
);
const GRANTS: Words = (
    "tokens cannot be had by the missing grant types",
    "the provider also allows the added grant types",
);
const RESPONSES: Words = (
    "the missing response types cannot be used",
    "the provider also allows the added response types",
);
const REDIRECTS: Words = (
    "signing in ends with an error for the missing redirect URLs",
    "the provider also accepts the added redirect URLs",
);

fn of_sets(
    member: &str,
    asked: &BTreeSet<String>,
    granted: &BTreeSet<String>,
    (missing, added): Words,
) -> Option<Difference> {
    let lacking: BTreeSet<String> = asked.difference(granted).cloned().collect();
    let missing = match member {
        "grant_types" => format!("this client cannot use {}: {missing}", joined(&lacking)),
        _ => missing.to_owned(),
    };
    let consequence = match (asked.is_subset(granted), granted.is_subset(asked)) {
        (true, true) => return None,
        (true, false) => added.to_owned(),
        (false, true) => missing,
        (false, false) => format!("{missing}; {added}"),
    };
    Some(Difference {
        member: member.into(),
        asked: joined(asked),
        granted: joined(granted),
        consequence,
    })
}

fn of_auth_method(wanted: &WantedClient, granted: &Metadata) -> Option<Difference> {
    let method = granted.text("token_endpoint_auth_method")?;
    (method != wanted.auth_method()).then(|| Difference {
        member: "token_endpoint_auth_method".into(),
        asked: wanted.auth_method().into(),
        granted: method.into(),
        consequence: format!("the application must authenticate by {method}"),
    })
}

fn of_expiry(granted: &Metadata) -> Option<Difference> {
    let (expires, _) = secret_expires_at(granted.members());
    (expires != 0).then(|| Difference {
        member: "client_secret_expires_at".into(),
        asked: "0".into(),
        granted: expires.to_string(),
        consequence: "the secret stops working at that time (Unix seconds)".into(),
    })
}
