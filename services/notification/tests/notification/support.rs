//! The service with all that it needs, and what happens outside of it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use portico_bus::{ConsumerSpec, Deliveries, MemoryBus, Message, SharedBus};
use portico_eventstore::EventStore;
use portico_proto::{
    Error,
    access::v1::{
        AccessActivated, AccessFailed, AccessRejected, AccessRevoked, AccessSubmitted, WantedAccess,
    },
    notification::v1::{notification_service_client::NotificationServiceClient, *},
    rest::Enumeration as _,
};
use portico_runtime::{
    Caller, Channels, Clock, Config, Deps, IdentityKey, Outgoing, Role, Service, ServiceChannel,
    ServiceName,
};
use portico_sandbox::mail;
use portico_vault::{Kek, KekRing};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Response, Status};
use uuid::Uuid;

use super::doubles::{self, ADMIN, APPLICATION, DEVELOPER, REQUEST, Shared};

/// For things that happen at once unless something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Listens to what the service publishes.
pub(crate) const PUBLIC: ConsumerSpec = ConsumerSpec {
    name: "test",
    subjects: &[
        "portico.notification.mail_sent",
        "portico.notification.mail_failed",
    ],
};

pub(crate) struct Setup {
    pub(crate) folder: TempDir,
    pub(crate) world: Shared,
    pub(crate) mail: mail::Handle,
    pub(crate) bus: SharedBus,
    pub(crate) settings: Vec<(String, String)>,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        Self::with_bus(MemoryBus::new()).await
    }

    pub(crate) async fn with_bus(bus: MemoryBus) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mail = mail::start(mail::Settings::default()).await.unwrap();
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settings = vec![
            setting("PORTICO_SMTP_URL", &mail.smtp_url()),
            setting("PORTICO_MAIL_FROM", "Example portal <portal@mail.example>"),
            setting("PORTICO_PUBLIC_URL", "https://portal.example"),
            setting("PORTICO_RETRY_FIRST_DELAY", "10ms"),
            setting("PORTICO_RETRY_MAX_DELAY", "20ms"),
        ];
        Self {
            world: doubles::world(),
            folder,
            mail,
            bus: Arc::new(bus),
            settings,
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.settings.retain(|(key, _)| key != name);
    }

    /// A service that has opened its store and does nothing yet.
    pub(crate) async fn open(self) -> App {
        let clock = Clock::system();
        let data = self.folder.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let (kek, _) = Kek::load_or_generate(&data).unwrap();
        let place = ("PORTICO_DATA_DIR".to_owned(), text(&data));
        let config = Config::from_parts(None, self.settings.iter().cloned().chain([place]));
        let config = config.unwrap();
        let deps = Deps {
            outgoing: Outgoing::new(config.outgoing.clone()),
            config: Arc::new(config),
            bus: Arc::clone(&self.bus),
            channels: Channels::local(),
            identity: IdentityKey::new(&kek.derive("identity"), clock.clone()),
            kek: KekRing::new(kek, []),
            process: clock.new_id(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            clock,
        };
        let accounts = doubles::accounts(Arc::clone(&self.world), deps.identity.clone());
        let access = doubles::access(Arc::clone(&self.world), deps.identity.clone());
        deps.channels.provide(ServiceName::Accounts, accounts);
        deps.channels.provide(ServiceName::AccessRequest, access);
        let service = portico_notification::start(&deps).await.unwrap();
        deps.channels
            .provide(ServiceName::Notification, service.router.clone());
        deps.bus.declare(&[PUBLIC]).await.unwrap();
        service.declare(&deps).await.unwrap();
        App {
            store: service.store.clone(),
            service,
            deps,
            setup: self,
        }
    }

    pub(crate) async fn start(self) -> App {
        let mut app = self.open().await;
        app.run();
        app
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

pub(crate) struct App {
    pub(crate) setup: Setup,
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
    service: Service,
}

impl App {
    pub(crate) fn run(&mut self) {
        self.service.run(&self.deps);
    }

    /// Ends the background work as a signal would.
    pub(crate) async fn stop(self) -> Setup {
        self.deps.shutdown.cancel();
        self.deps.tasks.close();
        tokio::time::timeout(PATIENCE, self.deps.tasks.wait())
            .await
            .expect("the service ends when it is told to");
        self.setup
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.setup.folder.path().join("data")
    }

    pub(crate) fn client(&self) -> NotificationServiceClient<ServiceChannel> {
        NotificationServiceClient::new(self.deps.channels.to(ServiceName::Notification))
    }

    pub(crate) fn request<T>(&self, caller: &Caller, message: T) -> tonic::Request<T> {
        self.deps.identity.request(caller, message)
    }

    /// Publishes and waits until the service has handled it.
    pub(crate) async fn tell(&self, message: Message) {
        let receipt = self.setup.bus.publish(message).await.unwrap();
        tokio::time::timeout(PATIENCE, receipt)
            .await
            .expect("the message is handled")
            .unwrap();
    }

    pub(crate) async fn deliveries(&self) -> Vec<Delivery> {
        let request = self.request(&admin(), ListDeliveriesRequest::default());
        answer(self.client().list_deliveries(request).await)
            .unwrap()
            .deliveries
    }

    /// The only delivery, as soon as it has that status.
    pub(crate) async fn delivery_when(&self, status: &str) -> Delivery {
        self.delivery_that(|delivery| delivery.status().as_word() == status)
            .await
    }

    /// The only delivery, as soon as it fits.
    pub(crate) async fn delivery_that(&self, fits: impl Fn(&Delivery) -> bool) -> Delivery {
        let mut last = Vec::new();
        for _ in 0..PATIENCE.as_millis() / 10 {
            last = self.deliveries().await;
            if let [one] = last.as_slice()
                && fits(one)
            {
                return one.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not what was waited for: {last:?}");
    }

    pub(crate) async fn resend(&self, id: &str) -> Result<Delivery, Error> {
        let request = self.request(&admin(), ResendDeliveryRequest { id: id.into() });
        answer(self.client().resend_delivery(request).await)
    }

    /// What the service publishes, from now on.
    pub(crate) async fn published(&self) -> Box<dyn Deliveries> {
        self.setup.bus.consume(&PUBLIC).await.unwrap()
    }
}

pub(crate) async fn next(deliveries: &mut Box<dyn Deliveries>) -> Message {
    let delivery = tokio::time::timeout(PATIENCE, deliveries.next())
        .await
        .expect("something is published")
        .unwrap();
    delivery.ack().await.unwrap();
    delivery.message
}

pub(crate) fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, Error> {
    result.map(Response::into_inner).map_err(Error::from)
}

pub(crate) fn admin() -> Caller {
    Caller::User {
        id: ADMIN,
        role: Role::Admin,
        let_in: false,
    }
}

pub(crate) fn message(id: u128, subject: &str, payload: &impl prost::Message) -> Message {
    Message {
        id: Uuid::from_u128(id),
        subject: subject.to_owned(),
        payload: payload.encode_to_vec().into(),
        headers: [].into(),
    }
}

pub(crate) fn submitted(id: u128) -> Message {
    let event = AccessSubmitted {
        request_id: REQUEST.to_string(),
        application_id: APPLICATION.to_string(),
        requester_id: DEVELOPER.to_string(),
        ..AccessSubmitted::default()
    };
    message(id, "portico.access.access_submitted", &event)
}

pub(crate) fn rejected(id: u128) -> Message {
    let event = AccessRejected {
        request_id: REQUEST.to_string(),
        requester_id: DEVELOPER.to_string(),
        ..AccessRejected::default()
    };
    message(id, "portico.access.access_rejected", &event)
}

pub(crate) fn revoked(id: u128) -> Message {
    let wanted = WantedAccess {
        request_id: REQUEST.to_string(),
        requester_id: DEVELOPER.to_string(),
        ..WantedAccess::default()
    };
    let event = AccessRevoked {
        wanted: Some(wanted),
    };
    message(id, "portico.access.access_revoked", &event)
}

pub(crate) fn activated(id: u128) -> Message {
    let event = AccessActivated {
        request_id: REQUEST.to_string(),
        application_id: APPLICATION.to_string(),
        requester_id: DEVELOPER.to_string(),
        ..AccessActivated::default()
    };
    message(id, "portico.access.access_activated", &event)
}

pub(crate) fn failed(id: u128) -> Message {
    let event = AccessFailed {
        request_id: REQUEST.to_string(),
        application_id: APPLICATION.to_string(),
        neighbour_name: Some("Company login".into()),
        code: "invalid_client_metadata".into(),
        reason: "Invalid scope: free_plan".into(),
        ..AccessFailed::default()
    };
    message(id, "portico.access.access_failed", &event)
}
