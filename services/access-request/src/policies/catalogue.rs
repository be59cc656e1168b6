//! Following the catalogue: granted access has the scopes that its products and plans have now.

use portico_bus::Message;
use portico_eventstore::{Aggregate as _, Context, InboxEntry, consumer::PolicyError};
use portico_proto::catalog::v1 as catalog;
use portico_runtime::messages::{decode, id};
use uuid::Uuid;

use super::{PLAN_CHANGED, PRODUCT_CHANGED, PRODUCT_DELETED, PRODUCT_PUBLISHED, Policies, poison};
use crate::{
    access_request::{AccessRequest, Command, access},
    terms::{CatalogueChange, CatalogueEntry, Plan, Product},
    views::access_requests,
};

/// `None` where the message says nothing of a product or plan.
pub(super) fn change(message: &Message) -> Result<Option<CatalogueChange>, PolicyError> {
    let product = |product: Option<catalog::Product>| {
        product
            .map(|product| {
                Ok(CatalogueChange::Product(Product::read(
                    id("product.id", &product.id)?,
                    product,
                )))
            })
            .transpose()
    };
    match message.subject.as_str() {
        PRODUCT_PUBLISHED => product(decode::<catalog::ProductPublished>(message)?.product),
        PRODUCT_CHANGED => product(decode::<catalog::ProductChanged>(message)?.product),
        PRODUCT_DELETED => {
            let deleted: catalog::ProductDeleted = decode(message)?;
            let product_id = id("product_id", &deleted.product_id)?;
            Ok(Some(CatalogueChange::ProductDeleted { product_id }))
        }
        PLAN_CHANGED => {
            let plan = decode::<catalog::PlanChanged>(message)?.plan;
            plan.map(|plan| {
                Ok(CatalogueChange::Plan(Plan::read(
                    id("plan.id", &plan.id)?,
                    plan,
                )))
            })
            .transpose()
        }
        other => Err(poison(format!("nobody asked for {other}"))),
    }
}

impl Policies {
    /// Notes the newest first, and looks for granted requests then: one that is approved meanwhile is not found here,
    /// but finds the note itself.
    pub(super) async fn when_catalogue_changed(
        &self,
        change: CatalogueChange,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let subject = change.subject();
        self.store
            .execute_once::<CatalogueEntry>(subject, &change, context, entry)
            .await?;
        let requests = access_requests::granted(self.store.database().pool(), subject).await?;
        for request in requests {
            self.follow_newest(request, None, subject, context).await?;
        }
        Ok(())
    }

    /// Has a request follow the newest that is noted of a product or plan. Where this changed the request, a newer one
    /// that was noted meanwhile may have found it unchanged: so it is looked at again. `now`: the request as it was read
    /// a moment ago; what has no effect on it need not be tried.
    pub(super) async fn follow_newest(
        &self,
        request: Uuid,
        now: Option<&AccessRequest>,
        subject: Uuid,
        context: &Context,
    ) -> Result<(), PolicyError> {
        loop {
            let known = self.store.load::<CatalogueEntry>(subject).await?;
            let Some(newest) = known.state.newest else {
                return Ok(());
            };
            let step = format!("{request} follows {subject} version {}", newest.version());
            let command = Command::Access(access::Command::Follow(newest));
            if now.is_some_and(|now| now.decide(&command).is_ok_and(|events| events.is_empty())) {
                return Ok(());
            }
            let context = context.step(&step);
            let done = self
                .store
                .execute::<AccessRequest>(request, &command, &context)
                .await?;
            if done.events.is_empty() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::reread;

    use super::*;

    #[test]
    fn stored_notes_are_read() {
        reread::<CatalogueEntry>(include_str!("../../tests/fixtures/events.jsonl"));
    }
}
