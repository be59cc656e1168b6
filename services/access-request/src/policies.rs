//! What this service does about public events: takes in what the registration service reports, and approves
//! requests that need nobody's approval.

use async_trait::async_trait;
use jiff::Timestamp;
use portico_bus::{ConsumerSpec, Message};
use portico_eventstore::{
    Context, EventStore, ExecuteError, InboxEntry,
    consumer::{Policy, PolicyError},
};
use portico_proto::{
    Kind, access::v1::AccessSubmitted, accounts::v1::UserErased, registration::v1 as registration,
};
use prost::Message as _;
use uuid::Uuid;

use crate::{
    access_request::{
        AccessRequest, ClientChange, Command, Credential, Decision, Fact, Rejection, Report,
    },
    approval::Approvals,
    notes::Notes,
    publish::SUBMITTED,
    views::access_requests,
};

const STARTED: &str = "portico.registration.provisioning_started";
const CLIENT_REGISTERED: &str = "portico.registration.client_registered";
const GATEWAY_MAPPED: &str = "portico.registration.gateway_mapped";
const PROVISIONED: &str = "portico.registration.access_provisioned";
const DELAYED: &str = "portico.registration.provisioning_delayed";
const FAILED: &str = "portico.registration.provisioning_failed";
const DEPROVISIONED: &str = "portico.registration.access_deprovisioned";
const CLIENT_CHANGED: &str = "portico.registration.client_changed";
const API_KEY_CHANGED: &str = "portico.registration.api_key_changed";
const USER_ERASED: &str = "portico.accounts.user_erased";

/// What this service consumes. Its own `access_submitted` is among it, so that an automatic approval that a crash
/// prevented is made up for.
pub(crate) const CONSUMER: ConsumerSpec = ConsumerSpec {
    name: "access-request",
    subjects: &[
        SUBMITTED,
        STARTED,
        CLIENT_REGISTERED,
        GATEWAY_MAPPED,
        PROVISIONED,
        DELAYED,
        FAILED,
        DEPROVISIONED,
        CLIENT_CHANGED,
        API_KEY_CHANGED,
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
        if message.subject == SUBMITTED {
            return self.when_access_submitted(message, context, entry).await;
        }
        if message.subject == USER_ERASED {
            return self.when_user_erased(message, context).await;
        }
        let Some((requests, fact)) = fact(message)? else {
            return Ok(());
        };
        let report = Report {
            order: header(message, "position")?,
            at: header::<Timestamp>(message, "recorded-at")?,
            fact,
        };
        self.when_reported(&requests, &report, context, entry).await
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
        let submitted = AccessSubmitted::decode(message.payload.clone()).map_err(poison)?;
        let request = id(&submitted.request_id)?;
        let done = self
            .approvals
            .automatically(request, context, Some(entry))
            .await;
        match done {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind, Kind::Unavailable | Kind::Internal) => {
                Err(PolicyError::Retry(error.to_string()))
            }
            Err(error) => {
                tracing::warn!(request_id = %request, code = %error.code, "request {request} waits for an admin");
                Ok(())
            }
        }
    }

    /// What was written about the requests of somebody who is erased goes with them, and so do their API keys. Needs no mark in the inbox:
    /// what is erased stays so.
    async fn when_user_erased(
        &self,
        message: &Message,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let erased = UserErased::decode(message.payload.clone()).map_err(poison)?;
        let retry = |error: &dyn std::fmt::Display| PolicyError::Retry(error.to_string());
        let pool = self.store.database().pool();
        let requests = access_requests::of_requester(pool, id(&erased.user_id)?)
            .await
            .map_err(|error| retry(&error))?;
        for request in requests {
            self.take_keys_back(request, context).await?;
            self.notes
                .erase(request)
                .await
                .map_err(|error| retry(&error))?;
        }
        Ok(())
    }

    /// Nobody is left who could use the API keys of a request, or replace them.
    async fn take_keys_back(&self, request: Uuid, context: &Context) -> Result<(), PolicyError> {
        let state = self.store.load::<AccessRequest>(request).await?.state;
        let command = match state.decision {
            _ if state.submission.credential != Credential::ApiKey => return Ok(()),
            Decision::Pending => Command::Withdraw { reason: None },
            Decision::Approved => Command::Revoke { reason: None },
            Decision::None | Decision::Rejected | Decision::Withdrawn | Decision::Revoked => {
                return Ok(());
            }
        };
        let context = context.step(&format!("keys of {request}"));
        let done = self
            .store
            .execute::<AccessRequest>(request, &command, &context);
        match done.await {
            // Decided meanwhile; the message comes again where it was an approval.
            Err(ExecuteError::Rejected(_)) => {
                Err(PolicyError::Retry("the request was decided".to_owned()))
            }
            other => other.map(drop).map_err(failed),
        }
    }

    /// Takes a report in, for each request that it is about.
    async fn when_reported(
        &self,
        requests: &[Uuid],
        report: &Report,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let command = Command::Report(report.clone());
        // One message is marked in one append. The requests before the last one are safe without: their event
        // ids come from the message, so a redelivery appends nothing.
        let Some((last, before)) = requests.split_last() else {
            return Ok(());
        };
        for request in before {
            let done = self
                .store
                .execute::<AccessRequest>(*request, &command, context);
            done.await.map_err(failed)?;
        }
        let done = self
            .store
            .execute_once::<AccessRequest>(*last, &command, context, entry);
        done.await.map_err(failed)?;
        Ok(())
    }
}

/// Which requests a message is about, and what it says of them.
fn fact(message: &Message) -> Result<Option<(Vec<Uuid>, Fact)>, PolicyError> {
    fn decode<T: prost::Message + Default>(message: &Message) -> Result<T, PolicyError> {
        T::decode(message.payload.clone()).map_err(poison)
    }
    let one = |request: &str| id(request).map(|id| vec![id]);
    Ok(Some(match message.subject.as_str() {
        STARTED => {
            let said: registration::ProvisioningStarted = decode(message)?;
            (one(&said.request_id)?, Fact::Started)
        }
        CLIENT_REGISTERED => {
            let said: registration::ClientRegistered = decode(message)?;
            let client_id = said.client_id;
            (
                ids(&said.request_ids)?,
                Fact::ClientRegistered { client_id },
            )
        }
        GATEWAY_MAPPED => {
            let said: registration::GatewayMapped = decode(message)?;
            (ids(&said.request_ids)?, Fact::GatewayMapped)
        }
        PROVISIONED => {
            let said: registration::AccessProvisioned = decode(message)?;
            (one(&said.request_id)?, Fact::Provisioned)
        }
        DELAYED => {
            let said: registration::ProvisioningDelayed = decode(message)?;
            let fact = Fact::Delayed {
                reason: said.reason,
                next_try_at: said.next_try_at,
            };
            (one(&said.request_id)?, fact)
        }
        FAILED => {
            let said: registration::ProvisioningFailed = decode(message)?;
            let fact = Fact::Failed {
                code: said.code,
                reason: said.reason,
            };
            (one(&said.request_id)?, fact)
        }
        DEPROVISIONED => {
            let said: registration::AccessDeprovisioned = decode(message)?;
            let client_deleted = said.client_deleted;
            (
                one(&said.request_id)?,
                Fact::Deprovisioned { client_deleted },
            )
        }
        CLIENT_CHANGED => {
            let said: registration::ClientChanged = decode(message)?;
            let fact = Fact::ClientChanged {
                change: ClientChange::parse(&said.change),
                detail: said.detail,
                by: said.by,
            };
            (ids(&said.request_ids)?, fact)
        }
        API_KEY_CHANGED => {
            let said: registration::ApiKeyChanged = decode(message)?;
            let fact = Fact::ClientChanged {
                change: ClientChange::parse(&said.change),
                detail: said.product_name,
                by: said.by,
            };
            (one(&said.request_id)?, fact)
        }
        _ => return Ok(None),
    }))
}

fn header<T: std::str::FromStr>(message: &Message, name: &str) -> Result<T, PolicyError> {
    message
        .headers
        .get(name)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| PolicyError::Poison(format!("header {name} is missing or unreadable")))
}

fn id(text: &str) -> Result<Uuid, PolicyError> {
    text.parse().map_err(poison)
}

/// Sorted and once each, so that a redelivery goes the same way.
fn ids(texts: &[String]) -> Result<Vec<Uuid>, PolicyError> {
    let ids: Result<std::collections::BTreeSet<Uuid>, _> = texts.iter().map(|t| id(t)).collect();
    Ok(ids?.into_iter().collect())
}

fn poison(error: impl std::fmt::Display) -> PolicyError {
    PolicyError::Poison(error.to_string())
}

fn failed(error: ExecuteError<Rejection>) -> PolicyError {
    match error {
        ExecuteError::Store(error) => error.into(),
        other => poison(other),
    }
}
