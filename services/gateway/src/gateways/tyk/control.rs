//! What the driver needs of a control API: definitions and policies as the open-source gateway has them. An
//! implementation whose API says things otherwise translates both ways.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::Value;

use crate::gateways::{CreatedKey, Failure};

/// One gateway, for one piece of work.
#[async_trait]
pub(super) trait Control: Send + Sync {
    /// Whether it answers, as a control API of this kind does, and takes the secret.
    async fn hello(&self) -> Result<(), Failure>;

    /// An API definition, by `api_id`.
    async fn api(&self, id: &str) -> Result<Option<Value>, Failure>;
    /// All definitions.
    async fn apis(&self) -> Result<Vec<Value>, Failure>;
    /// Of an API that is not there.
    async fn create_api(&self, definition: Value) -> Result<(), Failure>;
    /// The definition as a whole, as [`Control::api`] gave it, with what is to change.
    async fn replace_api(&self, id: &str, definition: Value) -> Result<(), Failure>;

    async fn policy(&self, id: &str) -> Result<Option<Value>, Failure>;
    /// All policies.
    async fn policies(&self) -> Result<Vec<Value>, Failure>;
    /// Of one that is not there.
    async fn create_policy(&self, policy: Value) -> Result<(), Failure>;
    /// The policy as a whole, as [`Control::policy`] gave it, with what is to change.
    async fn replace_policy(&self, id: &str, policy: Value) -> Result<(), Failure>;
    /// One that is not there is a success.
    async fn delete_policy(&self, id: &str) -> Result<(), Failure>;

    /// Makes what was written take effect.
    async fn reload(&self) -> Result<(), Failure>;
    /// `false` where there is no such call.
    async fn flush_keys(&self, api_ids: &BTreeSet<String>) -> Result<bool, Failure>;

    /// Creates a key of a session.
    async fn create_key(&self, session: Value) -> Result<CreatedKey, Failure>;
    /// Hashes of all keys.
    async fn key_hashes(&self) -> Result<Vec<String>, Failure>;
    /// The session of a key.
    async fn key(&self, hash: &str) -> Result<Option<Value>, Failure>;
    /// One that is not there is a success.
    async fn delete_key(&self, hash: &str) -> Result<(), Failure>;
}
