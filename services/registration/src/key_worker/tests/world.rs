//! The service, a gateway with an API that takes keys, and the messages of the access-request service.

use portico_proto::access::v1 as access;
use portico_sandbox::echo;
use portico_sandbox::gateway::{self, DashboardSettings, seed};
use portico_vault::Secret;
use uuid::Uuid;

use crate::gateway::{Command, Gateway, Settings};
use crate::granted::{Api, Application, Item};
use crate::key_order::{Granted, KeyOrder};
use crate::worker::tests::world::{PATIENCE, World};

pub(crate) struct Keys {
    pub(crate) world: World,
    pub(crate) gateway: gateway::Handle,
    pub(crate) gateway_id: Uuid,
    _upstream: echo::Handle,
}

impl Keys {
    /// By the Dashboard, where there is one; runs at once.
    pub(crate) async fn start(dashboard: Option<DashboardSettings>) -> Self {
        let mut keys = Self::prepare(dashboard).await;
        keys.world.run().await;
        keys
    }

    pub(crate) async fn prepare(dashboard: Option<DashboardSettings>) -> Self {
        let upstream = echo::start(echo::Settings::default()).await.unwrap();
        let api = |id: &str| seed::key_api(id, id, &format!("/{id}/"), &upstream.url());
        let gateway = gateway::start(gateway::Settings {
            apis: vec![seed::no_operation_api(), api("weather"), api("maps")],
            policies: vec![seed::no_operation_policy()],
            dashboard: dashboard.clone(),
            ..gateway::Settings::default()
        })
        .await
        .unwrap();
        let world = World::prepare().await;
        let gateway_id = world.deps.clock.new_id();
        let (kind, secret) = match &dashboard {
            Some(settings) => ("tyk-dashboard", settings.user_key.as_str()),
            None => ("tyk", gateway.secret()),
        };
        let owner = Gateway::vault_owner(gateway_id);
        let secret = world.vault.put(&owner, &Secret::new(secret)).await.unwrap();
        let settings = Settings {
            name: "Tyk".into(),
            kind: kind.into(),
            url: gateway.url(),
            ..Settings::default()
        };
        world
            .execute::<Gateway>(gateway_id, &Command::Add { settings, secret })
            .await;
        Self {
            world,
            gateway,
            gateway_id,
            _upstream: upstream,
        }
    }

    /// What an approval of the product `weather` says.
    pub(crate) fn granted(&self) -> Granted {
        Granted {
            application_id: self.world.application_id,
            requester_id: String::new(),
            application: Application::default(),
            items: vec![Item {
                product_id: "weather".into(),
                product_name: "Weather".into(),
                product_scopes: Default::default(),
                product_policy_id: String::new(),
                apis: vec![Api {
                    api_id: "weather".into(),
                    name: "weather".into(),
                    url: String::new(),
                    gateway_id: String::new(),
                }],
                plan_id: "free".into(),
                plan_name: "Free".into(),
                plan_scopes: Default::default(),
                plan_policy_id: String::new(),
                rate: None,
                quota: None,
                product_version: 0,
                plan_version: 0,
            }],
        }
    }

    /// An approved request for these products under the plan `free`: at most three calls in a minute.
    pub(crate) async fn approve(&mut self, products: &[&str]) -> Uuid {
        let request = self.world.deps.clock.new_id();
        let items = products.iter().map(|product| access::ApprovedItem {
            product_id: (*product).into(),
            product_name: product.to_uppercase(),
            apis: vec![access::ApprovedApi {
                api_id: (*product).into(),
                name: (*product).into(),
                url: format!("{}/{product}/", self.gateway.url()),
                gateway_id: String::new(),
            }],
            plan_id: "free".into(),
            plan_name: "FREE".into(),
            rate: Some(access::ApprovedRate {
                requests: 3,
                per_seconds: 60,
            }),
            ..Default::default()
        });
        let approved = access::AccessApproved {
            request_id: request.to_string(),
            application_id: self.world.application_id.to_string(),
            application_name: "Weather app".into(),
            requester_id: Uuid::nil().to_string(),
            items: items.collect(),
            ..Default::default()
        };
        self.world
            .tell("portico.access.access_approved", &approved)
            .await;
        request
    }

    pub(crate) async fn revoke(&mut self, request: Uuid) {
        let revoked = access::AccessRevoked {
            request_id: request.to_string(),
            application_id: self.world.application_id.to_string(),
            ..Default::default()
        };
        self.world
            .tell("portico.access.access_revoked", &revoked)
            .await;
    }

    pub(crate) async fn retry(&mut self, request: Uuid) {
        let retried = access::AccessRetried {
            request_id: request.to_string(),
            application_id: self.world.application_id.to_string(),
            identity_provider_id: String::new(),
        };
        self.world
            .tell("portico.access.access_retried", &retried)
            .await;
    }

    pub(crate) async fn order(&self, request: Uuid) -> KeyOrder {
        let loaded = self.world.store.load::<KeyOrder>(request).await;
        loaded.unwrap().state
    }

    /// The state as soon as it is so.
    #[track_caller]
    pub(crate) fn until(
        &self,
        request: Uuid,
        what: &'static str,
        is_so: impl Fn(&KeyOrder) -> bool + Send,
    ) -> impl Future<Output = KeyOrder> {
        let caller = std::panic::Location::caller();
        async move {
            let mut head = self.world.store.head();
            let wait = async {
                loop {
                    head.borrow_and_update();
                    let order = self.order(request).await;
                    if is_so(&order) {
                        return order;
                    }
                    head.changed().await.unwrap();
                }
            };
            match tokio::time::timeout(PATIENCE, wait).await {
                Ok(order) => order,
                Err(_) => panic!("not {what} at {caller}: {:#?}", self.order(request).await),
            }
        }
    }

    /// The key of a product, as its owner would be shown it.
    pub(crate) async fn key(&self, request: Uuid, product: &str) -> String {
        let order = self.order(request).await;
        let mut keys = order.keys.iter();
        let (id, key) = keys
            .find(|(_, key)| key.product_id == product)
            .expect("a key");
        let place = crate::key_order::place_in_vault(*id, key.attempt);
        let owner = crate::key_order::owner(request);
        let kept = self.world.vault.get(&owner, &place).await.unwrap();
        let key = crate::key_worker::key_of(&kept.expect("a kept key"));
        key.expect("readable").expose().to_owned()
    }

    /// Status of a call through the gateway.
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

    /// Everything in the log and in the messages, as text.
    pub(crate) async fn said(&self) -> String {
        let events = self.world.store.read(0, 10_000).await.unwrap();
        let events: Vec<String> = events.iter().map(|event| event.data.to_string()).collect();
        let messages = self.world.messages.lock().unwrap();
        let messages: Vec<String> = messages
            .iter()
            .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
            .collect();
        format!("{events:?} {messages:?}")
    }
}
