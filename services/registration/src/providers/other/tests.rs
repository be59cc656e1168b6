//! Against servers that behave as providers were seen to.

mod failures;
mod manage;
mod register;

use std::time::Duration;

use serde_json::json;
use url::Url;

use super::*;
use crate::providers::Method;
use crate::providers::double::{Fixture, MemorySpool, Reply, Seen, ids, reply, set, wanted};
use crate::providers::metadata::differences;
use crate::providers::session::Step;

async fn register(fixture: &Fixture) -> Result<RegisteredClient, Failure> {
    let prepared = Other.prepare(fixture.site(), &wanted(&["a", "b"]), &ids())?;
    Other.register(&fixture.session(), &prepared).await
}
