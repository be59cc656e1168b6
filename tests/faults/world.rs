//! One round's portal with everything around it.

use std::{path::Path, sync::Arc};

use portico_sandbox::{
    echo,
    gateway::{self, seed},
    identity_provider, mail,
};
use portico_tests::cluster::{self, Cluster};
use portico_trials::{NatsServer, Postgres};
use serde_json::json;

use crate::{
    client::Client,
    ledger::Ledger,
    process::{self, ADMIN_EMAIL, ADMIN_PASSWORD, Portico},
    provider::{Provider, Which},
    stores::Stores,
};

pub const DEVELOPER_NAME: &str = "Augusta Byron-Lovelace";
pub const DEVELOPER_EMAIL: &str = "augusta.lovelace@customer.example";
pub const DEVELOPER_PASSWORD: &str = "a-long-developer-password";
/// The key-encryption key that replicas share.
const SHARED_KEY: &str = "cmVwbGljYXMtc2hhcmUtdGhpcy1vbmUta2V5LTAwMDE=";
/// Of each part, where every service is a process of its own.
pub const REPLICAS: usize = 2;

/// What a round is started on.
#[derive(Default)]
pub struct Setup {
    /// PostgreSQL and NATS instead of SQLite and the memory bus.
    pub servers: bool,
    /// PostgreSQL that the round may kill; otherwise all rounds share one.
    pub own_postgres: bool,
    /// A second process on the same PostgreSQL and NATS: a replica of everything.
    pub replicas: bool,
    /// Every service as processes of its own, on the same PostgreSQL and NATS.
    pub apart: bool,
    pub provider: Which,
    /// On top of what every round has.
    pub environment: Vec<(&'static str, String)>,
}

/// The servers; they live as long as this.
#[derive(Default)]
pub struct Backends {
    pub postgres: Option<Postgres>,
    pub nats: Option<NatsServer>,
}

pub struct World {
    pub portico: Portico,
    /// The other replica.
    pub second: Option<Portico>,
    /// All of it, where every service is a process of its own; `portico` only runs commands then.
    cluster: Option<Cluster>,
    pub provider: Provider,
    pub gateway: gateway::Handle,
    pub mail: mail::Handle,
    pub backends: Backends,
    pub stores: Stores,
    /// Where everything of the round is, and stays when it fails.
    pub folder: std::path::PathBuf,
    _echo: echo::Handle,
}

/// What the people of a round know; shared with the tasks that play them.
pub struct Portal {
    pub admin: Client,
    pub developer: Client,
    pub provider_id: String,
    pub client_type_id: String,
    pub payments: String,
    pub orders: String,
    /// For API keys.
    pub weather: String,
    /// For API keys, and its API is not at the gateway.
    pub nowhere: String,
    pub plan: String,
    pub ledger: Ledger,
}

impl World {
    /// Starts everything, and Portico without a fault.
    pub async fn start(folder: &Path, setup: Setup) -> Self {
        let provider = Provider::start(setup.provider).await;
        let echo = echo::start(echo::Settings::default()).await.unwrap();
        let gateway = gateway::start(gateway::Settings {
            apis: vec![
                seed::no_operation_api(),
                seed::api("payments", "Payments", "/payments/", &echo.url()),
                seed::api("orders", "Orders", "/orders/", &echo.url()),
                seed::key_api("weather", "Weather", "/weather/", &echo.url()),
            ],
            policies: vec![seed::no_operation_policy()],
            ..gateway::Settings::default()
        })
        .await
        .unwrap();
        let mail = mail::start(mail::Settings {
            capacity: 100_000,
            ..mail::Settings::default()
        })
        .await
        .unwrap();
        let mut environment = vec![
            ("PORTICO_SMTP_URL".to_owned(), mail.smtp_url()),
            (
                "PORTICO_MAIL_FROM".to_owned(),
                "Portal <portal@portal.example>".to_owned(),
            ),
        ];
        let (backends, stores) = backends(folder, &setup, &mut environment).await;
        let given = setup.environment.into_iter();
        environment.extend(given.map(|(name, value)| (name.to_owned(), value)));
        if setup.replicas || setup.apart {
            environment.push(("PORTICO_KEK".to_owned(), SHARED_KEY.to_owned()));
            // Longer than the time after which a lease is prolonged, or two replicas would both hold it.
            environment.push(("FAULT_LEASE_MS".to_owned(), "4000".to_owned()));
        }
        let (mut second, mut cluster) = (None, None);
        if setup.replicas {
            second = Some(Portico::new(&folder.join("second"), environment.clone()));
        }
        let mut portico = Portico::new(folder, environment.clone());
        if setup.apart {
            cluster = Some(start_apart(folder, &backends, environment).await);
        } else {
            portico.start().await;
        }
        if let Some(second) = &mut second {
            second.start().await;
        }
        Self {
            portico,
            second,
            cluster,
            provider,
            gateway,
            mail,
            backends,
            stores,
            folder: folder.to_owned(),
            _echo: echo,
        }
    }

    /// Nobody, at either replica, or at the balancer before the edges.
    pub fn anonymous(&self) -> Client {
        if let Some(cluster) = &self.cluster {
            return Client::anonymous(vec![format!("http://{}", cluster.address())]);
        }
        let replicas = [Some(&self.portico), self.second.as_ref()];
        Client::anonymous(replicas.into_iter().flatten().map(Portico::url).collect())
    }

    /// `kill -9` for every replica.
    pub async fn stop(&mut self) {
        self.portico.kill().await;
        if let Some(second) = &mut self.second {
            second.kill().await;
        }
        if let Some(cluster) = &mut self.cluster {
            for replica in cluster.replicas() {
                cluster.kill(replica);
            }
        }
    }

    /// Until every process says that it is ready.
    pub async fn ready(&mut self) {
        match &self.cluster {
            None => self.portico.ready().await,
            Some(cluster) => {
                for replica in cluster.replicas() {
                    cluster.ready(replica).await;
                }
            }
        }
    }

    /// The processes of a round that has every service apart.
    pub fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().unwrap()
    }

    /// Steps 3 to 5 of the product: provider, client type, gateway, plan, products; and a developer signs up.
    pub async fn configure(&self) -> Arc<Portal> {
        let anonymous = self.anonymous();
        let admin = anonymous.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD).await;
        let provider_id = admin
            .make(
                "/api/v1/identity-providers",
                self.provider.definition().await,
            )
            .await;
        let client_types = format!("/api/v1/identity-providers/{provider_id}/client-types");
        let client_type_id = admin
            .make(&client_types, json!({
                "name": "Backend", "description": "", "response_types": [],
                "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic",
            }))
            .await;
        admin
            .make("/api/v1/gateways", json!({
                "name": "Gateway", "type": "tyk", "url": self.gateway.url(), "secret": self.gateway.secret(),
                "org_id": seed::ORG,
            }))
            .await;
        let plan = admin
            .make(
                "/api/v1/plans",
                json!({
                    "name": "Free", "description": "", "scopes": "free_plan", "auto_approve": false,
                    "rate": {"requests": 100, "per_seconds": 1},
                }),
            )
            .await;
        let oauth = Some(client_type_id.as_str());
        let payments = self.product(&admin, "payments", oauth).await;
        let orders = self.product(&admin, "orders", oauth).await;
        let weather = self.product(&admin, "weather", None).await;
        let nowhere = self.product(&admin, "nowhere", None).await;
        let developer = json!({
            "name": DEVELOPER_NAME, "email": DEVELOPER_EMAIL, "password": DEVELOPER_PASSWORD,
        });
        anonymous.make("/api/v1/users", developer).await;
        Arc::new(Portal {
            developer: anonymous.sign_in(DEVELOPER_EMAIL, DEVELOPER_PASSWORD).await,
            admin,
            provider_id,
            client_type_id,
            payments,
            orders,
            weather,
            nowhere,
            plan,
            ledger: Ledger::default(),
        })
    }

    /// A published product: for OAuth clients of this type with the scope `product_<api>`, or for API keys.
    async fn product(&self, admin: &Client, api: &str, client_type_id: Option<&str>) -> String {
        let mut product = json!({
            "name": format!("Product {api}"), "description": "", "dcr_enabled": client_type_id.is_some(),
            "visibility": "public", "tags": [],
            "apis": [{"api_id": api, "name": api, "url": format!("{}/{api}/", self.gateway.url())}],
        });
        if let Some(client_type_id) = client_type_id {
            product["scopes"] = format!("product_{api}").into();
            product["client_type_ids"] = json!([client_type_id]);
        }
        let id = admin.make("/api/v1/products", product).await;
        admin
            .post(&format!("/api/v1/products/{id}/publish"), json!({}))
            .await
            .expect(200);
        id
    }

    /// The sandbox's provider of a round that has it.
    pub fn sandbox(&self) -> &identity_provider::Handle {
        match &self.provider {
            Provider::Sandbox(provider) => provider,
            _ => panic!("the round has another provider"),
        }
    }
}

async fn backends(
    folder: &Path,
    setup: &Setup,
    environment: &mut Vec<(String, String)>,
) -> (Backends, Stores) {
    if !setup.servers {
        return (Backends::default(), Stores::Sqlite(folder.join("data")));
    }
    let nats = NatsServer::start().await.unwrap();
    let mut backends = Backends::default();
    // Many processes have many connections.
    let url = if setup.own_postgres || setup.apart {
        let postgres = Postgres::start().await;
        let url = postgres.url();
        backends.postgres = Some(postgres);
        url
    } else {
        Postgres::shared_database().await
    };
    environment.push(("PORTICO_DATABASE_URL".to_owned(), url.clone()));
    environment.push(("PORTICO_NATS_URL".to_owned(), nats.url()));
    backends.nats = Some(nats);
    (backends, Stores::Postgres(url))
}

async fn start_apart(
    folder: &Path,
    backends: &Backends,
    environment: Vec<(String, String)>,
) -> Cluster {
    let (database, nats) = ("PORTICO_DATABASE_URL", "PORTICO_NATS_URL");
    let url = backends.nats.as_ref().unwrap().url();
    let (servers, others): (Vec<_>, Vec<_>) = environment
        .into_iter()
        .partition(|(name, _)| name == database || name == nats);
    let database_url = servers.into_iter().find(|(name, _)| name == database);
    let common = process::common().map(|(name, value)| (name.to_owned(), value));
    Cluster::start(cluster::Settings {
        binary: env!("CARGO_BIN_EXE_portico").into(),
        folder: folder.join("logs"),
        database_url: database_url.unwrap().1,
        nats_url: Box::new(move |_| url.clone()),
        environment: common.into_iter().chain(others).collect(),
        replicas: REPLICAS,
    })
    .await
}
