//! Requests from outside. Every method is a function in the file of its subject, and begins with the rule of who
//! may call it.

pub(crate) mod answer;
mod applications;
mod carts;
mod checkout;
mod decisions;
mod requests;
mod submit;
mod watch;

use futures::{StreamExt as _, stream::BoxStream};
use portico_eventstore::EventStore;
use portico_proto::{
    Error,
    access::{
        self,
        v1::{access_service_server::AccessService, *},
    },
};
use portico_runtime::{Call, Caller, Deps, grpc_methods};
use portico_vault::IndexKey;
use prost::Message;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{approval::Approvals, neighbours::Neighbours, notes::Notes, profiles::Profiles};

/// What the methods need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Grpc {
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
    pub(crate) notes: Notes,
    pub(crate) profiles: Profiles,
    /// Blinds the digests of requests.
    pub(crate) digests: IndexKey,
    pub(crate) neighbours: Neighbours,
    pub(crate) approvals: Approvals,
}

impl Grpc {
    /// As [`Call::of`]. The digest of the request, which stays in the log, is blinded: what people wrote in it could be guessed
    /// from a plain one.
    fn call<T: Message>(&self, request: &Request<T>, command: &str) -> Result<Call, Error> {
        let mut call = Call::of(request, command, &self.deps.clock)?;
        let digest = &mut call.context.metadata.command_digest;
        *digest = digest.take().map(|plain| self.digests.blind_index(&plain));
        Ok(call)
    }
}

/// Whether what belongs to this user may be seen: by themselves, admins and services.
pub(crate) fn may_see(caller: &Caller, owner: Uuid) -> bool {
    caller.sees_all() || matches!(caller, Caller::User { id, .. } if *id == owner)
}

grpc_methods! {
    impl AccessService for Grpc {
        type WatchAccessRequestsStream = BoxStream<'static, Result<AccessRequestChange, Status>>;

        async fn watch_access_requests(
            &self,
            request: Request<WatchAccessRequestsRequest>,
        ) -> Result<Response<Self::WatchAccessRequestsStream>, Status> {
            let caller = Caller::of(&request);
            caller.require_known()?;
            let start = watch::start(&self.store, &request.get_ref().after).await?;
            let position = start.position;
            let mut response = Response::new(watch::changes(self.clone(), caller, position).boxed());
            // At once, so that who is cut off before the first change can resume, too.
            response.metadata_mut().insert(access::CURSOR_HEADER, start.metadata()?);
            Ok(response)
        }
    }

    applications {
        create_application(CreateApplicationRequest) -> Application,
        update_application(UpdateApplicationRequest) -> Application,
        delete_application(DeleteApplicationRequest) -> DeleteApplicationResponse,
        get_application(GetApplicationRequest) -> Application,
        get_application_profile(GetApplicationProfileRequest) -> ApplicationProfile,
        list_applications(ListApplicationsRequest) -> ListApplicationsResponse,
        suspend_application(SuspendApplicationRequest) -> Application,
        resume_application(ResumeApplicationRequest) -> Application,
    }
    carts {
        get_cart(GetCartRequest) -> Cart,
        put_cart(PutCartRequest) -> Cart,
    }
    submit {
        submit_access_request(SubmitAccessRequestRequest) -> AccessRequest,
    }
    decisions {
        approve_access_request(ApproveAccessRequestRequest) -> AccessRequest,
        reject_access_request(RejectAccessRequestRequest) -> AccessRequest,
        revoke_access_request(RevokeAccessRequestRequest) -> AccessRequest,
        withdraw_access_request(WithdrawAccessRequestRequest) -> AccessRequest,
        retry_access_request(RetryAccessRequestRequest) -> AccessRequest,
        retry_access_requests(RetryAccessRequestsRequest) -> RetryAccessRequestsResponse,
        suspend_access_request(SuspendAccessRequestRequest) -> AccessRequest,
        resume_access_request(ResumeAccessRequestRequest) -> AccessRequest,
    }
    requests {
        get_access_request(GetAccessRequestRequest) -> AccessRequest,
        list_access_requests(ListAccessRequestsRequest) -> ListAccessRequestsResponse,
        get_activation(GetActivationRequest) -> GetActivationResponse,
    }
}
