//! A running service, and what it is furnished with.

use std::{sync::Arc, time::Duration};

use portico_access_request::start;
use portico_bus::{Bus, ConsumerSpec, Deliveries, MemoryBus, Message};
use portico_eventstore::EventStore;
use portico_proto::{
    Error,
    access::v1::{self as api, report::Outcome},
    catalog::v1::{
        Api, ApiMapping, Plan, PlanStatus, PolicyMapping, Product, ProductStatus, Quota, Rate,
    },
    gateway::v1::GatewayReported,
    registration::v1::{ClientType, ClientTypeStatus, RegistrationReported},
    rest::{Enumeration, FieldMask},
};
use portico_runtime::{
    Caller, Channels, Clock, Config, Deps, IdentityKey, Outgoing, Role, Service, ServiceName,
};
use portico_vault::Kek;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{actor::Actor, doubles::World};

const KEK: &str = "3q2+78r+ur4BAgMEBQYHCAkKCwwNDg8QERITFBUWFxg=";
/// No test waits longer for what must come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const PAYMENTS: Uuid = Uuid::from_u128(0x11);
pub(crate) const ORDERS: Uuid = Uuid::from_u128(0x12);
pub(crate) const FREE: Uuid = Uuid::from_u128(0x21);
pub(crate) const AUTO: Uuid = Uuid::from_u128(0x22);
pub(crate) const MACHINE: Uuid = Uuid::from_u128(0x31);
pub(crate) const WEB: Uuid = Uuid::from_u128(0x32);
pub(crate) const PROVIDER: Uuid = Uuid::from_u128(0x41);

/// Everything that is published, for tests to look at.
const WATCHER: ConsumerSpec = ConsumerSpec {
    name: "watcher",
    subjects: &[
        "portico.access.access_submitted",
        "portico.access.access_approved",
        "portico.access.access_rejected",
        "portico.access.access_withdrawn",
        "portico.access.access_revoked",
        "portico.access.access_retried",
        "portico.access.application_changed",
        "portico.access.access_suspended",
        "portico.access.access_resumed",
        "portico.access.access_scopes_changed",
        "portico.access.access_activated",
        "portico.access.access_failed",
        "portico.access.access_ended",
    ],
};

pub(crate) struct Portal {
    pub(crate) world: World,
    pub(crate) store: EventStore,
    pub(crate) bus: Arc<MemoryBus>,
    pub(crate) deps: Deps,
    service: Option<Service>,
    data_folder: Arc<tempfile::TempDir>,
}

impl Portal {
    /// With the background work running.
    pub(crate) async fn running() -> Self {
        let mut portal = Self::still(MemoryBus::new()).await;
        portal.run().await;
        portal
    }

    /// As if the process had been killed before the background did anything.
    pub(crate) async fn still(bus: MemoryBus) -> Self {
        let data = Arc::new(tempfile::tempdir().unwrap());
        Self::on(data, None, World::default(), bus).await
    }

    /// The same data in a new process.
    pub(crate) async fn restart(self, bus: MemoryBus) -> Self {
        self.deps.shutdown.cancel();
        Self::on(Arc::clone(&self.data_folder), None, self.world.clone(), bus).await
    }

    /// With this data, and on this database if it is not SQLite.
    pub(crate) async fn on(
        data: Arc<tempfile::TempDir>,
        database: Option<String>,
        world: World,
        bus: MemoryBus,
    ) -> Self {
        let folder = data.path().to_str().unwrap().to_owned();
        let mut parts = vec![("PORTICO_DATA_DIR", folder.as_str()), ("PORTICO_KEK", KEK)];
        parts.extend(database.as_deref().map(|url| ("PORTICO_DATABASE_URL", url)));
        let config = Config::from_parts(None, parts).unwrap();
        let clock = Clock::system();
        let bus = Arc::new(bus);
        let deps = Deps {
            outgoing: Outgoing::new(config.outgoing.clone()),
            config: Arc::new(config),
            bus: bus.clone(),
            channels: Channels::local(),
            identity: IdentityKey::new(&[7; 32], clock.clone()),
            kek: Kek::from_base64(KEK).unwrap().into(),
            process: clock.new_id(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            clock,
        };
        world.change(furnish);
        let catalog = world.catalog(deps.identity.clone());
        deps.channels.provide(ServiceName::Catalog, catalog);
        let registration = world.registration(deps.identity.clone());
        deps.channels
            .provide(ServiceName::Registration, registration);
        let service = start(&deps).await.unwrap();
        deps.channels
            .provide(ServiceName::AccessRequest, service.router.clone());
        Self {
            world,
            store: service.store.clone(),
            bus,
            deps,
            service: Some(service),
            data_folder: data,
        }
    }

    pub(crate) async fn run(&mut self) {
        let mut service = self.service.take().unwrap();
        service.declare(&self.deps).await.unwrap();
        self.bus.declare(&[WATCHER]).await.unwrap();
        service.run(&self.deps);
    }

    /// What is in the data folder.
    pub(crate) fn files(&self) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(self.data_folder.path()).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.is_file())
            // Journals come and go.
            .filter_map(|path| std::fs::read(path).ok())
            .collect()
    }

    pub(crate) fn actor(&self, caller: Caller) -> Actor {
        Actor::new(&self.deps, caller)
    }

    pub(crate) fn developer(&self, number: u128) -> Actor {
        self.actor(Caller::User {
            id: Uuid::from_u128(0xd0 + number),
            role: Role::Developer,
            let_in: false,
        })
    }

    pub(crate) fn admin(&self) -> Actor {
        self.actor(Caller::User {
            id: Uuid::from_u128(0xa0),
            role: Role::Admin,
            let_in: false,
        })
    }

    /// What another service publishes.
    pub(crate) async fn bus_publish(&self, message: Message) {
        self.bus.publish(message).await.unwrap().await.unwrap();
    }

    pub(crate) async fn published(&self) -> Published {
        Published(self.bus.consume(&WATCHER).await.unwrap())
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.deps.shutdown.cancel();
    }
}

/// Messages on the bus.
pub(crate) struct Published(Box<dyn Deliveries>);

impl Published {
    /// The next message with this last part of its subject; others are passed over.
    pub(crate) async fn next<T: prost::Message + Default>(&mut self, event: &str) -> T {
        let subject = format!("portico.access.{event}");
        let found = async {
            loop {
                let delivery = self.0.next().await.unwrap();
                delivery.ack().await.unwrap();
                if delivery.message.subject == subject {
                    return T::decode(delivery.message.payload).unwrap();
                }
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap()
    }
}

/// An API by its id at the gateway.
pub(crate) fn at_gateway(api_id: String) -> Option<ApiMapping> {
    Some(ApiMapping {
        api_id,
        gateway_id: None,
    })
}

/// An existing policy.
pub(crate) fn policy(id: String) -> Option<PolicyMapping> {
    Some(PolicyMapping {
        policy_id: Some(id),
    })
}

/// Two published DCR products, two plans, two client types of one provider.
fn furnish(known: &mut crate::doubles::Known) {
    for (id, name, scope) in [
        (PAYMENTS, "Payments", "product_payments"),
        (ORDERS, "Orders", "product_orders"),
    ] {
        let product = Product {
            id: id.to_string(),
            name: name.into(),
            dcr_enabled: true,
            scopes: vec![scope.into()],
            client_type_ids: vec![MACHINE.to_string(), WEB.to_string()],
            apis: vec![Api {
                mapping: at_gateway(format!("{scope}_api")),
                name: name.into(),
                ..Api::default()
            }],
            status: ProductStatus::Published.into(),
            mapping: policy(format!("{scope}_policy")),
            version: 7,
            ..Product::default()
        };
        known.products.entry(id.to_string()).or_insert(product);
    }
    for (id, name, auto_approve) in [(FREE, "Free", false), (AUTO, "Auto", true)] {
        let plan = Plan {
            id: id.to_string(),
            name: name.into(),
            scopes: vec![format!("{}_plan", name.to_lowercase())],
            rate: Some(Rate {
                requests: 10,
                per_seconds: 60,
            }),
            quota: Some(Quota {
                requests: 1000,
                renews_every_seconds: 3600,
            }),
            auto_approve,
            status: PlanStatus::Active.into(),
            version: 3,
            ..Plan::default()
        };
        known.plans.entry(id.to_string()).or_insert(plan);
    }
    for (id, grant) in [(MACHINE, "client_credentials"), (WEB, "authorization_code")] {
        let client_type = ClientType {
            id: id.to_string(),
            identity_provider_id: PROVIDER.to_string(),
            name: grant.into(),
            grant_types: vec![grant.into()],
            status: ClientTypeStatus::Active.into(),
            ..ClientType::default()
        };
        known
            .client_types
            .entry(id.to_string())
            .or_insert(client_type);
    }
}

/// A request for one product under a plan by a new application.
pub(crate) fn order(product: Uuid, plan: Uuid) -> api::SubmitAccessRequestRequest {
    api::SubmitAccessRequestRequest {
        items: vec![item(product, plan)],
        target: Some(new_application("Shop")),
        client_type_id: Some(MACHINE.to_string()),
        note: String::new(),
    }
}

pub(crate) fn new_application(name: &str) -> api::submit_access_request_request::Target {
    api::submit_access_request_request::Target::Application(api::Application {
        name: name.into(),
        ..Default::default()
    })
}

pub(crate) fn existing(id: &str) -> api::submit_access_request_request::Target {
    api::submit_access_request_request::Target::ApplicationId(id.into())
}

pub(crate) fn item(product: Uuid, plan: Uuid) -> api::CartItem {
    api::CartItem {
        product_id: product.to_string(),
        plan_id: Some(plan.to_string()),
    }
}

/// Changes these members of an application.
pub(crate) fn update(
    id: &str,
    application: api::Application,
    members: &[&str],
) -> api::UpdateApplicationRequest {
    api::UpdateApplicationRequest {
        id: id.into(),
        if_version: 0,
        application: Some(application),
        update_mask: Some(FieldMask {
            paths: members.iter().map(|name| (*name).to_owned()).collect(),
        }),
    }
}

/// `field code` of every wrong field, or the code alone.
pub(crate) fn codes<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    let error = result.unwrap_err();
    if error.fields.is_empty() {
        return vec![error.code.to_string()];
    }
    error
        .fields
        .into_iter()
        .map(|f| format!("{} {}", f.field, f.code))
        .collect()
}

pub(crate) fn status(request: &api::AccessRequest) -> &'static str {
    request.status().as_word()
}

pub(crate) fn steps(request: &api::AccessRequest) -> Vec<&'static str> {
    let steps = request.timeline.iter().map(api::TimelineEntry::step);
    steps.map(Enumeration::as_word).collect()
}

/// What another service publishes, at this position of its log.
pub(crate) fn foreign(subject: &str, position: i64, message: &impl prost::Message) -> Message {
    let at = jiff::Timestamp::from_second(4_000_000_000 + position).unwrap();
    Message {
        id: Uuid::new_v5(
            &Uuid::NAMESPACE_OID,
            format!("{subject}{position}").as_bytes(),
        ),
        subject: format!("portico.{subject}"),
        payload: message.encode_to_vec().into(),
        headers: [
            ("position".to_owned(), position.to_string()),
            ("recorded-at".to_owned(), at.to_string()),
        ]
        .into(),
    }
}

fn report(request_id: &str, revision: u64, outcome: Outcome) -> Option<api::Report> {
    Some(api::Report {
        request_id: request_id.into(),
        revision,
        outcome: Some(outcome),
    })
}

/// A report of the registration service.
pub(crate) fn by_registration(id: &str, revision: u64, position: i64, outcome: Outcome) -> Message {
    let reported = RegistrationReported {
        report: report(id, revision, outcome),
        identity_provider_name: "Corporate".into(),
        client_id: Some("client-1".into()),
        client_deleted: false,
        ..Default::default()
    };
    foreign("registration.registration_reported", position, &reported)
}

/// A report of the gateway service.
pub(crate) fn by_gateway(id: &str, revision: u64, position: i64, outcome: Outcome) -> Message {
    let reported = GatewayReported {
        report: report(id, revision, outcome),
        ..Default::default()
    };
    foreign("gateway.gateway_reported", position, &reported)
}

pub(crate) fn done() -> Outcome {
    Outcome::Done(api::report::Done {})
}

pub(crate) fn failed(code: &str, reason: &str) -> Outcome {
    Outcome::Failed(api::report::Failed {
        code: code.into(),
        reason: reason.into(),
    })
}
