//! Callers of the service.

use std::time::Duration;

use portico_proto::{
    Error,
    access::v1::{self as api, access_service_client::AccessServiceClient},
};
use portico_runtime::{Caller, Deps, IDEMPOTENCY_KEY, IdentityKey, ServiceChannel, ServiceName};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::support::{DEADLINE, status};

/// One who calls.
pub(crate) struct Actor {
    pub(crate) id: Uuid,
    caller: Caller,
    identity: IdentityKey,
    client: AccessServiceClient<ServiceChannel>,
}

macro_rules! calls {
    ($($method:ident($request:ident) -> $answer:ident,)+) => {
        $(
            pub(crate) async fn $method(&self, message: api::$request) -> Result<api::$answer, Error> {
                let request = self.identity.request(&self.caller, message);
                answer(self.client.clone().$method(request).await)
            }
        )+
    };
}

impl Actor {
    calls! {
        create_application(CreateApplicationRequest) -> Application,
        update_application(UpdateApplicationRequest) -> Application,
        delete_application(DeleteApplicationRequest) -> DeleteApplicationResponse,
        get_application(GetApplicationRequest) -> Application,
        get_application_profile(GetApplicationProfileRequest) -> ApplicationProfile,
        list_applications(ListApplicationsRequest) -> ListApplicationsResponse,
        get_cart(GetCartRequest) -> Cart,
        put_cart(PutCartRequest) -> Cart,
        submit_access_request(SubmitAccessRequestRequest) -> AccessRequest,
        list_access_requests(ListAccessRequestsRequest) -> ListAccessRequestsResponse,
        approve_access_request(ApproveAccessRequestRequest) -> AccessRequest,
        reject_access_request(RejectAccessRequestRequest) -> AccessRequest,
        revoke_access_request(RevokeAccessRequestRequest) -> AccessRequest,
        suspend_access_request(SuspendAccessRequestRequest) -> AccessRequest,
        resume_access_request(ResumeAccessRequestRequest) -> AccessRequest,
        retry_access_requests(RetryAccessRequestsRequest) -> RetryAccessRequestsResponse,
        suspend_application(SuspendApplicationRequest) -> Application,
        resume_application(ResumeApplicationRequest) -> Application,
        withdraw_access_request(WithdrawAccessRequestRequest) -> AccessRequest,
        retry_access_request(RetryAccessRequestRequest) -> AccessRequest,
        get_access_request(GetAccessRequestRequest) -> AccessRequest,
        get_activation(GetActivationRequest) -> GetActivationResponse,
    }

    pub(crate) fn new(deps: &Deps, caller: Caller) -> Self {
        let id = match &caller {
            Caller::User { id, .. } => *id,
            Caller::Anonymous | Caller::Service(_) => Uuid::nil(),
        };
        let channel = deps.channels.to(ServiceName::AccessRequest);
        Self {
            id,
            caller,
            identity: deps.identity.clone(),
            client: AccessServiceClient::new(channel),
        }
    }

    /// A new application.
    pub(crate) async fn create(
        &self,
        application: api::Application,
    ) -> Result<api::Application, Error> {
        self.create_application(api::CreateApplicationRequest {
            application: Some(application),
        })
        .await
    }

    /// A request with an idempotency key.
    pub(crate) fn keyed<T>(&self, key: &str, message: T) -> Request<T> {
        let mut request = self.identity.request(&self.caller, message);
        request
            .metadata_mut()
            .insert(IDEMPOTENCY_KEY, key.parse().unwrap());
        request
    }

    pub(crate) async fn submit_keyed(
        &self,
        key: &str,
        message: api::SubmitAccessRequestRequest,
    ) -> Result<api::AccessRequest, Error> {
        let request = self.keyed(key, message);
        answer(self.client.clone().submit_access_request(request).await)
    }

    pub(crate) async fn approve_keyed(
        &self,
        key: &str,
        message: api::ApproveAccessRequestRequest,
    ) -> Result<api::AccessRequest, Error> {
        let request = self.keyed(key, message);
        answer(self.client.clone().approve_access_request(request).await)
    }

    pub(crate) async fn get(&self, id: &str) -> Result<api::AccessRequest, Error> {
        self.get_access_request(api::GetAccessRequestRequest { id: id.into() })
            .await
    }

    pub(crate) async fn approve(&self, id: &str) -> Result<api::AccessRequest, Error> {
        self.approve_access_request(api::ApproveAccessRequestRequest {
            id: id.into(),
            ..Default::default()
        })
        .await
    }

    pub(crate) async fn reject(&self, id: &str, reason: &str) -> Result<api::AccessRequest, Error> {
        self.reject_access_request(api::RejectAccessRequestRequest {
            id: id.into(),
            reason: reason.into(),
            if_version: 0,
        })
        .await
    }

    pub(crate) async fn revoke(&self, id: &str) -> Result<api::AccessRequest, Error> {
        self.revoke_access_request(api::RevokeAccessRequestRequest {
            id: id.into(),
            ..Default::default()
        })
        .await
    }

    pub(crate) async fn withdraw(&self, id: &str) -> Result<api::AccessRequest, Error> {
        self.withdraw_access_request(api::WithdrawAccessRequestRequest {
            id: id.into(),
            ..Default::default()
        })
        .await
    }

    pub(crate) async fn retry(&self, id: &str) -> Result<api::AccessRequest, Error> {
        self.retry_access_request(api::RetryAccessRequestRequest {
            id: id.into(),
            ..Default::default()
        })
        .await
    }

    pub(crate) async fn watch(
        &self,
        after: &str,
    ) -> Result<tonic::Streaming<api::AccessRequestChange>, Error> {
        Ok(self.watch_response(after).await?.into_inner())
    }

    /// With the initial metadata.
    pub(crate) async fn watch_response(
        &self,
        after: &str,
    ) -> Result<tonic::Response<tonic::Streaming<api::AccessRequestChange>>, Error> {
        let message = api::WatchAccessRequestsRequest {
            after: after.into(),
        };
        let request = self.identity.request(&self.caller, message);
        Ok(self.client.clone().watch_access_requests(request).await?)
    }

    /// The request once it has this status.
    pub(crate) async fn until(&self, id: &str, wanted: &str) -> api::AccessRequest {
        let reached = async {
            loop {
                let request = self.get(id).await.unwrap();
                if status(&request) == wanted {
                    return request;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, reached).await.unwrap()
    }
}

fn answer<T>(answer: Result<Response<T>, Status>) -> Result<T, Error> {
    answer.map(Response::into_inner).map_err(Error::from)
}
