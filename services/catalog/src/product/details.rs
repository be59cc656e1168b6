//! What an admin says about a product.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

/// Who may see a published product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Visibility {
    /// Everybody, also without signing in.
    Public,
    /// Everybody who is signed in.
    #[default]
    Internal,
}

impl Visibility {
    /// As in REST, gRPC and the view.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An API at the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    /// Assigned by the gateway.
    pub api_id: String,
    /// For display; may be empty.
    pub name: String,
    /// Absolute http(s) URL, or empty.
    pub url: String,
    /// Portico's id of the gateway; `None` means the only one there is.
    pub gateway_id: Option<Uuid>,
}

/// The details of a product, each field already validated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// 1 to 100 characters.
    pub name: String,
    /// At most 2000 characters.
    pub description: String,
    /// Whether clients are registered for it (RFC 7591).
    pub dcr_enabled: bool,
    /// Scope tokens of RFC 6749 section 3.3.
    pub scopes: BTreeSet<String>,
    /// Client types of the registration service, in the admin's order.
    pub client_type_ids: Vec<Uuid>,
    /// Applies once it is published; a draft is for admins only.
    pub visibility: Visibility,
    /// Lower case.
    pub tags: BTreeSet<String>,
    /// The APIs that its scopes open.
    pub apis: Vec<Api>,
    /// An existing policy at the gateway, or empty: Portico then creates its own.
    pub policy_id: String,
    /// Markdown.
    pub documentation: String,
}
