//! What this service does about public events: joins the reports of registration and gateway, follows the catalogue,
//! approves requests that need nobody's approval, and follows the accounts of requesters.
//!
//! * this file: who is called for which message
//! * `reports`: reports of the halves, and what happens to clients and keys
//! * `accounts`: requesters who are suspended, activated or erased
//! * `catalogue`: changes of products and plans

mod accounts;
mod catalogue;
mod reports;

use async_trait::async_trait;
use portico_bus::{ConsumerSpec, Message};
use portico_eventstore::{
    Context, EventStore, InboxEntry,
    consumer::{Policy, PolicyError},
};
use portico_proto::{
    Kind,
    access::v1::{AccessApproved, AccessSubmitted},
};
use portico_runtime::messages::{decode, id, unanswered};
use uuid::Uuid;

use crate::{
    access_request::AccessRequest,
    approval::Approvals,
    notes::Notes,
    profiles::Profiles,
    publish::{APPROVED, SUBMITTED},
};

const REGISTRATION_REPORTED: &str = "portico.registration.registration_reported";
const GATEWAY_REPORTED: &str = "portico.gateway.gateway_reported";
const CLIENT_CHANGED: &str = "portico.registration.client_changed";
const API_KEY_CHANGED: &str = "portico.gateway.api_key_changed";
const PRODUCT_PUBLISHED: &str = "portico.catalog.product_published";
const PRODUCT_CHANGED: &str = "portico.catalog.product_changed";
const PRODUCT_DELETED: &str = "portico.catalog.product_deleted";
const PLAN_CHANGED: &str = "portico.catalog.plan_changed";
const USER_SUSPENDED: &str = "portico.accounts.user_suspended";
const USER_ACTIVATED: &str = "portico.accounts.user_activated";
const USER_ERASED: &str = "portico.accounts.user_erased";

/// What this service consumes. Two of them are its own: `access_submitted`, so that an automatic approval that a crash
/// prevented is made up for, and `access_approved`, so that an approval meets changes of the catalogue that were noted
/// while it was under way. Both also meet what became of the requester's account meanwhile.
pub(crate) const CONSUMER: ConsumerSpec = ConsumerSpec {
    name: "access-request",
    subjects: &[
        SUBMITTED,
        APPROVED,
        REGISTRATION_REPORTED,
        GATEWAY_REPORTED,
        CLIENT_CHANGED,
        API_KEY_CHANGED,
        PRODUCT_PUBLISHED,
        PRODUCT_CHANGED,
        PRODUCT_DELETED,
        PLAN_CHANGED,
        USER_SUSPENDED,
        USER_ACTIVATED,
        USER_ERASED,
    ],
};

/// The policies of this service.
pub(crate) struct Policies {
    pub(crate) store: EventStore,
    pub(crate) approvals: Approvals,
    pub(crate) notes: Notes,
    pub(crate) profiles: Profiles,
}

#[async_trait]
impl Policy for Policies {
    async fn handle(
        &self,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        match message.subject.as_str() {
            SUBMITTED => self.when_access_submitted(message, context, entry).await,
            APPROVED => self.when_access_approved(message, context).await,
            REGISTRATION_REPORTED => {
                let (request, report) = reports::of_registration(message)?;
                self.when_reported(request, report, context, entry).await
            }
            GATEWAY_REPORTED => {
                let (request, report) = reports::of_gateway(message)?;
                self.when_reported(request, report, context, entry).await
            }
            CLIENT_CHANGED => {
                let (requests, change) = reports::of_client(message)?;
                self.when_credential_changed(&requests, &change, context, entry)
                    .await
            }
            API_KEY_CHANGED => {
                let (request, change) = reports::of_api_key(message)?;
                self.when_credential_changed(&[request], &change, context, entry)
                    .await
            }
            USER_SUSPENDED | USER_ACTIVATED | USER_ERASED => {
                let (user, change) = accounts::change(message)?;
                self.when_account_changed(user, change, context, entry)
                    .await
            }
            _ => match catalogue::change(message)? {
                Some(change) => self.when_catalogue_changed(change, context, entry).await,
                None => Ok(()),
            },
        }
    }
}

impl Policies {
    /// Approves by itself where every plan does. A requester who was erased meanwhile asks for nothing any more.
    async fn when_access_submitted(
        &self,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let submitted: AccessSubmitted = decode(message)?;
        let request = id("request_id", &submitted.request_id)?;
        let requester = id("requester_id", &submitted.requester_id)?;
        self.approve_automatically(request, context, Some(entry))
            .await?;
        self.follow_account(request, requester, context).await
    }

    async fn approve_automatically(
        &self,
        request: Uuid,
        context: &Context,
        entry: Option<InboxEntry>,
    ) -> Result<(), PolicyError> {
        let done = self.approvals.automatically(request, context, entry).await;
        match done {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind, Kind::Unavailable | Kind::Internal) => {
                Err(unanswered(&error))
            }
            Err(error) => {
                tracing::warn!(request_id = %request, code = %error.code, "request {request} waits for an admin");
                Ok(())
            }
        }
    }

    /// Takes over what was noted of its products and plans before there was a granted request to tell. Needs no mark
    /// in the inbox: only what is newer has an effect.
    async fn when_access_approved(
        &self,
        message: &Message,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let approved: AccessApproved = decode(message)?;
        let wanted = approved.wanted.ok_or_else(|| poison("nothing is wanted"))?;
        let request = id("request_id", &wanted.request_id)?;
        let now = self.store.load::<AccessRequest>(request).await?.state;
        for item in &wanted.items {
            for subject in [
                id("product_id", &item.product_id)?,
                id("plan_id", &item.plan_id)?,
            ] {
                self.follow_newest(request, Some(&now), subject, context)
                    .await?;
            }
        }
        let requester = id("requester_id", &wanted.requester_id)?;
        self.follow_account(request, requester, context).await
    }
}

fn poison(error: impl std::fmt::Display) -> PolicyError {
    PolicyError::Poison(error.to_string())
}
