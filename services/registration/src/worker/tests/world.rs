//! The whole service, a provider of the sandbox, and the messages of the access-request service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portico_bus::{ConsumerSpec, MemoryBus, Message};
use portico_eventstore::{Context, EventStore, RecordedEvent, sqlx};
use portico_proto::access::v1::{self as access, report::Outcome};
use portico_proto::registration::v1 as public;
use portico_runtime::config::Retry;
use portico_runtime::{Channels, Clock, Config, Deps, IdentityKey, Outgoing, Service, ServiceName};
use portico_sandbox::identity_provider as sandbox;
use portico_vault::{Kek, KekRing, Owner, Secret, Vault};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Status};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::client_type::{self, ClientType, Definition};
use crate::grpc::clients::tests::{AnswerOf, method};
use crate::identity_provider::{
    self, Endpoints, IdentityProvider, Location, Options, ProviderType, TokenChange,
};
use crate::oauth_client::{Access, AccessCommand, Command, Event, OauthClient, Standing};

/// A test that waits longer than this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// See [`World::start_with_tries`].
const TRIES: u32 = 5;
const SCOPES: [&str; 4] = ["product_pay", "product_ship", "free_plan", "gold_plan"];
pub(crate) const TOKEN: &str = "initial-access-token-of-the-test";

/// Names of applications that the double of access-request knows.
const NAMES: [&str; 4] = [WEATHER, "Storm app", "Calm app", PETRAS];
const WEATHER: &str = "Weather app";
/// Named after a person, and with a redirect URL.
pub(crate) const PETRAS: &str = "Wetterstation Petra Quasebarth";
pub(crate) const CALLBACK: &str = "https://quasebarth.example/wetter/cb";

/// The version of a profile, by the name in it.
pub(crate) fn profile_of(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

/// The part of access-request that tells names and redirect URLs of applications.
pub(crate) fn profiles() -> axum::Router {
    let path = "/portico.access.v1.AccessService/GetApplicationProfile";
    axum::Router::new().route(
        path,
        method::<access::GetApplicationProfileRequest, _>(Profiles),
    )
}

#[derive(Clone)]
struct Profiles;

impl AnswerOf<access::GetApplicationProfileRequest> for Profiles {
    type Answer = access::ApplicationProfile;

    fn answer(
        &self,
        request: &Request<access::GetApplicationProfileRequest>,
    ) -> Result<access::ApplicationProfile, Status> {
        let asked = &request.get_ref().profile_id;
        let mut names = NAMES.into_iter();
        let name = names.find(|name| profile_of(name).to_string() == *asked);
        let unknown = || Status::from(portico_proto::Error::not_found("application"));
        let name = name.ok_or_else(unknown)?;
        let redirect_urls = (name == PETRAS).then(|| CALLBACK.to_owned());
        Ok(access::ApplicationProfile {
            name: name.to_owned(),
            redirect_urls: redirect_urls.into_iter().collect(),
            erased: false,
        })
    }
}

const PUBLIC: ConsumerSpec = ConsumerSpec {
    name: "test",
    subjects: &[
        "portico.registration.registration_reported",
        "portico.registration.client_scopes_held",
        "portico.registration.identity_provider_changed",
        "portico.registration.identity_provider_deleted",
        "portico.registration.identity_provider_keys_changed",
        "portico.registration.provider_paused",
        "portico.registration.provider_resumed",
        "portico.registration.client_changed",
        "portico.registration.client_secret_expiring",
    ],
};

/// What access-request is at the moment.
type SharedRouter = Arc<Mutex<axum::Router>>;

pub(crate) struct World {
    pub(crate) provider: sandbox::Handle,
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
    pub(crate) vault: Vault,
    service: Service,
    access: SharedRouter,
    pub(crate) provider_id: Uuid,
    pub(crate) client_type_id: Uuid,
    pub(crate) application_id: Uuid,
    /// Its name.
    pub(crate) name: &'static str,
    pub(crate) messages: Arc<Mutex<Vec<Message>>>,
    position: i64,
    /// What is wanted of each request.
    wanted: BTreeMap<Uuid, access::WantedAccess>,
    pub(crate) folder: TempDir,
    /// Failed attempts before something is parked.
    tries: u32,
}

impl World {
    /// Runs at once.
    pub(crate) async fn start() -> Self {
        Self::start_with_tries(TRIES).await
    }

    pub(crate) async fn start_with_tries(tries: u32) -> Self {
        let mut world = Self::prepare_with_tries(tries).await;
        world.run().await;
        world
    }

    /// Has its provider and client type, and does not run yet.
    pub(crate) async fn prepare() -> Self {
        Self::prepare_with_tries(TRIES).await
    }

    async fn prepare_with_tries(tries: u32) -> Self {
        let provider = sandbox::start(sandbox::Settings {
            scopes: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            initial_access_token: Some(TOKEN.into()),
            ..sandbox::Settings::default()
        })
        .await
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let access = Arc::new(Mutex::new(profiles()));
        let (deps, service) = open(&folder, &access, tries).await;
        let mut world = Self {
            provider,
            store: service.store.clone(),
            vault: deps.vault(service.store.database()),
            provider_id: deps.clock.new_id(),
            client_type_id: deps.clock.new_id(),
            application_id: deps.clock.new_id(),
            name: WEATHER,
            messages: Arc::default(),
            position: 0,
            wanted: BTreeMap::new(),
            deps,
            service,
            access,
            folder,
            tries,
        };
        world.add_provider().await;
        world
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

    /// Ends the process and starts another one on the same data, which does not run yet.
    pub(crate) async fn restart(&mut self) {
        self.deps.shutdown.cancel();
        self.deps.tasks.close();
        self.deps.tasks.wait().await;
        let (deps, service) = open(&self.folder, &self.access, self.tries).await;
        self.store = service.store.clone();
        self.vault = deps.vault(service.store.database());
        self.deps = deps;
        self.service = service;
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            metadata: portico_eventstore::Metadata {
                actor: "test".into(),
                ..Default::default()
            },
            now: self.deps.clock.now(),
            command_id: self.deps.clock.new_id(),
        }
    }

    fn settings(&self) -> identity_provider::Settings {
        let url = self.provider.url();
        let at = |path: &str| format!("{url}/{path}").parse().unwrap();
        identity_provider::Settings {
            name: "The provider".into(),
            kind: ProviderType::new("other"),
            location: Location {
                well_known_url: self.provider.well_known_url(),
                skip_tls_verify: false,
                trusted_certificates: String::new(),
                endpoints: Endpoints {
                    issuer: url.clone(),
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
            options: Options::default(),
            software_statement: None,
        }
    }

    /// From now on another provider of this type, at the same address.
    pub(crate) async fn use_type(&mut self, kind: &str) {
        let mut settings = self.settings();
        settings.name = kind.to_owned();
        settings.kind = ProviderType::new(kind);
        self.add_another(settings).await;
    }

    /// From now on another provider, of type Keycloak.
    pub(crate) async fn use_keycloak(&mut self, base: &str) {
        let realm = format!("{base}/realms/r");
        let at = |path: &str| format!("{realm}/{path}").parse().unwrap();
        let mut settings = self.settings();
        settings.name = "Keycloak".into();
        settings.kind = ProviderType::new("keycloak");
        settings.location.endpoints = Endpoints {
            registration_endpoint: at("clients-registrations/openid-connect"),
            token_endpoint: at("protocol/openid-connect/token"),
            jwks_uri: Some(at("protocol/openid-connect/certs")),
            issuer: realm.clone(),
            ..settings.location.endpoints
        };
        self.add_another(settings).await;
    }

    /// From now on another provider, of type Okta; its API token is [`TOKEN`].
    pub(crate) async fn use_okta(&mut self, base: &str) {
        let at = |path: &str| format!("{base}/oauth2/{path}").parse().unwrap();
        let mut settings = self.settings();
        settings.name = "Okta".into();
        settings.kind = ProviderType::new("okta");
        settings.location.endpoints = Endpoints {
            issuer: format!("{base}/oauth2/default"),
            registration_endpoint: at("v1/clients"),
            token_endpoint: at("default/v1/token"),
            jwks_uri: Some(at("default/v1/keys")),
            ..settings.location.endpoints
        };
        self.add_another(settings).await;
    }

    /// Another provider with the same settings, and without client types.
    pub(crate) async fn add_copy(&self, id: Uuid) {
        let command = identity_provider::Command::Add {
            settings: identity_provider::Settings {
                name: "Another".into(),
                ..self.settings()
            },
            initial_access_token: None,
        };
        self.execute::<IdentityProvider>(id, &command).await;
    }

    async fn add_provider(&mut self) {
        let settings = self.settings();
        self.add(settings).await;
    }

    async fn add_another(&mut self, settings: identity_provider::Settings) {
        self.provider_id = self.deps.clock.new_id();
        self.client_type_id = self.deps.clock.new_id();
        self.add(settings).await;
    }

    async fn add(&mut self, settings: identity_provider::Settings) {
        let owner = Owner::new(identity_provider::OWNER, self.provider_id);
        let token = self.vault.put(&owner, &Secret::new(TOKEN)).await.unwrap();
        let command = identity_provider::Command::Add {
            settings,
            initial_access_token: Some(token),
        };
        self.execute::<IdentityProvider>(self.provider_id, &command)
            .await;
        self.add_client_type(Definition {
            name: "Machine".into(),
            description: String::new(),
            response_types: BTreeSet::new(),
            grant_types: set(&["client_credentials"]),
            token_endpoint_auth_method: "client_secret_basic".into(),
            okta_application_type: String::new(),
        })
        .await;
    }

    /// From now on requests are for public clients, by which people sign in.
    pub(crate) async fn use_public_clients(&mut self) {
        self.client_type_id = self.deps.clock.new_id();
        self.add_client_type(Definition {
            name: "Public".into(),
            description: String::new(),
            response_types: set(&["code"]),
            grant_types: set(&["authorization_code"]),
            token_endpoint_auth_method: "none".into(),
            okta_application_type: String::new(),
        })
        .await;
    }

    async fn add_client_type(&self, definition: Definition) {
        let command = client_type::Command::Add {
            identity_provider_id: self.provider_id,
            definition,
        };
        self.execute::<ClientType>(self.client_type_id, &command)
            .await;
    }

    /// A new initial access token, as an admin gives it.
    pub(crate) async fn give_token(&self, token: &str) {
        let owner = Owner::new(identity_provider::OWNER, self.provider_id);
        let token = self.vault.put(&owner, &Secret::new(token)).await.unwrap();
        let command = identity_provider::Command::Change {
            settings: self.settings(),
            initial_access_token: TokenChange::Replace(Some(token)),
            live_clients: 0,
        };
        self.execute::<IdentityProvider>(self.provider_id, &command)
            .await;
    }

    pub(crate) async fn execute<A: portico_eventstore::Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
    ) -> A {
        let context = self.context();
        self.store
            .execute::<A>(id, command, &context)
            .await
            .unwrap()
            .state
    }

    pub(crate) async fn tell(&mut self, subject: &str, message: &impl prost::Message) {
        self.position += 1;
        let message = Message {
            id: self.deps.clock.new_id(),
            subject: subject.to_owned(),
            payload: message.encode_to_vec().into(),
            headers: BTreeMap::from([("position".to_owned(), self.position.to_string())]),
        };
        self.deps.bus.publish(message).await.unwrap().await.unwrap();
    }

    pub(crate) async fn approve(&mut self, product: &str, plan: &str) -> Uuid {
        let request = self.deps.clock.new_id();
        self.approve_as(request, product, plan).await;
        request
    }

    /// What an approval wants, at revision 1.
    pub(crate) fn approval(
        &self,
        request: Uuid,
        product: &str,
        plan: &str,
    ) -> access::WantedAccess {
        access::WantedAccess {
            request_id: request.to_string(),
            revision: 1,
            state: access::wanted_access::State::Granted.into(),
            application_id: self.application_id.to_string(),
            profile_id: profile_of(self.name).to_string(),
            application_erased: false,
            application_suspended: false,
            requester_id: Uuid::nil().to_string(),
            credential: Some(access::wanted_access::Credential::OauthClient(
                access::OauthClientCredential {
                    identity_provider_id: self.provider_id.to_string(),
                    client_type_id: self.client_type_id.to_string(),
                },
            )),
            items: vec![access::ApprovedItem {
                product_id: product.into(),
                product_name: product.to_uppercase(),
                product_scopes: vec![format!("product_{product}")],
                plan_id: plan.into(),
                plan_name: plan.to_uppercase(),
                plan_scopes: vec![format!("{plan}_plan")],
                ..Default::default()
            }],
        }
    }

    pub(crate) async fn approve_as(&mut self, request: Uuid, product: &str, plan: &str) {
        let wanted = self.approval(request, product, plan);
        self.wanted.insert(request, wanted.clone());
        let approved = access::AccessApproved {
            wanted: Some(wanted),
            approved_by: "admin".into(),
        };
        self.tell("portico.access.access_approved", &approved).await;
    }

    /// The next revision of a request.
    fn next(&mut self, request: Uuid, access: Access) -> Option<access::WantedAccess> {
        use access::wanted_access::State;
        let first = self.approval(request, "pay", "free");
        let wanted = self.wanted.entry(request).or_insert(first);
        wanted.revision += 1;
        let state = match access {
            Access::Granted => State::Granted,
            Access::Suspended => State::Suspended,
            Access::Revoked => State::Revoked,
        };
        wanted.set_state(state);
        Some(wanted.clone())
    }

    /// As access-request says it of whatever is wanted from now on.
    pub(crate) fn erased(&mut self) {
        for wanted in self.wanted.values_mut() {
            wanted.application_erased = true;
        }
    }

    pub(crate) async fn revoke(&mut self, request: Uuid) {
        let wanted = self.next(request, Access::Revoked);
        let revoked = access::AccessRevoked { wanted };
        self.tell("portico.access.access_revoked", &revoked).await;
    }

    pub(crate) async fn retry(&mut self, request: Uuid) {
        let wanted = self.next(request, Access::Granted);
        let retried = access::AccessRetried { wanted };
        self.tell("portico.access.access_retried", &retried).await;
    }

    pub(crate) async fn suspend(&mut self, request: Uuid) {
        let wanted = self.next(request, Access::Suspended);
        let suspended = access::AccessSuspended {
            wanted,
            ..Default::default()
        };
        self.tell("portico.access.access_suspended", &suspended)
            .await;
    }

    pub(crate) async fn resume(&mut self, request: Uuid) {
        let wanted = self.next(request, Access::Granted);
        let resumed = access::AccessResumed { wanted };
        self.tell("portico.access.access_resumed", &resumed).await;
    }

    /// Both halves have finished.
    pub(crate) async fn activate(&mut self, request: Uuid) {
        let wanted = self.wanted[&request].clone();
        let credential = access::OauthClientCredential {
            identity_provider_id: self.provider_id.to_string(),
            client_type_id: self.client_type_id.to_string(),
        };
        let activated = access::AccessActivated {
            request_id: request.to_string(),
            revision: wanted.revision,
            application_id: self.application_id.to_string(),
            credential: Some(access::access_activated::Credential::OauthClient(
                credential,
            )),
            ..Default::default()
        };
        self.tell("portico.access.access_activated", &activated)
            .await;
        self.until("activated", |client| client.activated).await;
    }

    /// As after an activation that was taken in.
    pub(crate) async fn confirm_activation(&self) {
        let command = Command::Access(AccessCommand::ConfirmActivation);
        self.execute::<OauthClient>(self.id(), &command).await;
    }

    pub(crate) async fn rename(&mut self, name: &str) {
        let changed = access::ApplicationChanged {
            application_id: self.application_id.to_string(),
            profile_id: profile_of(name).to_string(),
            erased: false,
            suspended: false,
        };
        self.tell("portico.access.application_changed", &changed)
            .await;
    }

    pub(crate) async fn suspend_application(&mut self, suspended: bool) {
        let changed = access::ApplicationChanged {
            application_id: self.application_id.to_string(),
            profile_id: profile_of("Weather app").to_string(),
            erased: false,
            suspended,
        };
        self.tell("portico.access.application_changed", &changed)
            .await;
    }

    pub(crate) fn id(&self) -> Uuid {
        OauthClient::id(self.application_id, self.provider_id)
    }

    pub(crate) async fn client(&self) -> OauthClient {
        self.store
            .load::<OauthClient>(self.id())
            .await
            .unwrap()
            .state
    }

    /// The state as soon as it is so.
    #[track_caller]
    pub(crate) fn until(
        &self,
        what: &'static str,
        is_so: impl Fn(&OauthClient) -> bool + Send,
    ) -> impl Future<Output = OauthClient> {
        let caller = std::panic::Location::caller();
        async move {
            let mut head = self.store.head();
            let wait = async {
                loop {
                    head.borrow_and_update();
                    let client = self.client().await;
                    if is_so(&client) {
                        return client;
                    }
                    head.changed().await.unwrap();
                }
            };
            match tokio::time::timeout(PATIENCE, wait).await {
                Ok(client) => client,
                Err(_) => panic!("not {what} at {caller}: {:#?}", self.client().await),
            }
        }
    }

    /// The provider is as the request wants it.
    #[track_caller]
    pub(crate) fn until_done(&self, request: Uuid) -> impl Future<Output = OauthClient> {
        let revision = self
            .wanted
            .get(&request)
            .map_or(1, |wanted| wanted.revision);
        self.until("done", move |client| {
            client
                .grants
                .get(&request)
                .is_some_and(|grant| grant.revision == revision && grant.standing == Standing::Done)
        })
    }

    /// Nothing of the request is left.
    #[track_caller]
    pub(crate) fn until_ended(&self, request: Uuid) -> impl Future<Output = OauthClient> {
        self.until("ended", move |client| client.ended.contains_key(&request))
    }

    /// What was reported of a request, in order, as the public messages have it.
    pub(crate) fn reports(&self, request: Uuid) -> Vec<public::RegistrationReported> {
        use prost::Message as _;
        let messages = self.public("registration_reported").into_iter();
        let reported =
            messages.map(|message| public::RegistrationReported::decode(message.payload).unwrap());
        let of_request = |one: &public::RegistrationReported| {
            let report = one.report.as_ref().unwrap();
            report.request_id == request.to_string()
        };
        reported.filter(of_request).collect()
    }

    /// The same in words, with the revision: "done 1".
    pub(crate) fn outcomes(&self, request: Uuid) -> Vec<String> {
        let words = |one: public::RegistrationReported| {
            let report = one.report.unwrap();
            let word = match report.outcome.unwrap() {
                Outcome::Started(_) => "started",
                Outcome::Done(_) => "done",
                Outcome::NothingToDo(_) => "nothing_to_do",
                Outcome::Delayed(_) => "delayed",
                Outcome::Failed(_) => "failed",
            };
            format!("{word} {}", report.revision)
        };
        self.reports(request).into_iter().map(words).collect()
    }

    /// The last outcome of a request as soon as it was published.
    pub(crate) async fn until_outcome(&self, request: Uuid, outcome: &str) {
        let wait = async {
            while self.outcomes(request).last().map(String::as_str) != Some(outcome) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("not {outcome}: {:?}", self.outcomes(request));
        }
    }

    /// Waits until the last public message says that these scopes may be held.
    pub(crate) async fn until_held(&self, scopes: &[&str]) {
        let wait = async {
            while self.held().is_none_or(|held| held != scopes) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("not {scopes:?}: {:?}", self.held());
        }
    }

    fn held(&self) -> Option<Vec<String>> {
        use prost::Message as _;
        let last = self.public("client_scopes_held").pop()?;
        let message = public::ClientScopesHeld::decode(last.payload).unwrap();
        Some(message.scopes)
    }

    /// The public message as soon as it was published: subject and request.
    pub(crate) async fn until_public(&self, subject: &str, times: usize) {
        let wait = async {
            while self.public(subject).len() < times {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("no {subject}: {:?}", self.subjects());
        }
    }

    pub(crate) fn public(&self, subject: &str) -> Vec<Message> {
        let subject = format!("portico.registration.{subject}");
        let messages = self.messages.lock().unwrap();
        messages
            .iter()
            .filter(|message| message.subject == subject)
            .cloned()
            .collect()
    }

    pub(crate) fn subjects(&self) -> Vec<String> {
        let messages = self.messages.lock().unwrap();
        let short = |message: &Message| message.subject.replace("portico.registration.", "");
        messages.iter().map(short).collect()
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        let recorded = self.store.read(0, 10_000).await.unwrap();
        let decode = |event: &RecordedEvent| event.decode::<OauthClient>().unwrap();
        recorded.iter().filter_map(decode).collect()
    }

    /// The one client at the provider.
    pub(crate) fn only_client(&self) -> sandbox::Client {
        let clients = self.provider.clients();
        assert_eq!(clients.len(), 1, "{clients:?}");
        clients.into_iter().next().unwrap()
    }

    /// A worker beside the service's own.
    pub(crate) fn worker(&self) -> crate::worker::Worker {
        crate::grpc::Grpc::new(&self.deps, &self.store, &self.vault).worker
    }

    /// Somebody else's client: its id, registration access token and client URI.
    pub(crate) async fn register_by_hand(&self, name: &str) -> (String, String, String) {
        let body = serde_json::json!({
            "client_name": name, "grant_types": ["client_credentials"], "scope": "",
        });
        let answer = portico_sandbox::outgoing::http_client()
            .unwrap()
            .post(format!("{}/register", self.provider.url()))
            .bearer_auth(TOKEN)
            .json(&body)
            .send()
            .await
            .unwrap();
        let body: serde_json::Value = answer.json().await.unwrap();
        let text = |member: &str| body[member].as_str().unwrap().to_owned();
        (
            text("client_id"),
            text("registration_access_token"),
            text("registration_client_uri"),
        )
    }

    /// So many secrets of clients are in the vault, as soon as the worker has tidied up after the last answer.
    pub(crate) async fn until_secrets(&self, count: usize) {
        let sql = "SELECT id FROM vault_value WHERE subject LIKE 'oauth_client/%'";
        let wait = async {
            while self.texts(sql).await.len() != count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("not {count} secrets: {:?}", self.texts(sql).await);
        }
    }

    /// Rows of a query that gives one text.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        use sqlx::Row as _;
        let rows = sqlx::query(sql)
            .fetch_all(self.store.database().pool())
            .await
            .unwrap();
        rows.iter().map(|row| row.try_get(0).unwrap()).collect()
    }

    pub(crate) fn provide_access(&self, router: axum::Router) {
        *self.access.lock().unwrap() = router;
    }

    pub(crate) fn provide_registration(&self) {
        self.deps
            .channels
            .provide(ServiceName::Registration, self.service.router.clone());
    }
}

/// A folder with a service's database, and what a service is given.
fn deps(folder: &TempDir) -> Deps {
    let clock = Clock::system();
    let (kek, _) = Kek::load_or_generate(folder.path()).unwrap();
    let data_dir = folder.path().display().to_string();
    let variables = [
        ("PORTICO_DATA_DIR", data_dir.as_str()),
        ("PORTICO_ALLOW_PRIVATE_ADDRESSES", "127.0.0.0/8"),
    ];
    let config = Config::from_parts(None, variables).unwrap();
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

async fn open(folder: &TempDir, access: &SharedRouter, tries: u32) -> (Deps, Service) {
    let mut deps = deps(folder);
    let mut config = (*deps.config).clone();
    config.retry = Retry {
        first_delay: Duration::from_millis(20),
        max_delay: Duration::from_millis(50),
        max_attempts: tries,
    };
    deps.config = Arc::new(config);
    let access = Arc::clone(access);
    let answer = move |request: http::Request<axum::body::Body>| {
        let now = access.lock().unwrap().clone();
        now.oneshot(request)
    };
    let router = axum::Router::new().fallback_service(tower::service_fn(answer));
    deps.channels.provide(ServiceName::AccessRequest, router);
    let service = crate::start(&deps).await.unwrap();
    (deps, service)
}

pub(crate) fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}
