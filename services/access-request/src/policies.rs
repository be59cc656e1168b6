//! What this service does about public events: joins the reports of registration and gateway, follows the catalogue,
//! approves requests that need nobody's approval, and forgets users who are erased.
//!
//! * this file: who is called for which message
//! * `reports`: reports of the halves, and what happens to clients and keys
//! * `catalogue`: changes of products and plans

mod catalogue;
mod reports;

use async_trait::async_trait;
use portico_bus::{ConsumerSpec, Message};
use portico_eventstore::{
    Context, EventStore, ExecuteError, InboxEntry,
    consumer::{Policy, PolicyError},
};
use portico_proto::{
    Kind,
    access::v1::{AccessApproved, AccessSubmitted},
    accounts::v1::UserErased,
};
use portico_runtime::messages::{decode, id, unanswered};
use uuid::Uuid;

use crate::{
    access_request::{AccessRequest, Command, Credential, Decision, access, request},
    approval::Approvals,
    notes::Notes,
    publish::{APPROVED, SUBMITTED},
    views::access_requests,
};

const REGISTRATION_REPORTED: &str = "portico.registration.registration_reported";
const GATEWAY_REPORTED: &str = "portico.gateway.gateway_reported";
const CLIENT_CHANGED: &str = "portico.registration.client_changed";
const API_KEY_CHANGED: &str = "portico.gateway.api_key_changed";
const PRODUCT_PUBLISHED: &str = "portico.catalog.product_published";
const PRODUCT_CHANGED: &str = "portico.catalog.product_changed";
const PRODUCT_DELETED: &str = "portico.catalog.product_deleted";
const PLAN_CHANGED: &str = "portico.catalog.plan_changed";
const USER_ERASED: &str = "portico.accounts.user_erased";

/// What this service consumes. Two of them are its own: `access_submitted`, so that an automatic approval that a crash
/// prevented is made up for, and `access_approved`, so that an approval meets changes of the catalogue that were noted
/// while it was under way.
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
        USER_ERASED,
    ],
};

/// The policies of this service.
pub(crate) struct Policies {
    pub(crate) store: EventStore,
    pub(crate) approvals: Approvals,
    pub(crate) notes: Notes,
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
            USER_ERASED => self.when_user_erased(message, context).await,
            _ => match catalogue::change(message)? {
                Some(change) => self.when_catalogue_changed(change, context, entry).await,
                None => Ok(()),
            },
        }
    }
}

impl Policies {
    /// Approves by itself where every plan does.
    async fn when_access_submitted(
        &self,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let submitted: AccessSubmitted = decode(message)?;
        let request = id("request_id", &submitted.request_id)?;
        let done = self
            .approvals
            .automatically(request, context, Some(entry))
            .await;
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
        Ok(())
    }

    /// What was written about the requests of somebody who is erased goes with them, and so do their API keys. Needs
    /// no mark in the inbox: what is erased stays so.
    async fn when_user_erased(
        &self,
        message: &Message,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let erased: UserErased = decode(message)?;
        let pool = self.store.database().pool();
        let requests = access_requests::of_requester(pool, id("user_id", &erased.user_id)?).await?;
        for request in requests {
            self.take_keys_back(request, context).await?;
            self.notes
                .erase(request)
                .await
                .map_err(|error| PolicyError::Retry(error.to_string()))?;
        }
        Ok(())
    }

    /// Nobody is left who could use the API keys of a request, or replace them.
    async fn take_keys_back(&self, id: Uuid, context: &Context) -> Result<(), PolicyError> {
        let state = self.store.load::<AccessRequest>(id).await?.state;
        let command = match state.decision {
            _ if state.submission.credential != Credential::ApiKey => return Ok(()),
            Decision::Pending => Command::Request(request::Command::Withdraw { reason: None }),
            Decision::Approved => Command::Access(access::Command::Revoke { reason: None }),
            Decision::None | Decision::Rejected | Decision::Withdrawn | Decision::Revoked => {
                return Ok(());
            }
        };
        let context = context.step(&format!("keys of {id}"));
        match self
            .store
            .execute::<AccessRequest>(id, &command, &context)
            .await
        {
            // Decided meanwhile; the message comes again where it was an approval.
            Err(ExecuteError::Rejected(_)) => {
                Err(PolicyError::Retry("the request was decided".to_owned()))
            }
            other => other.map(drop).map_err(PolicyError::from),
        }
    }
}

fn poison(error: impl std::fmt::Display) -> PolicyError {
    PolicyError::Poison(error.to_string())
}
