//! What a delivery is about, and how it can fail.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

use super::Template;

/// The message and its recipient. No address and no name: both are looked up at every attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Template that the e-mail is rendered from.
    pub template: Template,
    /// Id of the user who receives it.
    pub recipient_id: Uuid,
    /// The access request that it is about; none for a test message.
    pub subject_id: Option<Uuid>,
    /// What failed or changed at the provider, for the templates that say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A failed registration, or a change of a client, as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Name of the identity provider.
    pub provider_name: String,
    /// Machine-readable.
    pub code: String,
    /// The provider's own message, without addresses.
    pub words: String,
}

/// Why a delivery ended without success; as `MailFailed.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// The recipient is erased or not active.
    RecipientGone,
    /// The access request does not exist any more.
    SubjectGone,
    /// The recipient's address is not a valid one.
    AddressInvalid,
    /// The mail server refused it permanently (5xx).
    Refused,
    /// The last attempt that the configuration allows has failed.
    GaveUp,
}

impl Reason {
    /// As in events.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The `Message-ID` (RFC 5322 section 3.6.4), a function of the delivery: mail programs recognise a message that is sent
/// again after a crash as the same one, and a resend on request as another one.
pub fn message_id(id: &str, resends: u32, host: &str) -> String {
    match resends {
        0 => format!("<{id}@{host}>"),
        n => format!("<{id}.{n}@{host}>"),
    }
}
