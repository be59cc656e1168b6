//! The table `identity_providers`: identity providers whose gateways have something to follow.

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::worker::Queue;
use portico_eventstore::{Change, Projection, ProjectionError, Table, Tx, cells};

use crate::known::KnownProvider;

pub(crate) struct Providers;

/// What the worker has to tell gateways.
pub(crate) const QUEUE: Queue = Queue {
    table: "identity_providers",
    id: "id",
};

const TABLE: Table = Table {
    name: "identity_providers",
    key: "id",
    columns: "id due_at_ms state updated_at",
    once: "",
};

#[async_trait]
impl Projection for Providers {
    fn tables(&self) -> &'static [&'static str] {
        &["identity_providers"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        let mut rows = Vec::new();
        for provider in change.streams::<KnownProvider>(tx, &TABLE).await? {
            rows.push(cells![
                provider.id,
                provider.after.due().map(Timestamp::as_millisecond),
                serde_json::to_string(&provider.after)?,
                provider.last.recorded_at.to_string(),
            ]);
        }
        TABLE.write(tx, rows).await?;
        Ok(())
    }
}
