//! Client metadata (RFC 7591 section 2): what is asked for, what a provider granted, and what the difference means.
//! The vocabulary that the OAuth client's decider and the provider drivers share; no network.

mod differences;
mod echo;
mod metadata;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use differences::{Difference, differences};
pub use echo::Echo;
pub use metadata::{Metadata, SECRET_CHANGED};
pub(crate) use metadata::{for_update, secret_expires_at};

/// A redirect URL for providers that demand one of clients that never redirect. The domain cannot exist (RFC 2606
/// section 2), so nobody can be sent there.
pub(crate) const UNUSED_REDIRECT: &str = "https://redirect.invalid/unused";

/// Tells an attempt apart from every other; goes where the provider keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The request or client that the registration is for.
    pub id: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

impl Marker {
    /// The marker that a text is: the canonical form of a UUID and a number. `None` where it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, attempt) = text.rsplit_once('.')?;
        let parsed = Self {
            id: Uuid::try_parse(id).ok()?.to_string(),
            attempt: attempt.parse().ok()?,
        };
        (parsed.to_string() == text).then_some(parsed)
    }

    /// The marker at the end of a client's name. What stands before it is the application's name, which its owner may
    /// change, and which is erased with them; so a client is never told by that.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let (_, marker) = name.strip_suffix(']')?.rsplit_once(" [")?;
        Self::parse(marker)
    }

    /// The marker in the members of RFC 7591: the software id and version, or the end of the name.
    pub(crate) fn of_members(members: &Map<String, Value>) -> Option<Self> {
        let text = |member: &str| members.get(member)?.as_str();
        let by_software = || {
            let (id, version) = (text("software_id")?, text("software_version")?);
            Self::parse(&format!("{id}.{version}"))
        };
        by_software().or_else(|| Self::of_name(text("client_name")?))
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id, self.attempt)
    }
}

/// What is sent of a client, less what people wrote: that is asked for when it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRequest {
    /// Which name and redirect URLs the application has.
    pub profile: Uuid,
    /// RFC 7591 section 2.
    pub grant_types: BTreeSet<String>,
    /// RFC 7591 section 2; empty: not sent.
    pub response_types: BTreeSet<String>,
    /// RFC 7591 section 2; empty: `client_secret_basic`.
    pub token_endpoint_auth_method: String,
    /// Of the products and plans that were approved. Empty means none at all.
    pub scopes: BTreeSet<String>,
    /// Okta's `application_type`; empty: derived from the grant types.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub okta_application_type: String,
    /// See [`Marker`].
    pub marker: Marker,
}

/// Name and redirect URLs of an application, as the access-request service tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Display name; says that it is erased where it is.
    pub name: String,
    /// Already checked: exact, absolute, without fragment or wildcard.
    pub redirect_urls: Vec<String>,
    /// Nobody knows it any more.
    pub erased: bool,
}

impl ClientRequest {
    /// With what people wrote. Where that is erased and the client redirects, it redirects nowhere: so an attempt without
    /// an outcome can still be found out about, and undone.
    #[must_use]
    pub fn named(&self, profile: &Profile) -> WantedClient {
        let redirects = self.grant_types.contains("authorization_code")
            || self.grant_types.contains("implicit");
        let redirect_uris = match profile.erased && redirects {
            true => vec![UNUSED_REDIRECT.to_owned()],
            false => profile.redirect_urls.clone(),
        };
        WantedClient {
            name: profile.name.clone(),
            redirect_uris,
            grant_types: self.grant_types.clone(),
            response_types: self.response_types.clone(),
            token_endpoint_auth_method: self.token_endpoint_auth_method.clone(),
            scopes: self.scopes.clone(),
            okta_application_type: self.okta_application_type.clone(),
            marker: self.marker.clone(),
            erased: profile.erased,
        }
    }
}

/// The client that is wanted, as a provider is told. Holds no secret, but what people wrote; so it is never stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedClient {
    /// Of the application; shortened to what providers take.
    pub name: String,
    /// Already checked: exact, absolute, without fragment or wildcard.
    pub redirect_uris: Vec<String>,
    /// RFC 7591 section 2.
    pub grant_types: BTreeSet<String>,
    /// RFC 7591 section 2; empty: not sent.
    pub response_types: BTreeSet<String>,
    /// RFC 7591 section 2; empty: `client_secret_basic`.
    pub token_endpoint_auth_method: String,
    /// Of the products and plans that were approved. Empty means none at all.
    pub scopes: BTreeSet<String>,
    /// Okta's `application_type`; empty: derived from the grant types.
    pub okta_application_type: String,
    /// See [`Marker`].
    pub marker: Marker,
    /// What people wrote is erased; a provider may still quote it.
    pub erased: bool,
}

impl WantedClient {
    /// The method by which the client authenticates; RFC 7591 section 2 has the default.
    #[must_use]
    pub fn auth_method(&self) -> &str {
        if self.token_endpoint_auth_method.is_empty() {
            "client_secret_basic"
        } else {
            &self.token_endpoint_auth_method
        }
    }

    /// Whether the client has no secret.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.auth_method() == "none"
    }

    /// The name without control characters and short enough: at 256 characters Keycloak 26.7.3 answers with a 500.
    pub(crate) fn client_name(&self) -> String {
        self.name
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect()
    }
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
