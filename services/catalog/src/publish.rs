//! Private events -> public events.
//!
//! A change of a draft is told as well: access that was granted outlives the publication, and what serves it has
//! to follow.

use async_trait::async_trait;
use portico_eventstore::{
    EventStore, RecordedEvent, StoreError,
    relay::{PublicEvent, Publish},
};
use portico_proto::catalog::v1::{
    PlanChanged, PlanDeleted, ProductChanged, ProductDeleted, ProductPublished,
};
use portico_runtime::messages::encode;

use crate::{
    plan::{self, Plan},
    product::{self, Product},
    wire,
};

/// Translates the catalogue's events.
pub(crate) struct Translation;

#[async_trait]
impl Publish for Translation {
    async fn publish(
        &self,
        store: &EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError> {
        if let Some(private) = event.decode::<Product>()? {
            return product(store, event, &private).await;
        }
        if let Some(private) = event.decode::<Plan>()? {
            return plan(store, event, &private).await.map(Some);
        }
        Ok(None)
    }
}

async fn product(
    store: &EventStore,
    event: &RecordedEvent,
    private: &product::Event,
) -> Result<Option<PublicEvent>, StoreError> {
    let id = event.stream_id();
    let product = async || {
        let state = store.load_at::<Product>(id, event.version).await?;
        Ok::<_, StoreError>(Some(wire::product(id, event.version, &state)))
    };
    let public = match private {
        product::Event::Created { .. } => return Ok(None),
        product::Event::Published { .. } => encode(
            "portico.catalog.product_published",
            &ProductPublished {
                product: product().await?,
            },
        ),
        product::Event::Changed { .. } | product::Event::Unpublished { .. } => encode(
            "portico.catalog.product_changed",
            &ProductChanged {
                product: product().await?,
            },
        ),
        product::Event::Deleted { .. } => encode(
            "portico.catalog.product_deleted",
            &ProductDeleted {
                product_id: id.to_string(),
            },
        ),
    };
    Ok(Some(public))
}

async fn plan(
    store: &EventStore,
    event: &RecordedEvent,
    private: &plan::Event,
) -> Result<PublicEvent, StoreError> {
    let id = event.stream_id();
    Ok(match private {
        plan::Event::Created { .. } | plan::Event::Changed { .. } => {
            let state = store.load_at::<Plan>(id, event.version).await?;
            let plan = Some(wire::plan(id, event.version, &state));
            encode("portico.catalog.plan_changed", &PlanChanged { plan })
        }
        plan::Event::Deleted { .. } => encode(
            "portico.catalog.plan_deleted",
            &PlanDeleted {
                plan_id: id.to_string(),
            },
        ),
    })
}
