//! Questions to other services: who the people are, and what a message is about. The answers hold personal data and are
//! never stored.

use std::time::Duration;

use portico_proto::{
    Error,
    access::v1::{
        AccessRequest, GetAccessRequestRequest, access_service_client::AccessServiceClient,
    },
    accounts::v1::{
        Contact, GetContactsRequest, Role, accounts_service_client::AccountsServiceClient,
    },
};
use portico_runtime::{Caller, Channels, Deps, IdentityKey, ServiceName, service_unavailable};
use tonic::{Response, Status};
use uuid::Uuid;

/// For one call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Clients of the other services, with this service's identity. Cheap to clone.
#[derive(Clone)]
pub struct Lookups {
    channels: Channels,
    identity: IdentityKey,
}

impl Lookups {
    /// Uses the channels and the identity of this process.
    pub fn new(deps: &Deps) -> Self {
        Self {
            channels: deps.channels.clone(),
            identity: deps.identity.clone(),
        }
    }

    /// Ids of the active admins, sorted.
    pub async fn admins(&self) -> Result<Vec<Uuid>, Error> {
        let contacts = self
            .contacts(GetContactsRequest {
                user_ids: Vec::new(),
                role: Role::Admin.into(),
            })
            .await?;
        let mut ids: Vec<Uuid> = contacts
            .iter()
            .filter_map(|contact| contact.user_id.parse().ok())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// Names and addresses of active users; others are left out.
    pub async fn people(&self, ids: Vec<String>) -> Result<Vec<Contact>, Error> {
        self.contacts(GetContactsRequest {
            user_ids: ids,
            role: Role::Unspecified.into(),
        })
        .await
    }

    /// An access request with its timeline.
    pub async fn access_request(&self, id: Uuid) -> Result<AccessRequest, Error> {
        let mut client = AccessServiceClient::new(self.channels.to(ServiceName::AccessRequest));
        let request = self.request(GetAccessRequestRequest { id: id.to_string() });
        answer(
            ServiceName::AccessRequest,
            client.get_access_request(request),
        )
        .await
    }

    async fn contacts(&self, message: GetContactsRequest) -> Result<Vec<Contact>, Error> {
        let mut client = AccountsServiceClient::new(self.channels.to(ServiceName::Accounts));
        let request = self.request(message);
        Ok(answer(ServiceName::Accounts, client.get_contacts(request))
            .await?
            .contacts)
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let caller = Caller::service(ServiceName::Notification.as_str());
        self.identity.request(&caller, message)
    }
}

async fn answer<T>(
    service: ServiceName,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Error> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(service_unavailable(service)),
    }
}
