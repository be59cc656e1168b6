//! What an approval adds to a request: the gateway's side of its products and plans, as they are now. Names and
//! scopes stay as they were submitted.

use portico_eventstore::{Context, EventStore, ExecuteError, InboxEntry, Metadata, Outcome};
use portico_proto::{
    Error, Kind,
    catalog::v1::{Plan, Product},
};
use portico_runtime::{Caller, ServiceName, fault};
use uuid::Uuid;

use crate::{
    access_request::{
        AccessRequest, ApprovedItem, Command, GatewayApi, Limit, Rejection, RequestedItem, Status,
    },
    neighbours::Neighbours,
    views::refused,
};

/// Approves requests, for admins and by itself. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Approvals {
    pub(crate) store: EventStore,
    pub(crate) neighbours: Neighbours,
}

impl Approvals {
    /// What the approval of a request adds to its items. Asks the catalog on this service's own account, so that an
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

    async fn item(&self, item: &RequestedItem) -> Result<ApprovedItem, Error> {
        let caller = Caller::service(ServiceName::AccessRequest.as_str());
        let (product, plan) = futures::try_join!(
            self.neighbours.product(&caller, item.product_id),
            self.neighbours.plan(&caller, item.plan_id),
        )?;
        let product = product.ok_or_else(|| gone("product", &item.product_name))?;
        let plan = plan.ok_or_else(|| gone("plan", &item.plan_name))?;
        Ok(approved(item, product, &plan))
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
        let request = self
            .store
            .load::<AccessRequest>(id)
            .await
            .map_err(portico_runtime::store_error)?
            .state;
        if !request.submission.auto_approve || request.status() != Some(Status::Pending) {
            return Ok(());
        }
        let items = self.items(&request).await?;
        let command = Command::Approve { items, note: None };
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

fn approved(item: &RequestedItem, product: Product, plan: &Plan) -> ApprovedItem {
    let scopes = product.scopes;
    let apis = product
        .apis
        .into_iter()
        .map(|api| GatewayApi {
            api_id: api.api_id,
            name: api.name,
            url: api.url,
            gateway_id: api.gateway_id.unwrap_or_default(),
        })
        .collect();
    ApprovedItem {
        product_id: item.product_id,
        product_policy_id: product.policy_id.unwrap_or_default(),
        apis,
        plan_policy_id: plan.policy_id().to_owned(),
        rate: plan.rate.map(|rate| Limit {
            requests: rate.requests,
            seconds: rate.per_seconds,
        }),
        quota: plan.quota.map(|quota| Limit {
            requests: quota.requests,
            seconds: quota.renews_every_seconds,
        }),
        product_version: version(&item.product_scopes, &scopes, product.version),
        plan_version: version(&item.plan_scopes, &plan.scopes, plan.version),
    }
}

/// Of the product or plan that an item was taken from. Where its scopes have changed since the submission it is an
/// earlier one, so that the registration follows what the catalogue says now: the old scopes may be another's.
fn version(submitted: &[String], now: &[String], version: u64) -> u64 {
    if submitted == now { version } else { 0 }
}
