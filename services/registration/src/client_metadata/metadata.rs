//! What a provider says about a client.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{WantedClient, registration_members};

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

/// What a provider says about a client, with the member names of RFC 7591 and without any secret or token.
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

    /// As it would be if everything asked for were granted; what is known of a client that is there but cannot be read.
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

    /// A member that is a list of texts, as a set. Some providers give one text instead, its words separated by spaces.
    #[must_use]
    pub fn list(&self, member: &str) -> Option<BTreeSet<String>> {
        match self.0.get(member)? {
            Value::String(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
            Value::Array(values) => {
                let texts = values.iter().filter_map(Value::as_str);
                Some(texts.map(str::to_owned).collect())
            }
            _ => None,
        }
    }

    /// The scopes, which some providers give as an array instead of a string.
    #[must_use]
    pub fn scopes(&self) -> Option<BTreeSet<String>> {
        self.list("scope")
    }

    /// What an update starts from: everything that the provider returned, less what only it may set, and less what is
    /// empty: absent means the same (RFC 7592 section 2.2), and some refuse their own `null` or `{}`.
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
