//! How the portal authorizes itself at a provider when it registers a client.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// How Portico authorises itself when it registers a client.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Method {
    /// Registration is open (RFC 7591 section 3, "open registration").
    None,
    /// RFC 7591 section 1.2.
    InitialAccessToken,
    /// A token of the provider's own administration.
    ApiToken,
    /// A fresh access token for each call (RFC 6749 section 4.4).
    ClientCredentials,
}

impl Method {
    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What a type of provider needs to be told beyond its well-known document. No secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Scopes that the management credentials ask for; empty: what the kind needs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub management_scope: String,
    /// Audience that they ask for; empty: what the kind needs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub management_audience: String,
    /// They go into the body instead of the header (RFC 6749 section 2.3.1).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub management_in_body: bool,
    /// Auth0: the identifier of the API whose scopes clients are granted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_audience: String,
    /// Curity: the client that dynamic clients are instances of.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_template: String,
}

impl Options {
    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_read_back_in_both_forms() {
        for method in Method::VARIANTS {
            assert_eq!(method.to_string().parse(), Ok(*method));
            assert_eq!(
                serde_json::to_value(method).unwrap(),
                serde_json::json!(method.as_str())
            );
        }
        assert!("".parse::<Method>().is_err());
    }

    #[test]
    fn what_is_not_said_is_not_stored() {
        assert!(Options::default().is_empty());
        assert_eq!(serde_json::to_string(&Options::default()).unwrap(), "{}");
        let options = Options {
            management_in_body: true,
            ..Options::default()
        };
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(text, r#"{"management_in_body":true}"#);
        assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), options);
    }
}
