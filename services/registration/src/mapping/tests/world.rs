//! A gateway, a provider and an upstream, and Portico's side of them.

mod calls;

use std::sync::Arc;

use portico_bus::MemoryBus;
use portico_eventstore::sqlx;
use portico_eventstore::{Context, EventStore, Metadata};
use portico_runtime::{Channels, Clock, Config, Deps, IdentityKey, Outgoing, ServiceName};
use portico_sandbox::gateway::{self, Handle, seed};
use portico_sandbox::{echo, identity_provider as provider};
use portico_vault::{Kek, KekRing, Secret, Vault};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::gateway::{Command, Gateway, Settings};
use crate::gateways::Limit;
use crate::identity_provider::{self, IdentityProvider, Location};
use crate::mapping::grants::{Grant, GrantedApi};
use crate::mapping::wanted::Recorded;
use crate::mapping::{Mapped, Mapper, MappingFailure};
use crate::providers::{Endpoints, ProviderType};
use crate::views::gateways as view;

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
    pub(crate) gateway: String,
    /// Nil: the one of the world.
    pub(crate) identity_provider: Uuid,
    pub(crate) rate: Option<(i64, i64)>,
    pub(crate) quota: Option<(i64, i64)>,
    /// A policy that an admin made; empty: Portico's.
    pub(crate) product_policy: String,
}

impl Granted {
    pub(crate) fn new(product: &str, plan: &str, apis: &[&str]) -> Self {
        Self {
            product: product.into(),
            plan: plan.into(),
            apis: apis.iter().map(|api| (*api).to_owned()).collect(),
            gateway: String::new(),
            identity_provider: Uuid::nil(),
            rate: None,
            quota: None,
            product_policy: String::new(),
        }
    }

    pub(crate) fn grant(&self, provider: Uuid) -> Grant {
        let limit = |(requests, seconds): (i64, i64)| Limit {
            requests: requests.try_into().unwrap(),
            seconds: seconds.try_into().unwrap(),
        };
        Grant {
            first_request: "new".into(),
            last_request: "new".into(),
            count: 1,
            identity_provider_id: provider.to_string(),
            product_id: self.product.clone(),
            product_name: self.product.to_uppercase(),
            product_scopes: vec![format!("product_{}", self.product)],
            product_policy_id: self.product_policy.clone(),
            plan_id: self.plan.clone(),
            plan_name: self.plan.to_uppercase(),
            plan_scopes: vec![format!("{}_plan", self.plan)],
            rate: self.rate.map(limit),
            quota: self.quota.map(limit),
            apis: self
                .apis
                .iter()
                .map(|id| GrantedApi {
                    api_id: id.clone(),
                    name: id.clone(),
                    gateway_id: self.gateway.clone(),
                })
                .collect(),
            ..Grant::default()
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
        let command = Command::Add {
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
        let url = url.trim_end_matches('/');
        let at = |path: &str| format!("{url}/{path}").parse().unwrap();
        let settings = identity_provider::Settings {
            name: format!("Provider {id}"),
            kind: ProviderType::Other,
            location: Location {
                well_known_url: format!("{url}/.well-known/openid-configuration"),
                skip_tls_verify: false,
                trusted_certificates: String::new(),
                endpoints: Endpoints {
                    issuer: url.into(),
                    registration_endpoint: at("register"),
                    token_endpoint: at("token"),
                    jwks_uri: Some(at("jwks")),
                    scopes_supported: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
                    auth_methods_supported: Vec::new(),
                    grant_types_supported: Vec::new(),
                    allowed_origins: vec![],
                    registration_endpoint_override: None,
                },
            },
            scope_claim: "scope".into(),
            management: None,
            authorization: None,
            options: crate::providers::Options::default(),
            software_statement: None,
        };
        let command = identity_provider::Command::Add {
            settings,
            initial_access_token: None,
        };
        let context = self.context();
        self.store
            .execute::<IdentityProvider>(id, &command, &context)
            .await
            .unwrap();
        id
    }

    /// The provider's document names other addresses now.
    pub(crate) async fn move_provider(&self, url: &str) {
        let loaded = identity_provider::load(&self.store, self.provider_id)
            .await
            .unwrap();
        let mut settings = loaded.state.present().unwrap().clone();
        settings.location.endpoints.jwks_uri = format!("{url}/jwks").parse().ok();
        let command = identity_provider::Command::Change {
            settings,
            initial_access_token: identity_provider::TokenChange::Keep,
            live_clients: 0,
        };
        let context = self.context();
        self.store
            .execute::<IdentityProvider>(self.provider_id, &command, &context)
            .await
            .unwrap();
    }

    /// As the projection of OAuth clients does it.
    pub(crate) async fn grant(&self, request: Uuid, granted: &Granted) {
        let provider = match granted.identity_provider {
            id if id.is_nil() => self.provider_id,
            id => id,
        };
        let grant = granted.grant(provider);
        let apis: Vec<Value> = grant
            .apis
            .iter()
            .map(|api| json!({"api_id": api.api_id, "name": api.name, "url": "", "gateway_id": api.gateway_id}))
            .collect();
        sqlx::query(
            "INSERT INTO grants (request_id, item, oauth_client_id, application_id, identity_provider_id, \
             product_id, product_name, product_scopes, product_policy_id, plan_id, plan_name, plan_scopes, \
             plan_policy_id, rate_requests, rate_per_seconds, quota_requests, quota_renews_every_seconds, apis) \
             VALUES ($1, 0, '', '', $2, $3, $4, $5, $14, $6, $7, $8, '', $9, $10, $11, $12, $13)",
        )
        .bind(request.to_string())
        .bind(grant.identity_provider_id)
        .bind(grant.product_id)
        .bind(grant.product_name)
        .bind(json!(grant.product_scopes).to_string())
        .bind(grant.plan_id)
        .bind(grant.plan_name)
        .bind(json!(grant.plan_scopes).to_string())
        .bind(granted.rate.map(|rate| rate.0))
        .bind(granted.rate.map(|rate| rate.1))
        .bind(granted.quota.map(|quota| quota.0))
        .bind(granted.quota.map(|quota| quota.1))
        .bind(Value::from(apis).to_string())
        .bind(grant.product_policy_id)
        .execute(self.store.database().pool())
        .await
        .unwrap();
    }

    pub(crate) async fn revoke(&self, request: Uuid) {
        sqlx::query("DELETE FROM grants WHERE request_id = $1")
            .bind(request.to_string())
            .execute(self.store.database().pool())
            .await
            .unwrap();
    }

    /// For requests whose APIs name no gateway.
    pub(crate) async fn synchronise(&self, requests: &[Uuid]) -> Result<Mapped, MappingFailure> {
        self.mapper
            .synchronise(&[String::new()], requests, &self.context())
            .await
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
    let name = ServiceName::Registration;
    let migrations = [portico_vault::migrations(), &crate::MIGRATIONS];
    let database = deps.database(name, &migrations).await.unwrap();
    let vault = deps.vault(&database);
    let store = deps.store(database, crate::projections()).await.unwrap();
    (store, vault)
}
