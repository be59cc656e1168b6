//! A gateway, a provider and an upstream, and Portico's side of them.

mod calls;

use std::collections::BTreeSet;
use std::sync::Arc;

use portico_bus::MemoryBus;
use portico_eventstore::{Context, EventStore, Metadata};
use portico_runtime::{Channels, Clock, Config, Deps, IdentityKey, Outgoing, ServiceName};
use portico_sandbox::gateway::{self, Handle, seed};
use portico_sandbox::{echo, identity_provider as provider};
use portico_vault::{Kek, KekRing, Secret, Vault};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::super::{Mapped, Mapper, MappingFailure};
use crate::entitlement::{AccessCommand, Command, Credential, Entitlement, Wanted, WantedState};
use crate::gateway::{self as of_gateway, Gateway, Settings};
use crate::item::{Api, CatalogueChange, Item, Limit, Plan, Product};
use crate::known::{Application, KnownProvider, Provider, ProviderCommand};
use crate::views::gateways::{self as view, Recorded};
use crate::views::grants::Grant;

pub(crate) const ADMIN: &str = "an-admin";
const SCOPES: [&str; 6] = [
    "product_pay",
    "product_ship",
    "free_plan",
    "gold_plan",
    "small_plan",
    "other",
];

/// A folder with a service's database, and what a service is given.
pub(crate) fn deps(folder: &TempDir) -> Deps {
    let clock = Clock::system();
    let (kek, _) = Kek::load_or_generate(folder.path()).unwrap();
    let data_dir = folder.path().display().to_string();
    let config = Config::from_parts(
        None,
        [
            ("PORTICO_DATA_DIR", data_dir.as_str()),
            ("PORTICO_ALLOW_PRIVATE_ADDRESSES", "127.0.0.0/8"),
        ],
    )
    .unwrap();
    Deps {
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
    }
}

/// Where nobody listens.
pub(crate) fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

pub(crate) struct World {
    pub(crate) gateway: Handle,
    pub(crate) provider: provider::Handle,
    upstream: echo::Handle,
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
    vault: Vault,
    pub(crate) mapper: Mapper,
    pub(crate) provider_id: Uuid,
    pub(crate) default_policy_id: &'static str,
    folder: TempDir,
}

/// An approved item of a request.
pub(crate) struct Granted {
    product: String,
    plan: String,
    apis: Vec<String>,
    pub(crate) gateway: Option<String>,
    /// Nil: the one of the world.
    pub(crate) identity_provider: Uuid,
    pub(crate) rate: Option<Limit>,
    pub(crate) quota: Option<Limit>,
    /// A policy that an admin made; none: Portico's.
    pub(crate) product_policy: Option<String>,
}

impl Granted {
    pub(crate) fn new(product: &str, plan: &str, apis: &[&str]) -> Self {
        Self {
            product: product.into(),
            plan: plan.into(),
            apis: apis.iter().map(|api| (*api).to_owned()).collect(),
            gateway: None,
            identity_provider: Uuid::nil(),
            rate: None,
            quota: None,
            product_policy: None,
        }
    }

    pub(crate) fn item(&self) -> Item {
        let api = |id: &String| Api {
            api_id: id.clone(),
            name: id.clone(),
            url: String::new(),
            gateway_id: self.gateway.clone(),
        };
        Item {
            product: Product {
                id: self.product.clone(),
                version: 1,
                name: self.product.to_uppercase(),
                scopes: [format!("product_{}", self.product)].into(),
                policy_id: self.product_policy.clone(),
                apis: self.apis.iter().map(api).collect(),
            },
            plan: Plan {
                id: self.plan.clone(),
                version: 1,
                name: self.plan.to_uppercase(),
                scopes: [format!("{}_plan", self.plan)].into(),
                policy_id: None,
                rate: self.rate,
                quota: self.quota,
            },
        }
    }

    pub(crate) fn grant(&self, provider: Uuid) -> Grant {
        let Item { product, plan } = self.item();
        Grant {
            first_request: "new".into(),
            last_request: "new".into(),
            count: 1,
            identity_provider_id: Some(provider),
            product_id: product.id,
            product_name: product.name,
            product_scopes: product.scopes.into_iter().collect(),
            product_policy_id: product.policy_id,
            plan_id: plan.id,
            plan_name: plan.name,
            plan_scopes: plan.scopes.into_iter().collect(),
            plan_policy_id: None,
            rate: plan.rate,
            quota: plan.quota,
            apis: product.apis,
        }
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        let provider = provider::start(provider::Settings {
            scopes: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            ..provider::Settings::default()
        })
        .await
        .unwrap();
        let upstream = echo::start(echo::Settings::default()).await.unwrap();
        let api = |id: &str| seed::api(id, id, &format!("/{id}/"), &upstream.url());
        let gateway = gateway::start(gateway::Settings {
            apis: vec![seed::no_operation_api(), api("pay"), api("ship")],
            policies: vec![seed::no_operation_policy()],
            ..gateway::Settings::default()
        })
        .await
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let deps = deps(&folder);
        let (store, vault) = open(&deps).await;
        let mut world = Self {
            mapper: Mapper::new(&deps, &store, &vault),
            gateway,
            provider,
            upstream,
            deps,
            store,
            vault,
            provider_id: Uuid::nil(),
            default_policy_id: seed::NO_OPERATION_POLICY,
            folder,
        };
        world.provider_id = world.add_provider(&world.provider.url()).await;
        world
    }

    /// A new process on the same data.
    pub(crate) async fn restarted(self) -> Self {
        let deps = deps(&self.folder);
        let (store, vault) = open(&deps).await;
        Self {
            mapper: Mapper::new(&deps, &store, &vault),
            deps,
            store,
            vault,
            ..self
        }
    }

    /// Another one at the same time, as another process has it.
    pub(crate) fn other_mapper(&self) -> Mapper {
        Mapper::new(&self.deps, &self.store, &self.vault)
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            metadata: Metadata {
                actor: ADMIN.into(),
                ..Metadata::default()
            },
            now: self.deps.clock.now(),
            command_id: self.deps.clock.new_id(),
        }
    }

    pub(crate) async fn add_gateway(&self) -> Uuid {
        self.add_gateway_at(&self.gateway.url()).await
    }

    pub(crate) async fn add_gateway_at(&self, url: &str) -> Uuid {
        let id = self.deps.clock.new_id();
        let owner = Gateway::vault_owner(id);
        let secret = Secret::new(self.gateway.secret());
        let command = of_gateway::Command::Add {
            settings: Settings {
                name: format!("Gateway {id}"),
                kind: "tyk".into(),
                url: url.into(),
                org_id: String::new(),
                default_policy_id: self.default_policy_id.into(),
            },
            secret: self.vault.put(&owner, &secret).await.unwrap(),
        };
        let context = self.context();
        self.store
            .execute::<Gateway>(id, &command, &context)
            .await
            .unwrap();
        id
    }

    pub(crate) async fn add_provider(&self, url: &str) -> Uuid {
        let id = self.deps.clock.new_id();
        self.note_provider(id, 1, url).await;
        id
    }

    /// The provider's document names other addresses now.
    pub(crate) async fn move_provider(&self, url: &str) {
        self.note_provider(self.provider_id, 2, url).await;
    }

    async fn note_provider(&self, id: Uuid, version: u64, url: &str) {
        let url = url.trim_end_matches('/');
        let command = ProviderCommand::Note(Provider {
            version,
            name: format!("Provider {id}"),
            issuer: url.to_owned(),
            jwks_uri: Some(format!("{url}/jwks")),
            scope_claim: "scope".into(),
        });
        let context = self.context();
        self.store
            .execute::<KnownProvider>(id, &command, &context)
            .await
            .unwrap();
    }

    pub(crate) async fn grant(&self, request: Uuid, granted: &Granted) {
        let provider = match granted.identity_provider {
            id if id.is_nil() => self.provider_id,
            id => id,
        };
        self.grant_at(provider, request, granted.item()).await;
    }

    pub(crate) async fn grant_item(&self, request: Uuid, item: Item) {
        self.grant_at(self.provider_id, request, item).await;
    }

    async fn grant_at(&self, provider: Uuid, request: Uuid, item: Item) {
        let wanted = Wanted {
            revision: 1,
            state: WantedState::Granted,
            credential: Credential::OauthClient {
                identity_provider_id: provider,
            },
            application_id: Uuid::from_u128(1),
            application: Application::default(),
            items: vec![item],
        };
        self.want(request, wanted).await;
    }

    /// The catalogue changes its product.
    pub(crate) async fn follow(&self, request: Uuid, product: Product) {
        let change = CatalogueChange::Product(product);
        let command = Command::Access(AccessCommand::FollowCatalogue(change));
        let context = self.context();
        let followed = self
            .store
            .execute::<Entitlement>(request, &command, &context);
        followed.await.unwrap();
    }

    pub(crate) async fn revoke(&self, request: Uuid) {
        let entitlement = self.entitlement(request).await;
        let wanted = entitlement.wanted.unwrap();
        let revision = wanted.revision + 1;
        let state = WantedState::Revoked;
        self.want(
            request,
            Wanted {
                revision,
                state,
                ..wanted
            },
        )
        .await;
    }

    async fn want(&self, request: Uuid, wanted: Wanted) {
        let command = Command::Access(AccessCommand::Want(Box::new(wanted)));
        let context = self.context();
        self.store
            .execute::<Entitlement>(request, &command, &context)
            .await
            .unwrap();
    }

    async fn entitlement(&self, request: Uuid) -> Entitlement {
        let loaded = self.store.load::<Entitlement>(request).await;
        loaded.unwrap().state
    }

    /// Where its APIs are, or were.
    pub(crate) async fn synchronise(&self, request: Uuid) -> Result<Mapped, MappingFailure> {
        let entitlement = self.entitlement(request).await;
        let named: &BTreeSet<_> = entitlement.gateways_to_write();
        let context = self.context();
        self.mapper.synchronise(named, request, &context).await
    }

    pub(crate) async fn recorded(&self, gateway: Uuid, api: &str) -> Recorded {
        let pool = self.store.database().pool();
        view::recorded(pool, gateway)
            .await
            .unwrap()
            .remove(api)
            .unwrap()
    }

    pub(crate) fn writes(&self) -> usize {
        let calls = self.gateway.control_calls();
        calls.iter().filter(|call| call.method != "GET").count()
    }

    /// The call of the control API with this number, from now, is answered with 503.
    pub(crate) fn fail_call(&self, number: usize) {
        // 0 is no status: those before are answered.
        self.gateway.fail_next_control(number, 0);
        self.gateway.fail_next_control(1, 503);
    }
}

async fn open(deps: &Deps) -> (EventStore, Vault) {
    let name = ServiceName::Gateway;
    let migrations = [portico_vault::migrations(), &crate::MIGRATIONS];
    let database = deps.database(name, &migrations).await.unwrap();
    let vault = deps.vault(&database);
    let store = deps.store(database, crate::projections()).await.unwrap();
    (store, vault)
}
