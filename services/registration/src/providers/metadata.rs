//! Client metadata (RFC 7591 section 2): what is sent, what came back, and what
//! the difference means.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::WantedClient;

/// Members of an answer that never become metadata.
const SECRET_MEMBERS: [&str; 3] = [
    "client_secret",
    "registration_access_token",
    "software_statement",
];

/// True in the answer to a read where the client has another secret than the stored one. Only a driver whose provider
/// shows secrets as they are can say so: others show digests, which are no sign of anything.
pub const SECRET_CHANGED: &str = "portico_secret_changed";

/// Members that an update must not send back (RFC 7592 section 2.2).
const SERVER_MEMBERS: [&str; 5] = [
    "registration_access_token",
    "registration_client_uri",
    "client_id_issued_at",
    "client_secret_expires_at",
    SECRET_CHANGED,
];

/// What a provider says about a client, with the member names of RFC 7591 and
/// without any secret or token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    /// Takes the members of an answer, less the secret ones.
    #[must_use]
    pub fn from_answer(mut members: Map<String, Value>) -> Self {
        members.retain(|name, _| !SECRET_MEMBERS.contains(&name.as_str()));
        Self(members)
    }

    /// As it would be if everything asked for were granted; what is known of a
    /// client that is there but cannot be read.
    #[must_use]
    pub fn assumed(wanted: &WantedClient) -> Self {
        Self(registration_members(wanted))
    }

    /// With a member that is the driver's own.
    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.insert(member.to_owned(), value.into());
        self
    }

    /// All members.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A member that is a text.
    #[must_use]
    pub fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member)?.as_str()
    }

    /// A member that is a list of texts, as a set. Some providers give one text
    /// instead, its words separated by spaces.
    #[must_use]
    pub fn list(&self, member: &str) -> Option<BTreeSet<String>> {
        match self.0.get(member)? {
            Value::String(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
            Value::Array(values) => Some(
                values
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            ),
            _ => None,
        }
    }

    /// The scopes, which some providers give as an array instead of a string.
    #[must_use]
    pub fn scopes(&self) -> Option<BTreeSet<String>> {
        self.list("scope")
    }

    /// What an update starts from: everything that the provider returned, less
    /// what only it may set, and less what is empty: absent means the same (RFC 7592 section 2.2), and some refuse
    /// their own `null` or `{}`.
    pub(crate) fn for_update(&self) -> Map<String, Value> {
        let mut members = self.0.clone();
        members.retain(|name, value| !SERVER_MEMBERS.contains(&name.as_str()) && !is_empty(value));
        members
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// When a secret ends, in Unix seconds, 0: never (RFC 7591 section 3.2.1). Some give the number as a text.
pub(crate) fn secret_expires_at(members: &Map<String, Value>) -> u64 {
    let seconds = match members.get("client_secret_expires_at") {
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_u64().or_else(|| whole(value.as_f64()?)),
        None => None,
    };
    seconds.unwrap_or(0)
}

fn whole(seconds: f64) -> Option<u64> {
    format!("{seconds:.0}").parse().ok()
}

/// The members that are sent: a strict allow-list, and no more than says what is
/// wanted. `response_types: []` is refused by some, so it is left out.
pub(crate) fn registration_members(wanted: &WantedClient) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("client_name".into(), wanted.client_name().into());
    members.insert("grant_types".into(), array(&wanted.grant_types));
    members.insert(
        "token_endpoint_auth_method".into(),
        wanted.auth_method().into(),
    );
    if !wanted.response_types.is_empty() {
        members.insert("response_types".into(), array(&wanted.response_types));
    }
    if !wanted.redirect_uris.is_empty() {
        members.insert("redirect_uris".into(), array(&wanted.redirect_uris));
    }
    // Absent would mean the provider's own choice of scopes, often all of them.
    members.insert("scope".into(), joined(&wanted.scopes).into());
    members
}

/// A JSON array of texts.
pub(crate) fn array<'a>(values: impl IntoIterator<Item = &'a String>) -> Value {
    values.into_iter().cloned().map(Value::String).collect()
}

/// Scopes as one text (RFC 6749 section 3.3), in alphabetical order.
pub(crate) fn joined<'a>(values: impl IntoIterator<Item = &'a String>) -> String {
    let values: Vec<&str> = values.into_iter().map(String::as_str).collect();
    values.join(" ")
}

/// Something that the provider granted otherwise than asked.
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
        ("scope", &wanted.scopes, granted.scopes(), SCOPES),
        (
            "grant_types",
            &wanted.grant_types,
            granted.list("grant_types"),
            GRANTS,
        ),
        (
            "response_types",
            &wanted.response_types,
            granted.list("response_types"),
            RESPONSES,
        ),
        (
            "redirect_uris",
            &redirect_uris,
            granted.list("redirect_uris"),
            REDIRECTS,
        ),
    ];
    let mut found: Vec<Difference> = sets
        .into_iter()
        .filter_map(|(member, asked, granted, words)| of_sets(member, asked, &granted?, words))
        .collect();
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
    let expires = secret_expires_at(granted.members());
    (expires != 0).then(|| Difference {
        member: "client_secret_expires_at".into(),
        asked: "0".into(),
        granted: expires.to_string(),
        consequence: "the secret stops working at that time (Unix seconds)".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::double::wanted;
    use serde_json::json;

    fn metadata(value: Value) -> Metadata {
        Metadata::from_answer(value.as_object().unwrap().clone())
    }

    #[test]
    fn sends_the_allow_list_and_nothing_else() {
        let members = registration_members(&wanted(&["b", "a"]));
        assert_eq!(
            Value::Object(members),
            json!({
                "client_name": "Weather app",
                "grant_types": ["client_credentials"],
                "token_endpoint_auth_method": "client_secret_basic",
                "scope": "a b",
            })
        );
    }

    #[test]
    fn keeps_no_secret() {
        let kept = metadata(json!({
            "client_id": "c", "client_secret": "s", "registration_access_token": "r",
            "software_statement": "j", "unknown": 1,
        }));
        assert_eq!(
            serde_json::to_value(&kept).unwrap(),
            json!({"client_id": "c", "unknown": 1})
        );
    }

    #[test]
    fn an_update_sends_back_all_but_what_the_server_sets() {
        let kept = metadata(json!({
            "client_id": "c", "registration_client_uri": "u", "client_id_issued_at": 1,
            "client_secret_expires_at": 0, "subject_type": "public",
            "jwks": null, "logo_uri": "", "contacts": [], "metadata": {}, "require_auth_time": false,
        }));
        assert_eq!(
            Value::Object(kept.for_update()),
            json!({"client_id": "c", "subject_type": "public", "require_auth_time": false})
        );
    }

    #[test]
    fn the_end_of_a_secret_is_read_in_every_form() {
        for (given, expected) in [
            (json!(1_800_000_000), 1_800_000_000),
            (json!(1_800_000_000.0), 1_800_000_000),
            (json!("1800000000"), 1_800_000_000),
            (json!("0"), 0),
            (json!(null), 0),
            (json!(-1), 0),
            (json!("never"), 0),
        ] {
            let members = metadata(json!({"client_secret_expires_at": given}));
            assert_eq!(secret_expires_at(members.members()), expected, "{given}");
        }
    }

    #[test]
    fn scopes_are_sets_in_either_form() {
        let expected = Some(BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        assert_eq!(metadata(json!({"scope": "b  a b"})).scopes(), expected);
        assert_eq!(metadata(json!({"scope": ["a", "b"]})).scopes(), expected);
        assert_eq!(metadata(json!({"scope": 7})).scopes(), None);
        assert_eq!(metadata(json!({})).scopes(), None);
    }

    #[test]
    fn order_and_silence_are_no_difference() {
        let wanted = wanted(&["a", "b"]);
        assert_eq!(differences(&wanted, &metadata(json!({"scope": "b a"}))), []);
        assert_eq!(differences(&wanted, &metadata(json!({}))), []);
        assert_eq!(differences(&wanted, &Metadata::assumed(&wanted)), []);
    }

    #[test]
    fn a_grant_type_that_is_missing_is_named() {
        let granted = metadata(json!({"grant_types": ["authorization_code"]}));
        let found = differences(&wanted(&[]), &granted);
        let consequence = &found[0].consequence;
        assert!(
            consequence.contains("this client cannot use client_credentials"),
            "{consequence}"
        );
    }

    #[test]
    fn every_difference_says_what_it_means() {
        let granted = metadata(json!({
            "scope": "a c",
            "grant_types": ["client_credentials", "refresh_token"],
            "response_types": ["none"],
            "redirect_uris": [],
            "token_endpoint_auth_method": "client_secret_post",
            "client_secret_expires_at": 1_800_000_000,
        }));
        let found = differences(&wanted(&["a", "b"]), &granted);
        let members: Vec<_> = found.iter().map(|d| d.member.as_str()).collect();
        assert_eq!(
            members,
            [
                "scope",
                "grant_types",
                "response_types",
                "token_endpoint_auth_method",
                "client_secret_expires_at"
            ]
        );
        assert_eq!(
            (found[0].asked.as_str(), found[0].granted.as_str()),
            ("a b", "a c")
        );
        assert!(
            found[0].consequence.contains("refused")
                && found[0].consequence.contains("more scopes")
        );
        assert_eq!(found[1].consequence, GRANTS.1);
    }
}
