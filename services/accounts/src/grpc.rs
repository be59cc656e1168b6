//! `portico.accounts.v1.AccountsService`. Every method begins with its authorisation rule.

mod access;
mod api_tokens;
mod users;

use portico_eventstore::EventStore;
use portico_proto::accounts::v1::{self as proto, accounts_service_server::AccountsService};
use portico_runtime::{Clock, Config, Deps, IdentityKey};
use sqlx::AnyPool;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

use crate::{
    people::People,
    security::SecurityLog,
    sign_in::{limits::Limits, password::Passwords},
    sign_up::SignUps,
};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Accounts {
    config: Arc<Config>,
    clock: Clock,
    /// What has begun, and is waited for when the process ends.
    tasks: TaskTracker,
    /// Sign-ins at the same time, those whose callers have gone included.
    sign_ins: Arc<Semaphore>,
    identity: IdentityKey,
    store: EventStore,
    people: People,
    passwords: Passwords,
    limits: Limits,
    security: SecurityLog,
    pub(crate) signup: SignUps,
}

impl Accounts {
    pub(crate) fn new(
        deps: &Deps,
        store: EventStore,
        people: People,
        security: SecurityLog,
    ) -> Self {
        let (passwords, of_sign_ups) = Passwords::of_sign_ins_and_sign_ups(deps.config.passwords);
        Self {
            config: Arc::clone(&deps.config),
            clock: deps.clock.clone(),
            tasks: deps.tasks.clone(),
            sign_ins: Arc::new(Semaphore::new(deps.config.connections.max)),
            identity: deps.identity.clone(),
            limits: Limits::new(
                deps.clock.clone(),
                store.database().pool().clone(),
                people.address_key.clone(),
                deps.config.attempts,
            ),
            signup: SignUps {
                store: store.clone(),
                people: people.clone(),
                passwords: of_sign_ups,
                clock: deps.clock.clone(),
            },
            store,
            people,
            security,
            passwords,
        }
    }

    fn pool(&self) -> &AnyPool {
        self.store.database().pool()
    }
}

/// The trait's methods, each in the file of its subject.
macro_rules! methods {
    ($($method:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl AccountsService for Accounts {
            $(async fn $method(
                &self,
                request: Request<proto::$request>,
            ) -> Result<Response<proto::$response>, Status> {
                Ok(Response::new(self.$method(&request).await?))
            })*
        }
    };
}

methods! {
    sign_up(SignUpRequest) -> User;
    create_session(CreateSessionRequest) -> CreateSessionResponse;
    delete_session(DeleteSessionRequest) -> DeleteSessionResponse;
    authenticate(AuthenticateRequest) -> AuthenticateResponse;
    get_ended_tokens(GetEndedTokensRequest) -> GetEndedTokensResponse;
    report_refusals(ReportRefusalsRequest) -> ReportRefusalsResponse;
    get_current_user(GetCurrentUserRequest) -> User;
    get_user(GetUserRequest) -> User;
    list_users(ListUsersRequest) -> ListUsersResponse;
    activate_user(ActivateUserRequest) -> User;
    suspend_user(SuspendUserRequest) -> User;
    let_in_user(LetInUserRequest) -> User;
    shut_out_user(ShutOutUserRequest) -> User;
    erase_user(EraseUserRequest) -> User;
    create_api_token(CreateApiTokenRequest) -> CreateApiTokenResponse;
    list_api_tokens(ListApiTokensRequest) -> ListApiTokensResponse;
    revoke_api_token(RevokeApiTokenRequest) -> RevokeApiTokenResponse;
    get_contacts(GetContactsRequest) -> GetContactsResponse;
}
