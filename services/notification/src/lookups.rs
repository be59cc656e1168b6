//! What is asked of other services when a message is made: who the people are, and what it is about. Nothing of
//! it is stored.

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

/// For one call to another service.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks other services in this one's name.
#[derive(Clone)]
pub struct Lookups {
    channels: Channels,
    identity: IdentityKey,
}

impl Lookups {
    /// With the ways and the identity of this process.
    pub fn new(deps: &Deps) -> Self {
        Self {
            channels: deps.channels.clone(),
            identity: deps.identity.clone(),
        }
    }

    /// Ids of the active admins, in order, each once.
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

    /// Names and addresses of users; those that are erased or unknown are missing.
    pub async fn people(&self, ids: Vec<String>) -> Result<Vec<Contact>, Error> {
        self.contacts(GetContactsRequest {
            user_ids: ids,
            role: Role::Unspecified.into(),
        })
        .await
    }

    /// An access request.
    pub async fn access_request(&self, id: Uuid) -> Result<AccessRequest, Error> {
        let mut client = AccessServiceClient::new(self.channels.to(ServiceName::AccessRequest));
        let request = self.request(GetAccessRequestRequest { id: id.to_string() });
        answer(
            ServiceName::AccessRequest,
            client.get_access_request(request),
        )
        .await
    }

    async fn contacts(&self, question: GetContactsRequest) -> Result<Vec<Contact>, Error> {
        let mut client = AccountsServiceClient::new(self.channels.to(ServiceName::Accounts));
        let request = self.request(question);
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
