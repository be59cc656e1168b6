//! Who sees which credentials, and what is recorded of it. The access-request service is a double that knows one
//! application.

mod old_secret;
mod rotation;

use std::convert::Infallible;

use axum::Router;
use portico_proto::access::v1::{
    Application, GetActivationRequest, GetActivationResponse, GetApplicationRequest,
};
use portico_proto::registration::v1 as api;
use portico_proto::registration::v1::registration_service_client::RegistrationServiceClient;
use portico_proto::rest::Enumeration as _;
use portico_proto::{Error, Kind};
use portico_runtime::{Caller, IdentityKey, Role, ServiceChannel, ServiceName};
use portico_sandbox::identity_provider::{Answer, Fault, Operation};
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::oauth_client::{AccessEvent, Event};
use crate::worker::tests::world::{PATIENCE, World, profiles};

const OWNER: Caller = user(1, Role::Developer);
const STRANGER: Caller = user(2, Role::Developer);
const ADMIN: Caller = user(3, Role::Admin);

const fn user(id: u128, role: Role) -> Caller {
    Caller::User {
        id: Uuid::from_u128(id),
        role,
        let_in: false,
    }
}

/// Answers one method of the double.
pub(crate) fn method<A, F>(answer: F) -> axum::routing::MethodRouter
where
    A: prost::Message + Default + 'static,
    F: AnswerOf<A>,
{
    let method = move |http: http::Request<axum::body::Body>| {
        let answer = answer.clone();
        async move {
            let codec = ProstCodec::<F::Answer, A>::default();
            let service = tower::service_fn(move |request: Request<A>| {
                std::future::ready(answer.answer(&request).map(Response::new))
            });
            let response = Grpc::new(codec).unary(service, http).await;
            Ok::<_, Infallible>(response.map(axum::body::Body::new))
        }
    };
    axum::routing::any_service(tower::service_fn(method))
}

/// What a method answers.
pub(crate) trait AnswerOf<A>: Clone + Send + Sync + 'static {
    type Answer: prost::Message + Default + 'static;

    fn answer(&self, request: &Request<A>) -> Result<Self::Answer, Status>;
}

/// The access-request service, which knows one application, of which strangers are told nothing.
#[derive(Clone)]
struct Double {
    id: String,
    key: IdentityKey,
    activated: bool,
}

impl Double {
    fn caller<A>(&self, request: &Request<A>) -> Caller {
        let identity = request.metadata().get("x-portico-identity").unwrap();
        self.key.verify(identity.to_str().unwrap()).unwrap()
    }
}

impl AnswerOf<GetApplicationRequest> for Double {
    type Answer = Application;

    fn answer(&self, request: &Request<GetApplicationRequest>) -> Result<Application, Status> {
        match request.get_ref().id == self.id && self.caller(request) != STRANGER {
            true => Ok(Application {
                id: self.id.clone(),
                owner_id: OWNER.actor(),
                ..Default::default()
            }),
            false => Err(Status::from(Error::not_found("application"))),
        }
    }
}

impl AnswerOf<GetActivationRequest> for Double {
    type Answer = GetActivationResponse;

    fn answer(
        &self,
        request: &Request<GetActivationRequest>,
    ) -> Result<GetActivationResponse, Status> {
        assert_eq!(self.caller(request), Caller::service("registration"));
        let known = request.get_ref().application_id == self.id;
        let activated = known && self.activated;
        Ok(GetActivationResponse { activated })
    }
}

/// `activated`: what access-request says of the client's access.
fn access(world: &World, activated: bool) -> Router {
    let double = Double {
        id: world.application_id.to_string(),
        key: world.deps.identity.clone(),
        activated,
    };
    let path = |name: &str| format!("/portico.access.v1.AccessService/{name}");
    Router::new()
        .route(
            &path("GetApplication"),
            method::<GetApplicationRequest, _>(double.clone()),
        )
        .route(
            &path("GetActivation"),
            method::<GetActivationRequest, _>(double),
        )
        .merge(profiles())
}

struct Test {
    world: World,
    service: RegistrationServiceClient<ServiceChannel>,
    request: Uuid,
}

impl Test {
    /// With one active request.
    async fn start() -> Self {
        Self::with(World::start().await).await
    }

    async fn with(world: World) -> Self {
        let test = Self::registered(world, false).await;
        test.world.confirm_activation().await;
        test
    }

    /// With one request that is done here. `activated`: access-request says that it is active.
    async fn registered(mut world: World, activated: bool) -> Self {
        world.provide_access(access(&world, activated));
        world.provide_registration();
        let request = world.approve("pay", "free").await;
        world.until_done(request).await;
        let channel = world.deps.channels.to(ServiceName::Registration);
        Self {
            service: RegistrationServiceClient::new(channel),
            world,
            request,
        }
    }

    async fn credentials(&mut self, caller: &Caller) -> Result<Vec<api::Credentials>, Error> {
        let message = api::GetCredentialsRequest {
            application_id: self.world.application_id.to_string(),
        };
        let request = self.world.deps.identity.request(caller, message);
        let answer = self.service.get_credentials(request).await?;
        Ok(answer.into_inner().credentials)
    }

    async fn list(&mut self, caller: &Caller) -> Result<Vec<api::OauthClient>, Error> {
        let message = api::ListOauthClientsRequest {
            application_id: self.world.application_id.to_string(),
        };
        let request = self.world.deps.identity.request(caller, message);
        let answer = self.service.list_oauth_clients(request).await?;
        Ok(answer.into_inner().oauth_clients)
    }

    async fn rotate(&mut self, caller: &Caller) -> Result<api::Credentials, Error> {
        let message = api::RotateCredentialsRequest {
            application_id: self.world.application_id.to_string(),
            identity_provider_id: None,
            replace: false,
        };
        let request = self.world.deps.identity.request(caller, message);
        Ok(self.service.rotate_credentials(request).await?.into_inner())
    }

    async fn replace(&mut self, caller: &Caller) -> Result<api::Credentials, Error> {
        let message = api::RotateCredentialsRequest {
            application_id: self.world.application_id.to_string(),
            identity_provider_id: None,
            replace: true,
        };
        let request = self.world.deps.identity.request(caller, message);
        Ok(self.service.rotate_credentials(request).await?.into_inner())
    }

    async fn read(&mut self, caller: &Caller) -> Result<api::ClientAtProvider, Error> {
        let message = api::ReadOauthClientRequest {
            id: self.world.id().to_string(),
        };
        let read = async {
            loop {
                let request = self.world.deps.identity.request(caller, message.clone());
                let read = self.service.read_oauth_client(request).await?.into_inner();
                // The worker may not have let go of it yet.
                if read.state() != api::ClientState::BeingChanged {
                    return Ok(read);
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the worker lets go of it")
    }

    async fn conformance(&mut self) -> api::ConformanceCheck {
        let provider = self.world.provider_id.to_string();
        let start = api::StartConformanceCheckRequest {
            identity_provider_id: provider.clone(),
            scopes: vec!["product_pay".into()],
        };
        let started = async {
            loop {
                let start = self.world.deps.identity.request(&ADMIN, start.clone());
                let Err(error) = self.service.start_conformance_check(start).await else {
                    return;
                };
                // The one before has said that it has finished, and is giving its lease back.
                assert_eq!(Error::from(error).code, "conformance_check_running");
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, started).await.unwrap();
        let mut head = self.world.store.head();
        loop {
            head.borrow_and_update();
            let get = api::GetConformanceCheckRequest {
                identity_provider_id: provider.clone(),
            };
            let get = self.world.deps.identity.request(&ADMIN, get);
            let check = self.service.get_conformance_check(get).await.unwrap();
            let check = check.into_inner();
            if check.status() == api::ConformanceStatus::Finished {
                return check;
            }
            head.changed().await.unwrap();
        }
    }

    async fn looks(&self) -> usize {
        let events = self.world.events().await;
        events
            .iter()
            .filter(|event| **event == Event::Access(AccessEvent::CredentialsRevealed))
            .count()
    }
}

#[tokio::test]
async fn the_owner_sees_the_credentials_and_every_look_is_recorded() {
    let mut test = Test::start().await;
    let credentials = test.credentials(&OWNER).await.unwrap();
    let there = test.world.only_client();
    assert_eq!(credentials.len(), 1);
    let one = &credentials[0];
    assert_eq!(one.client_id, there.client_id);
    assert_eq!(one.client_secret, there.client_secret);
    assert_eq!(one.scopes, ["free_plan", "product_pay"]);
    assert_eq!(
        one.token_endpoint,
        format!("{}/token", test.world.provider.url())
    );
    assert_eq!(one.issuer, test.world.provider.url());
    assert_eq!(one.token_endpoint_auth_method, "client_secret_basic");
    assert_eq!(
        (one.status(), one.client_secret_expires_at),
        (api::OauthClientStatus::Ready, None)
    );
    for secret in [
        there.client_secret.unwrap(),
        there.registration_access_token.unwrap(),
    ] {
        assert!(!one.granted.contains(&secret));
    }
    assert_eq!(test.looks().await, 1);
    test.credentials(&OWNER).await.unwrap();
    assert_eq!(test.looks().await, 2);
}

/// The mapping at the gateway may not stand yet.
#[tokio::test]
async fn credentials_are_not_ready_before_the_access_is_active() {
    let mut test = Test::registered(World::start().await, false).await;
    let refused = test.credentials(&OWNER).await.unwrap_err();
    assert_eq!(
        (refused.kind, &*refused.code),
        (Kind::Conflict, "not_ready")
    );
    let refused = test.rotate(&OWNER).await.unwrap_err();
    assert_eq!(
        (refused.kind, &*refused.code),
        (Kind::Conflict, "not_ready")
    );
    assert_eq!(test.looks().await, 0);
    test.world.activate(test.request).await;
    assert_eq!(test.credentials(&OWNER).await.unwrap().len(), 1);
    // A later failure hides nothing.
    let bad = test.world.approve("nonsense", "free").await;
    test.world.until_outcome(bad, "failed 1").await;
    assert_eq!(test.credentials(&OWNER).await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_sees_an_active_request_gets_its_credentials_at_once() {
    let mut test = Test::registered(World::start().await, true).await;
    assert_eq!(test.credentials(&OWNER).await.unwrap().len(), 1);
    assert!(test.world.client().await.activated);
}

#[tokio::test]
async fn nobody_else_sees_them() {
    let mut test = Test::start().await;
    let refused = test.credentials(&ADMIN).await.unwrap_err();
    assert_eq!(
        (refused.kind, &*refused.code),
        (Kind::Forbidden, "credentials_not_yours")
    );
    let refused = test.rotate(&ADMIN).await.unwrap_err();
    assert_eq!(
        (refused.kind, &*refused.code),
        (Kind::Forbidden, "credentials_not_yours")
    );
    assert_eq!(
        test.credentials(&STRANGER).await.unwrap_err().kind,
        Kind::NotFound
    );
    assert_eq!(
        test.rotate(&STRANGER).await.unwrap_err().kind,
        Kind::NotFound
    );
    assert_eq!(test.list(&STRANGER).await.unwrap_err().kind, Kind::NotFound);
    for refused in [
        test.credentials(&Caller::Anonymous).await.unwrap_err(),
        test.list(&Caller::Anonymous).await.unwrap_err(),
        test.rotate(&Caller::Anonymous).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind, Kind::Unauthenticated);
    }
    assert_eq!(test.looks().await, 0);
}

#[tokio::test]
async fn clients_are_listed_for_owner_and_admin_without_secrets() {
    let mut test = Test::start().await;
    for caller in [&OWNER, &ADMIN] {
        let clients = test.list(caller).await.unwrap();
        assert_eq!(clients.len(), 1);
        assert_eq!(clients[0].status(), api::OauthClientStatus::Ready);
        assert_eq!(clients[0].wanted_scopes, clients[0].scopes);
        assert_eq!(clients[0].identity_provider_name, "The provider");
        let secret = test.world.only_client().client_secret.unwrap();
        assert!(!format!("{clients:?}").contains(&secret));
    }
    test.world.revoke(test.request).await;
    test.world.until_ended(test.request).await;
    let status = test.list(&OWNER).await.unwrap()[0].status();
    assert_eq!(status, api::OauthClientStatus::Deleted);
    assert_eq!(test.credentials(&OWNER).await.unwrap(), []);
}

#[tokio::test]
async fn a_client_is_read_at_its_provider_by_owner_and_admin() {
    let mut test = Test::start().await;
    for caller in [&OWNER, &ADMIN] {
        let read = test.read(caller).await.unwrap();
        assert_eq!(
            (read.state(), read.items.len()),
            (api::ClientState::AsMade, 0)
        );
        let found: serde_json::Value = serde_json::from_str(&read.found).unwrap();
        let there = test.world.only_client();
        assert_eq!(found["client_id"], there.client_id.as_str());
        let token = there.registration_access_token.unwrap();
        assert!(!read.found.contains(&there.client_secret.unwrap()));
        assert!(!read.found.contains(&token));
    }
    let refused = test.read(&STRANGER).await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotFound);
    let id = test.world.only_client().client_id;
    test.world.provider.delete_client(&id);
    // A refusal says nothing of whether it lives.
    let read = test.read(&OWNER).await.unwrap();
    assert_eq!(read.state(), api::ClientState::NotReadable);
    assert!(
        read.reason().contains("deleted or disabled there"),
        "{read:?}"
    );
    let gone = Fault::Refuse(Answer::status(410));
    test.world.provider.fail_next(Operation::Read, 1, gone);
    let state = test.read(&OWNER).await.unwrap().state();
    assert_eq!(state, api::ClientState::Missing);
}

#[tokio::test]
async fn a_conformance_check_leaves_nothing_behind() {
    let mut test = Test::start().await;
    let check = test.conformance().await;
    let steps: Vec<(&str, &str)> = check
        .steps
        .iter()
        .map(|step| (step.name().as_word(), step.outcome().as_word()))
        .collect();
    assert_eq!(
        steps,
        [
            ("register", "passed"),
            ("read", "passed"),
            ("update", "passed"),
            ("rotate", "not_offered"),
            ("token", "passed"),
            ("delete", "passed"),
            ("gone", "passed"),
        ],
        "{check:?}"
    );
    assert_eq!(check.left_behind, None);
    assert_eq!(test.world.provider.client_count(), 1);
}

#[tokio::test]
async fn what_a_check_could_not_delete_the_next_one_does() {
    let mut test = Test::start().await;
    let refusal = Fault::Refuse(Answer::status(403));
    test.world.provider.fail_next(Operation::Delete, 1, refusal);
    let check = test.conformance().await;
    let mut steps = check.steps.iter();
    let deleted = steps.find(|step| step.name() == api::ConformanceStepName::Delete);
    assert_eq!(deleted.unwrap().outcome(), api::ConformanceOutcome::Failed);
    assert_ne!(check.left_behind, None);
    assert_eq!(test.world.provider.client_count(), 2);
    let check = test.conformance().await;
    assert_eq!(check.left_behind, None, "{check:?}");
    assert_eq!(test.world.provider.client_count(), 1);
}

#[tokio::test]
async fn orphans_are_for_admins() {
    let mut test = Test::start().await;
    let ask = |caller: &Caller| {
        let message = api::ListOrphansRequest::default();
        test.world.deps.identity.request(caller, message)
    };
    let (admin, owner) = (ask(&ADMIN), ask(&OWNER));
    let answer = test.service.list_orphans(admin).await.unwrap().into_inner();
    assert_eq!((answer.orphans, answer.next.as_str()), (vec![], ""));
    let refused = Error::from(test.service.list_orphans(owner).await.unwrap_err());
    assert_eq!(refused.kind, Kind::Forbidden);
}
