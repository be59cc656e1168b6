//! A registration service to call, and who calls it.

use std::{path::Path, sync::Arc};

use portico_bus::MemoryBus;
use portico_eventstore::{EventStore, sqlx, sqlx::Row as _};
use portico_proto::{
    Error,
    registration::v1::{registration_service_client::RegistrationServiceClient, *},
};
use portico_runtime::{
    Caller, Channels, Clock, Config, Deps, IdentityKey, Outgoing, Role, ServiceChannel, ServiceName,
};
use portico_sandbox::identity_provider::{self as sandbox, Handle};
use portico_vault::{Kek, KekRing};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// A text that must never be seen.
pub(crate) const TOKEN: &str = "initial-access-token-3b0c9a";
pub(crate) const SECRET: &str = "management-secret-7d1f22";

pub(crate) struct App {
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
    folder: TempDir,
}

impl App {
    /// May call 127.0.0.1, and nothing else that is private.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let (kek, _) = Kek::load_or_generate(folder.path()).unwrap();
        let variables = [
            ("PORTICO_DATA_DIR", folder.path().to_str().unwrap()),
            ("PORTICO_ALLOW_PRIVATE_ADDRESSES", "127.0.0.1"),
        ];
        let config = Config::from_parts(None, variables).unwrap();
        let deps = Deps {
            outgoing: Outgoing::new(config.outgoing.clone()),
            config: Arc::new(config),
            bus: Arc::new(MemoryBus::new()),
            channels: Channels::local(),
            identity: IdentityKey::new(&kek.derive("identity"), clock.clone()),
            kek: KekRing::new(kek, []),
            process: clock.new_id(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            clock,
        };
        let service = portico_registration::start(&deps).await.unwrap();
        deps.channels
            .provide(ServiceName::Registration, service.router.clone());
        Self {
            deps,
            store: service.store,
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn client(&self) -> RegistrationServiceClient<ServiceChannel> {
        RegistrationServiceClient::new(self.deps.channels.to(ServiceName::Registration))
    }

    pub(crate) fn request<T>(&self, caller: &Caller, message: T) -> Request<T> {
        self.deps.identity.request(caller, message)
    }

    pub(crate) fn by_admin<T>(&self, message: T) -> Request<T> {
        self.request(&admin(), message)
    }

    /// A request that may be repeated.
    pub(crate) fn keyed<T>(&self, key: &'static str, message: T) -> Request<T> {
        let mut request = self.by_admin(message);
        let key = key.parse().unwrap();
        request.metadata_mut().insert("idempotency-key", key);
        request
    }

    pub(crate) async fn create(
        &self,
        settings: IdentityProvider,
    ) -> Result<IdentityProvider, Error> {
        let request = self.by_admin(creation(settings));
        answer(self.client().create_identity_provider(request).await)
    }

    pub(crate) async fn update(
        &self,
        message: UpdateIdentityProviderRequest,
    ) -> Result<IdentityProvider, Error> {
        let request = self.by_admin(message);
        answer(self.client().update_identity_provider(request).await)
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<DeleteIdentityProviderResponse, Error> {
        let request = self.by_admin(DeleteIdentityProviderRequest {
            id: id.into(),
            if_version: 0,
        });
        answer(self.client().delete_identity_provider(request).await)
    }

    pub(crate) async fn get(&self, caller: &Caller, id: &str) -> Result<IdentityProvider, Error> {
        let request = self.request(caller, GetIdentityProviderRequest { id: id.into() });
        answer(self.client().get_identity_provider(request).await)
    }

    pub(crate) async fn list(&self, q: &str, limit: u32, after: &str) -> (Vec<String>, String) {
        let request = self.by_admin(ListIdentityProvidersRequest {
            limit,
            after: after.into(),
            q: q.into(),
            sort: String::new(),
        });
        let page = answer(self.client().list_identity_providers(request).await).unwrap();
        let names = page.identity_providers.into_iter();
        (names.map(|provider| provider.name).collect(), page.next)
    }

    pub(crate) async fn create_client_type(
        &self,
        message: CreateClientTypeRequest,
    ) -> Result<ClientType, Error> {
        let request = self.by_admin(message);
        answer(self.client().create_client_type(request).await)
    }

    pub(crate) async fn delete_client_type(
        &self,
        id: &str,
    ) -> Result<DeleteClientTypeResponse, Error> {
        let request = self.by_admin(DeleteClientTypeRequest {
            id: id.into(),
            if_version: 0,
        });
        answer(self.client().delete_client_type(request).await)
    }

    /// A waiting OAuth client, as its own view would have it.
    pub(crate) async fn insert_oauth_client(&self, provider: &str, client_type: &str) {
        sqlx::query(
            "INSERT INTO oauth_clients (id, application_id, identity_provider_id, client_type_id, client_id, \
             status, live, manageable, paused, wanted_scopes, scopes, differences, last_error, next_try_at, \
             state, created_at, updated_at) \
             VALUES ('c', 'a', $1, $2, '', 'waiting', 0, 0, 0, '[]', '[]', '[]', '', '', '{}', '', '')",
        )
        .bind(provider.to_owned())
        .bind(client_type.to_owned())
        .execute(self.store.database().pool())
        .await
        .unwrap();
    }

    /// How many texts are in the vault.
    pub(crate) async fn vault_entries(&self) -> i64 {
        sqlx::query("SELECT COUNT(*) FROM vault_value")
            .fetch_one(self.store.database().pool())
            .await
            .unwrap()
            .try_get(0)
            .unwrap()
    }

    /// How many events were ever appended.
    pub(crate) async fn events(&self) -> usize {
        self.store.read(0, 1000).await.unwrap().len()
    }
}

pub(crate) fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, Error> {
    result.map(Response::into_inner).map_err(Error::from)
}

pub(crate) fn admin() -> Caller {
    Caller::User {
        id: Uuid::from_u128(1),
        role: Role::Admin,
        let_in: false,
    }
}

pub(crate) fn developer() -> Caller {
    Caller::User {
        id: Uuid::from_u128(2),
        role: Role::Developer,
        let_in: false,
    }
}

pub(crate) fn service() -> Caller {
    Caller::service("catalog")
}

/// A provider with two scopes.
pub(crate) async fn provider() -> Handle {
    let settings = sandbox::Settings {
        scopes: vec!["product_payments".into(), "free_plan".into()],
        ..sandbox::Settings::default()
    };
    sandbox::start(settings).await.unwrap()
}

/// What an admin enters of it.
pub(crate) fn of(provider: &Handle) -> IdentityProvider {
    IdentityProvider {
        name: "Sandbox".into(),
        r#type: IdentityProviderType::Other.into(),
        well_known_url: provider.well_known_url(),
        ..IdentityProvider::default()
    }
}

pub(crate) fn creation(settings: IdentityProvider) -> CreateIdentityProviderRequest {
    CreateIdentityProviderRequest {
        identity_provider: Some(settings),
    }
}

/// A client type for services.
pub(crate) fn client_type(provider: &str) -> CreateClientTypeRequest {
    CreateClientTypeRequest {
        identity_provider_id: provider.into(),
        client_type: Some(ClientType {
            name: "Backend".into(),
            grant_types: vec!["client_credentials".into()],
            ..ClientType::default()
        }),
    }
}

pub(crate) fn with_secrets(settings: IdentityProvider) -> IdentityProvider {
    IdentityProvider {
        initial_access_token: Some(TOKEN.into()),
        management_client_id: Some("portico-admin".into()),
        management_client_secret: Some(SECRET.into()),
        ..settings
    }
}

/// A merge patch, as REST takes it.
pub(crate) fn change(id: &str, patch: serde_json::Value) -> UpdateIdentityProviderRequest {
    let change: IdentityProviderChange = serde_json::from_value(patch).unwrap();
    UpdateIdentityProviderRequest {
        id: id.into(),
        if_version: 0,
        identity_provider: Some(change.message),
        update_mask: Some(change.mask),
    }
}

/// The error's only field and code.
pub(crate) fn field(error: &Error) -> (&str, &str) {
    assert_eq!(error.fields.len(), 1, "{error:?}");
    assert_eq!(error.fields[0].code, error.code);
    (&error.fields[0].field, &error.fields[0].code)
}
