//! What an approval grants: the products and plans of the request under the terms of now. Those of the submission may
//! hold scopes that are another product's by now.

use std::sync::Arc;

use portico_eventstore::{Context, EventStore, ExecuteError, InboxEntry, Metadata, Outcome};
use portico_proto::{Error, Kind};
use portico_runtime::{Caller, ServiceName, fault};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::{
    access_request::{
        AccessRequest, AccountStatus, ApprovedItem, Command, Rejection, RequestedItem, Status,
        request,
    },
    neighbours::Neighbours,
    requester::Requester,
    terms::{Plan, Product},
    views::refused,
};

/// Approves requests, for admins and by itself. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Approvals {
    pub(crate) store: EventStore,
    pub(crate) neighbours: Neighbours,
    pub(crate) turns: Turns,
}

/// Locks by which the two ways to an automatic approval do not do the same work at the same time: the second one finds it
/// done. Requests share them by their ids.
#[derive(Clone)]
pub(crate) struct Turns(Arc<[Mutex<()>]>);

impl Turns {
    const COUNT: u128 = 64;

    pub(crate) fn new() -> Self {
        Self((0..Self::COUNT).map(|_| Mutex::default()).collect())
    }

    async fn of(&self, id: Uuid) -> MutexGuard<'_, ()> {
        // The remainder is smaller than the number of locks.
        self.0[(id.as_u128() % Self::COUNT) as usize].lock().await
    }
}

impl Approvals {
    /// What the approval of a request grants. Asks the catalog on this service's own account, so that an
    /// admin's approval does not depend on what the catalog shows them.
    ///
    /// # Errors
    /// Conflict `product_gone` or `plan_gone`; the catalog is away.
    pub(crate) async fn items(&self, request: &AccessRequest) -> Result<Vec<ApprovedItem>, Error> {
        // Otherwise `decide` refuses, or the store recognises a repetition: neither needs the catalog.
        if request.status() != Some(Status::Pending) {
            return Ok(Vec::new());
        }
        let items = request.submission.items.iter().map(|item| self.item(item));
        futures::future::try_join_all(items).await
    }

    /// What is known of the requester's account. Where a suspension is not known here yet, the approval goes through, and
    /// the access is suspended when it is.
    ///
    /// # Errors
    /// The store is away.
    pub(crate) async fn account(&self, request: &AccessRequest) -> Result<AccountStatus, Error> {
        let requester = request.submission.requester_id;
        let known = self.store.load::<Requester>(requester).await;
        let newest = known.map_err(portico_runtime::store_error)?.state.newest;
        Ok(newest.map(|account| account.status).unwrap_or_default())
    }

    async fn item(&self, item: &RequestedItem) -> Result<ApprovedItem, Error> {
        let caller = Caller::service(ServiceName::AccessRequest.as_str());
        let (product, plan) = futures::try_join!(
            self.neighbours.product(&caller, item.product_id),
            self.neighbours.plan(&caller, item.plan_id),
        )?;
        let product = product.ok_or_else(|| gone("product", &item.product_name))?;
        let plan = plan.ok_or_else(|| gone("plan", &item.plan_name))?;
        Ok(ApprovedItem {
            product: Product::read(item.product_id, product),
            plan: Plan::read(item.plan_id, plan),
        })
    }

    /// Approves a request of which every plan approves by itself; quiet where it is decided already. With an
    /// inbox entry once for each message.
    ///
    /// # Errors
    /// As [`Self::items`]; the store is away.
    pub(crate) async fn automatically(
        &self,
        id: Uuid,
        context: &Context,
        entry: Option<InboxEntry>,
    ) -> Result<(), Error> {
        // It never changes: of most requests there is nothing to be asked.
        let known = self.store.remembered::<AccessRequest>(id);
        if known.is_some_and(|known| !known.state.submission.auto_approve) {
            return Ok(());
        }
        let _turn = self.turns.of(id).await;
        let asked = self
            .store
            .load::<AccessRequest>(id)
            .await
            .map_err(portico_runtime::store_error)?
            .state;
        if !asked.submission.auto_approve || asked.status() != Some(Status::Pending) {
            return Ok(());
        }
        let items = self.items(&asked).await?;
        let command = Command::Request(request::Command::Approve {
            items,
            note: None,
            account: self.account(&asked).await?,
        });
        let context = Context {
            metadata: Metadata {
                actor: Caller::service(ServiceName::AccessRequest.as_str()).actor(),
                command_digest: None,
                ..context.metadata.clone()
            },
            ..context.clone()
        };
        let outcome: Result<Outcome<AccessRequest>, _> = match entry {
            Some(entry) => self.store.execute_once(id, &command, &context, entry).await,
            None => self.store.execute(id, &command, &context).await,
        };
        match outcome {
            Ok(_) => {
                fault::point("approved");
                Ok(())
            }
            // An admin, or the other of the two ways here, was faster.
            Err(ExecuteError::Rejected(
                Rejection::AlreadyApproved
                | Rejection::AlreadyRejected
                | Rejection::AlreadyWithdrawn
                | Rejection::AlreadyRevoked,
            )) => Ok(()),
            // It is made up for when the account is active again.
            Err(ExecuteError::Rejected(
                Rejection::RequesterSuspended | Rejection::RequesterErased,
            )) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }
}

fn gone(what: &str, name: &str) -> Error {
    Error::new(
        Kind::Conflict,
        format!("{what}_gone"),
        format!(
            "The {what} \u{201c}{name}\u{201d} was deleted; reject this request, so that the developer can submit \
             another one."
        ),
    )
}
