//! Against servers that behave as providers were seen to.

mod answers;
mod failures;
mod manage;
mod register;
mod strangers;

use std::time::Duration;

use portico_vault::Secret;
use serde_json::json;
use url::Url;

use super::Other;
use crate::client_metadata::differences;
use crate::providers::double::{Fixture, MemorySpool, Reply, Seen, ids, reply, set, wanted};
use crate::providers::session::Step;
use crate::providers::{
    Deleted, Disposition, Driver, Failure, KnownClient, Method, RawAnswer, Reconciled,
    RegisteredClient,
};

async fn register(fixture: &Fixture) -> Result<RegisteredClient, Failure> {
    let prepared = Other.prepare(fixture.site(), &wanted(&["a", "b"]), &ids())?;
    Other.register(&fixture.session(), &prepared).await
}
