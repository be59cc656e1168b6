//! The service, a gateway with APIs that take tokens and keys, a provider that signs tokens, and the messages of the
//! other services.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portico_bus::{ConsumerSpec, Message};
use portico_eventstore::{Aggregate, Context, EventStore};
use portico_proto::access::v1::{self as access, report, wanted_access};
use portico_proto::catalog::v1 as catalog;
use portico_proto::gateway::v1::GatewayReported;
use portico_proto::registration::v1 as registration;
use portico_runtime::config::Retry;
use portico_runtime::{Deps, Service, ServiceName};
use portico_sandbox::gateway::{self, DashboardSettings, seed};
use portico_sandbox::{echo, identity_provider};
use portico_vault::{Secret, Vault};
use prost::Message as _;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::entitlement::{Entitlement, owner, place_in_vault};
use crate::gateway::{Command, Gateway, Settings};
use crate::worker::mapper::tests::world::deps;

/// A test that waits longer than this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const KEYS: wanted_access::Credential =
    wanted_access::Credential::ApiKey(access::ApiKeyCredential {});

const PUBLIC: ConsumerSpec = ConsumerSpec {
    name: "test",
    subjects: &[
        "portico.gateway.gateway_reported",
        "portico.gateway.api_key_changed",
    ],
};

pub(crate) struct World {
    pub(crate) gateway: gateway::Handle,
    pub(crate) gateway_id: Uuid,
    pub(crate) provider: identity_provider::Handle,
    pub(crate) provider_id: Uuid,
    pub(crate) application_id: Uuid,
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
    pub(crate) vault: Vault,
    pub(crate) service: Service,
    pub(crate) messages: Arc<Mutex<Vec<Message>>>,
    wanted: BTreeMap<Uuid, access::WantedAccess>,
    position: i64,
    _upstream: echo::Handle,
    _folder: TempDir,
}

impl World {
    /// Runs at once, and knows the identity provider.
    pub(crate) async fn start() -> Self {
        let mut world = Self::prepare(None).await;
        world.run().await;
        world.announce_provider(1).await;
        world
    }

    /// By the Dashboard, where there is one; runs at once.
    pub(crate) async fn start_by(dashboard: Option<DashboardSettings>) -> Self {
        let mut world = Self::prepare(dashboard).await;
        world.run().await;
        world
    }

    /// Does not run yet.
    pub(crate) async fn prepare(dashboard: Option<DashboardSettings>) -> Self {
        let upstream = echo::start(echo::Settings::default()).await.unwrap();
        let provider = identity_provider::start(identity_provider::Settings::default());
        let key_api = |id: &str| seed::key_api(id, id, &format!("/{id}/"), &upstream.url());
        let api = |id: &str| seed::api(id, id, &format!("/{id}/"), &upstream.url());
        let apis = vec![
            seed::no_operation_api(),
            key_api("weather"),
            key_api("maps"),
            api("pay"),
            api("ship"),
        ];
        let gateway = gateway::start(gateway::Settings {
            apis,
            policies: vec![seed::no_operation_policy()],
            dashboard: dashboard.clone(),
            ..gateway::Settings::default()
        })
        .await
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (deps, service) = open(&folder).await;
        let (kind, secret) = match &dashboard {
            Some(settings) => ("tyk_dashboard", settings.user_key.clone()),
            None => ("tyk", gateway.secret().to_owned()),
        };
        let mut world = Self {
            gateway_id: deps.clock.new_id(),
            gateway,
            provider: provider.await.unwrap(),
            provider_id: deps.clock.new_id(),
            application_id: deps.clock.new_id(),
            store: service.store.clone(),
            vault: deps.vault(service.store.database()),
            messages: Arc::default(),
            wanted: BTreeMap::new(),
            position: 0,
            deps,
            service,
            _upstream: upstream,
            _folder: folder,
        };
        world.add_gateway(kind, &secret).await;
        world
    }

    /// The gateway from now on.
    pub(crate) async fn add_gateway(&mut self, kind: &str, secret: &str) {
        self.gateway_id = self.deps.clock.new_id();
        let owner = Gateway::vault_owner(self.gateway_id);
        let secret = self.vault.put(&owner, &Secret::new(secret)).await.unwrap();
        let settings = Settings {
            name: "Tyk".into(),
            kind: kind.into(),
            url: self.gateway.url(),
            org_id: String::new(),
            default_policy_id: seed::NO_OPERATION_POLICY.into(),
        };
        self.execute::<Gateway>(self.gateway_id, &Command::Add { settings, secret })
            .await;
    }

    /// Begins the background work.
    pub(crate) async fn run(&mut self) {
        self.deps.bus.declare(&[PUBLIC]).await.unwrap();
        self.service.declare(&self.deps).await.unwrap();
        let mut deliveries = self.deps.bus.consume(&PUBLIC).await.unwrap();
        let messages = Arc::clone(&self.messages);
        tokio::spawn(async move {
            while let Some(delivery) = deliveries.next().await {
                messages.lock().unwrap().push(delivery.message.clone());
                delivery.ack().await.unwrap();
            }
        });
        self.service.run(&self.deps);
    }

    fn context(&self) -> Context {
        Context {
            metadata: portico_eventstore::Metadata {
                actor: "test".into(),
                ..Default::default()
            },
            now: self.deps.clock.now(),
            command_id: self.deps.clock.new_id(),
        }
    }

    pub(crate) async fn execute<A: Aggregate>(&self, id: Uuid, command: &A::Command) -> A {
        let context = self.context();
        let done = self.store.execute::<A>(id, command, &context).await;
        done.unwrap().state
    }

    pub(crate) async fn tell(&mut self, subject: &str, message: &impl prost::Message) {
        self.position += 1;
        let message = Message {
            id: self.deps.clock.new_id(),
            subject: format!("portico.{subject}"),
            payload: message.encode_to_vec().into(),
            headers: BTreeMap::from([("position".to_owned(), self.position.to_string())]),
        };
        self.deps.bus.publish(message).await.unwrap().await.unwrap();
    }

    pub(crate) async fn announce_provider(&mut self, version: u64) {
        let changed = registration::IdentityProviderChanged {
            identity_provider_id: self.provider_id.to_string(),
            version,
            name: "Login".into(),
            issuer: self.provider.url(),
            jwks_uri: Some(self.provider.jwks_url()),
            scope_claim: "scope".into(),
        };
        self.tell("registration.identity_provider_changed", &changed)
            .await;
    }

    /// A product under the plan `free`: at most three calls in a minute.
    pub(crate) fn item(&self, product: &str) -> access::ApprovedItem {
        access::ApprovedItem {
            product_id: product.into(),
            product_name: product.to_uppercase(),
            product_scopes: vec![format!("product_{product}")],
            apis: vec![access::ApprovedApi {
                api_id: product.into(),
                name: product.into(),
                url: format!("{}/{product}/", self.gateway.url()),
                gateway_id: None,
            }],
            plan_id: "free".into(),
            plan_name: "FREE".into(),
            plan_scopes: vec!["free_plan".into()],
            rate: Some(access::ApprovedRate {
                requests: 3,
                per_seconds: 60,
            }),
            product_version: 1,
            plan_version: 1,
            ..Default::default()
        }
    }

    /// An approved request for API keys of these products.
    pub(crate) async fn approve_keys(&mut self, products: &[&str]) -> Uuid {
        let items = products.iter().map(|product| self.item(product)).collect();
        self.approve(KEYS, items).await
    }

    /// An approved request for these items, for the application's OAuth client.
    pub(crate) async fn approve_items(&mut self, items: Vec<access::ApprovedItem>) -> Uuid {
        let client = access::OauthClientCredential {
            identity_provider_id: self.provider_id.to_string(),
            client_type_id: Uuid::nil().to_string(),
        };
        self.approve(wanted_access::Credential::OauthClient(client), items)
            .await
    }

    pub(crate) async fn approve_product(&mut self, product: &str) -> Uuid {
        let items = vec![self.item(product)];
        self.approve_items(items).await
    }

    pub(crate) async fn approve(
        &mut self,
        credential: wanted_access::Credential,
        items: Vec<access::ApprovedItem>,
    ) -> Uuid {
        let request = self.submit(credential, items);
        self.raise(
            request,
            wanted_access::State::Granted,
            "access_approved",
            |_| {},
        )
        .await;
        request
    }

    /// A request that nothing is told of yet.
    pub(crate) fn submit(
        &mut self,
        credential: wanted_access::Credential,
        items: Vec<access::ApprovedItem>,
    ) -> Uuid {
        let request = self.deps.clock.new_id();
        let wanted = access::WantedAccess {
            request_id: request.to_string(),
            revision: 0,
            application_id: self.application_id.to_string(),
            requester_id: Uuid::nil().to_string(),
            credential: Some(credential),
            items,
            ..Default::default()
        };
        self.wanted.insert(request, wanted);
        request
    }

    /// Raises the revision. All these messages hold the wanted access in their first field.
    pub(crate) async fn raise(
        &mut self,
        request: Uuid,
        state: wanted_access::State,
        event: &str,
        change: impl FnOnce(&mut access::WantedAccess),
    ) {
        let message = self.next(request, state, change);
        self.tell(&format!("access.{event}"), &message).await;
    }

    /// The next revision, not told yet.
    pub(crate) fn next(
        &mut self,
        request: Uuid,
        state: wanted_access::State,
        change: impl FnOnce(&mut access::WantedAccess),
    ) -> access::AccessRetried {
        let wanted = self.wanted.get_mut(&request).unwrap();
        wanted.revision += 1;
        wanted.set_state(state);
        change(wanted);
        access::AccessRetried {
            wanted: Some(wanted.clone()),
        }
    }

    pub(crate) async fn revoke(&mut self, request: Uuid) {
        let state = wanted_access::State::Revoked;
        self.raise(request, state, "access_revoked", |_| {}).await;
    }

    pub(crate) async fn suspend(&mut self, request: Uuid) {
        let state = wanted_access::State::Suspended;
        self.raise(request, state, "access_suspended", |_| {}).await;
    }

    pub(crate) async fn resume(&mut self, request: Uuid) {
        let state = wanted_access::State::Granted;
        self.raise(request, state, "access_resumed", |_| {}).await;
    }

    pub(crate) async fn retry(&mut self, request: Uuid) {
        let state = wanted_access::State::Granted;
        self.raise(request, state, "access_retried", |_| {}).await;
    }

    pub(crate) async fn suspend_application(&mut self, suspended: bool) {
        let changed = access::ApplicationChanged {
            application_id: self.application_id.to_string(),
            suspended,
            ..Default::default()
        };
        self.tell("access.application_changed", &changed).await;
    }

    pub(crate) async fn change_plan(&mut self, id: &str, version: u64, requests: u64) {
        let plan = catalog::Plan {
            id: id.into(),
            name: "FREE".into(),
            version,
            rate: Some(catalog::Rate {
                requests,
                per_seconds: 60,
            }),
            ..Default::default()
        };
        let changed = catalog::PlanChanged { plan: Some(plan) };
        self.tell("catalog.plan_changed", &changed).await;
    }

    /// The product has these APIs and nothing else.
    pub(crate) async fn change_product(&mut self, id: &str, version: u64, apis: &[&str]) {
        let api = |id: &&str| catalog::Api {
            mapping: Some(catalog::ApiMapping {
                api_id: (*id).into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let product = catalog::Product {
            id: id.into(),
            name: "WEATHER".into(),
            version,
            apis: apis.iter().map(api).collect(),
            ..Default::default()
        };
        let changed = catalog::ProductChanged {
            product: Some(product),
        };
        self.tell("catalog.product_changed", &changed).await;
    }

    /// Registration says what the application's client holds.
    pub(crate) async fn hold(&mut self, scopes: &[&str], answered: &[(Uuid, u64)]) {
        let answered = answered.iter().map(|(request, revision)| {
            let request_id = request.to_string();
            registration::AnsweredRevision {
                request_id,
                revision: *revision,
            }
        });
        let held = registration::ClientScopesHeld {
            application_id: self.application_id.to_string(),
            identity_provider_id: self.provider_id.to_string(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            answered: answered.collect(),
        };
        self.tell("registration.client_scopes_held", &held).await;
    }

    pub(crate) async fn entitlement(&self, request: Uuid) -> Entitlement {
        let loaded = self.store.load::<Entitlement>(request).await;
        loaded.unwrap().state
    }

    /// The state as soon as it is so.
    #[track_caller]
    pub(crate) fn until(
        &self,
        request: Uuid,
        what: &'static str,
        is_so: impl Fn(&Entitlement) -> bool + Send,
    ) -> impl Future<Output = Entitlement> {
        let caller = std::panic::Location::caller();
        async move {
            let mut head = self.store.head();
            let wait = async {
                loop {
                    head.borrow_and_update();
                    let entitlement = self.entitlement(request).await;
                    if is_so(&entitlement) {
                        return entitlement;
                    }
                    head.changed().await.unwrap();
                }
            };
            match tokio::time::timeout(PATIENCE, wait).await {
                Ok(entitlement) => entitlement,
                Err(_) => panic!(
                    "not {what} at {caller}: {:#?}",
                    self.entitlement(request).await
                ),
            }
        }
    }

    /// As soon as a revision was answered so.
    #[track_caller]
    pub(crate) fn until_reported(
        &self,
        request: Uuid,
        revision: u64,
        outcome: &'static str,
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let expected = format!("{revision} {outcome}");
        async move {
            let wait = async {
                while !self.reports(request).contains(&expected) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            if tokio::time::timeout(PATIENCE, wait).await.is_err() {
                let said = self.reports(request);
                let state = self.entitlement(request).await;
                panic!("not {expected} at {caller}: {said:?} {state:#?}");
            }
        }
    }

    /// As soon as the last report of a request is one of these.
    pub(crate) async fn until_last_reported(&self, request: Uuid, expected: &[&str]) {
        let is_last = || {
            let said = self.reports(request);
            said.last().is_some_and(|last| expected.contains(&&**last))
        };
        let wait = async {
            while !is_last() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, wait).await;
        assert!(ended.is_ok(), "{expected:?}: {:?}", self.reports(request));
    }

    /// What was reported of a request: revision and outcome.
    pub(crate) fn reports(&self, request: Uuid) -> Vec<String> {
        let reports = self.reported().into_iter();
        let reports = reports.filter_map(|reported| reported.report);
        let mine = reports.filter(|report| report.request_id == request.to_string());
        mine.map(|report| {
            let outcome = match report.outcome.unwrap() {
                report::Outcome::Started(_) => "started".to_owned(),
                report::Outcome::Done(_) => "done".to_owned(),
                report::Outcome::NothingToDo(nothing) => {
                    nothing.reason().as_str_name()["REASON_".len()..].to_lowercase()
                }
                report::Outcome::Delayed(delayed) => format!("delayed {}", delayed.code),
                report::Outcome::Failed(failed) => format!("failed {}", failed.code),
            };
            format!("{} {outcome}", report.revision)
        })
        .collect()
    }

    pub(crate) fn reported(&self) -> Vec<GatewayReported> {
        let messages = self.messages.lock().unwrap();
        let reported = messages
            .iter()
            .filter(|message| message.subject == "portico.gateway.gateway_reported");
        reported
            .map(|message| GatewayReported::decode(message.payload.clone()).unwrap())
            .collect()
    }

    /// The key of a product, as its owner would be shown it.
    pub(crate) async fn key(&self, request: Uuid, product: &str) -> String {
        let entitlement = self.entitlement(request).await;
        let mut keys = entitlement.keys().iter();
        let (id, key) = keys
            .find(|(_, key)| key.product_id == product)
            .expect("a key");
        let place = place_in_vault(*id, key.attempt);
        let kept = self.vault.get(&owner(request), &place).await.unwrap();
        let key = crate::worker::key_of(&kept.expect("a kept key"));
        key.expect("readable").expose().to_owned()
    }

    /// Status of a call through the gateway with a key.
    pub(crate) async fn call(&self, api: &str, key: &str) -> u16 {
        portico_sandbox::outgoing::http_client()
            .unwrap()
            .get(format!("{}/{api}/status", self.gateway.url()))
            .header("authorization", key)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    /// Status of a call with a token of these scopes that the provider's key signed.
    pub(crate) async fn call_with(&self, api: &str, scope: &str) -> u16 {
        let expires = self.provider.clock().epoch_seconds() + 300;
        let subject = self.deps.clock.new_id();
        let claims = json!({"sub": subject, "exp": expires, "scope": scope});
        let token = self.provider.sign(&claims).unwrap();
        self.call(api, &format!("Bearer {token}")).await
    }

    /// Everything in the log and in the messages, as text.
    pub(crate) async fn said(&self) -> String {
        let events = self.store.read(0, 10_000).await.unwrap();
        let events: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
        let messages = self.messages.lock().unwrap();
        let messages: Vec<String> = messages
            .iter()
            .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
            .collect();
        format!("{events:?} {messages:?}")
    }

    /// Names of the public events, in their order.
    pub(crate) fn subjects(&self) -> Vec<String> {
        let messages = self.messages.lock().unwrap();
        let short = |message: &Message| message.subject.replace("portico.gateway.", "");
        messages.iter().map(short).collect()
    }

    pub(crate) fn provide(&self, access: axum::Router) {
        let channels = &self.deps.channels;
        channels.provide(ServiceName::AccessRequest, access);
        channels.provide(ServiceName::Gateway, self.service.router.clone());
    }
}

async fn open(folder: &TempDir) -> (Deps, Service) {
    let mut deps = deps(folder);
    let mut config = (*deps.config).clone();
    config.retry = Retry {
        first_delay: Duration::from_millis(20),
        max_delay: Duration::from_millis(50),
        max_attempts: 5,
    };
    deps.config = Arc::new(config);
    let service = crate::start(&deps).await.unwrap();
    (deps, service)
}
