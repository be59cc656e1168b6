//! Portico with everything around it.

use std::path::Path;

use portico::client::Portal;
use portico_bus::SharedBus;
use portico_runtime::ServiceName;
use portico_sandbox::{
    echo,
    gateway::{self, DashboardSettings, seed},
    identity_provider, mail,
};
use portico_tests::{cluster::Part, keycloak::Keycloak, peers::Peer};
use portico_trials::{NatsServer, Postgres};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::documented;
use super::peers::Double;
use super::process::{ADMIN_EMAIL, ADMIN_PASSWORD, Portico, Settings};

/// The identity provider of a journey.
pub enum Provider {
    /// The sandbox's, driven as *Other*.
    Sandbox(identity_provider::Handle),
    /// A real Keycloak.
    Keycloak(Keycloak),
    /// A real Keycloak, which Portico reaches by this well-known URL.
    KeycloakThrough(Keycloak, String),
    /// A double of a provider that cannot be run here.
    Double(Double),
    /// A real provider that nobody here has written, driven as *Other*.
    Stranger(Peer),
}

pub const INITIAL_ACCESS_TOKEN: &str = "initial-access-token-of-the-sandbox";
pub const SCOPES: [&str; 6] = [
    "product_payments",
    "product_orders",
    "product_unlisted",
    "free_plan",
    "gold_plan",
    "spare_plan",
];

impl Provider {
    pub async fn sandbox() -> Self {
        let settings = identity_provider::Settings {
            scopes: SCOPES.map(str::to_owned).to_vec(),
            initial_access_token: Some(INITIAL_ACCESS_TOKEN.to_owned()),
            ..identity_provider::Settings::default()
        };
        Self::Sandbox(identity_provider::start(settings).await.unwrap())
    }

    pub async fn keycloak() -> Self {
        Self::Keycloak(Keycloak::start().await)
    }

    pub fn oidc_provider() -> Self {
        Self::Stranger(Peer::oidc_provider(INITIAL_ACCESS_TOKEN, &SCOPES))
    }

    pub fn authlib() -> Self {
        Self::Stranger(Peer::authlib(INITIAL_ACCESS_TOKEN, &SCOPES))
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sandbox(_) | Self::Stranger(_) => "other",
            Self::Keycloak(_) | Self::KeycloakThrough(..) => "keycloak",
            Self::Double(double) => double.kind(),
        }
    }

    pub fn well_known_url(&self) -> String {
        match self {
            Self::Sandbox(provider) => provider.well_known_url(),
            Self::Keycloak(keycloak) => keycloak.well_known_url(),
            Self::KeycloakThrough(_, url) => url.clone(),
            Self::Double(double) => double.well_known_url(),
            Self::Stranger(provider) => provider.well_known_url(),
        }
    }

    /// How the portal authorises itself there.
    pub async fn authorization(&self) -> Value {
        let token = match self {
            Self::Sandbox(_) | Self::Stranger(_) => INITIAL_ACCESS_TOKEN.to_owned(),
            Self::Keycloak(keycloak) | Self::KeycloakThrough(keycloak, _) => {
                keycloak.initial_access_token(100).await
            }
            Self::Double(double) => return double.authorization(),
        };
        json!({"initial_access_token": token})
    }

    /// Clients that were registered and not deleted.
    pub async fn client_count(&self) -> usize {
        match self {
            Self::Sandbox(provider) => provider.client_count(),
            Self::Keycloak(keycloak) | Self::KeycloakThrough(keycloak, _) => {
                keycloak.client_count().await
            }
            Self::Double(double) => double.client_count(),
            Self::Stranger(provider) => provider.client_count().await,
        }
    }
}

/// Database and bus; the servers live as long as this.
#[derive(Default)]
pub struct Backends {
    postgres: Option<Postgres>,
    nats: Option<NatsServer>,
    environment: Vec<(String, String)>,
    extras: Vec<(String, String)>,
    has_roles: bool,
}

impl Backends {
    /// SQLite files and the memory bus.
    pub fn embedded() -> Self {
        Self::default()
    }

    /// A real PostgreSQL and a real NATS server.
    pub async fn servers() -> Self {
        Self::on(NatsServer::start().await.unwrap()).await
    }

    /// As [`Backends::servers`], with a NATS user for each service, as in production.
    pub async fn with_accounts() -> Self {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/nats/nats-server.conf"
        );
        let services = ServiceName::ALL.map(ServiceName::as_str);
        let users = services.into_iter().chain(["operator"]);
        let environment: Vec<_> = users
            .map(|user| {
                let name = user.replace('-', "_").to_uppercase();
                (format!("NATS_{name}_PASSWORD"), nats_password(user))
            })
            .collect();
        Self::on(
            NatsServer::start_configured(file.as_ref(), &environment)
                .await
                .unwrap(),
        )
        .await
    }

    async fn on(nats: NatsServer) -> Self {
        let postgres = Postgres::start().await;
        let environment = vec![
            ("PORTICO_DATABASE_URL".to_owned(), postgres.url()),
            ("PORTICO_NATS_URL".to_owned(), nats.url()),
        ];
        Self {
            postgres: Some(postgres),
            nats: Some(nats),
            environment,
            ..Self::default()
        }
    }

    /// A role for each service, which finds its tables made, by the scripts of `deploy/`. `folder`: where the passwords
    /// are, in `secrets`.
    pub async fn with_roles(mut self, folder: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let script = root.join("deploy/compose/secrets.sh");
        std::fs::copy(script, folder.join("secrets.sh")).unwrap();
        let mut environment = self.postgres().client();
        environment.push(("POSTGRES_DB", "postgres".to_owned()));
        environment.push(("FOLDER", folder.display().to_string()));
        documented::script(ROLES, &environment);
        self.with("PORTICO_DATABASE_MIGRATE", "never");
        self.has_roles = true;
        self
    }

    /// A setting of Portico beside them.
    pub fn with(&mut self, name: &str, value: &str) {
        self.extras.push((name.to_owned(), value.to_owned()));
    }

    /// What a test keeps in its own hands.
    pub fn of(environment: &[(&str, String)]) -> Self {
        let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
        Self {
            environment: environment.iter().map(owned).collect(),
            ..Self::default()
        }
    }

    pub fn database_url(&self) -> Option<String> {
        self.postgres.as_ref().map(Postgres::url)
    }

    /// To take it away for a while.
    pub fn postgres(&mut self) -> &mut Postgres {
        self.postgres.as_mut().expect("PostgreSQL")
    }

    /// To take it away for a while.
    pub fn nats(&mut self) -> &mut NatsServer {
        self.nats.as_mut().expect("NATS")
    }

    pub fn nats_url(&self) -> Option<String> {
        self.nats.as_ref().map(NatsServer::url)
    }
}

/// All in one shell, which has the passwords of NATS in its environment, too.
const ROLES: &str = r#"
sh "$FOLDER/secrets.sh"
export SECRETS="$FOLDER/secrets"
set -a
. "$SECRETS/nats.env"
sh deploy/postgres/roles.sh
portico migrate
"#;

fn nats_password(user: &str) -> String {
    format!("p-{user}-secret")
}

/// The URL with the user of a part.
fn nats_user_of(url: String) -> impl Fn(Part) -> String + Send + Sync {
    move |part| {
        let (user, password) = (part.as_str(), nats_password(part.as_str()));
        url.replace("://", &format!("://{user}:{password}@"))
    }
}

pub struct World {
    pub portico: Portico,
    pub provider: Provider,
    pub gateway: gateway::Handle,
    pub mail: mail::Handle,
    pub admin: Portal,
    pub backends: Backends,
    _echo: echo::Handle,
    _folder: TempDir,
}

enum Start<'a> {
    Process,
    ToDieAt(&'a str),
    Inside(SharedBus),
    Cluster,
}

impl World {
    pub async fn start(provider: Provider, backends: Backends) -> Self {
        Self::begin(provider, backends, Start::Process).await
    }

    /// Portico inside this process, on a bus with faults.
    pub async fn start_inside(provider: Provider, bus: SharedBus) -> Self {
        Self::begin(provider, Backends::embedded(), Start::Inside(bus)).await
    }

    /// Portico will die at this point.
    pub async fn start_to_die(provider: Provider, backends: Backends, point: &str) -> Self {
        Self::begin(provider, backends, Start::ToDieAt(point)).await
    }

    /// Every service as processes of its own.
    pub async fn start_apart(provider: Provider) -> Self {
        Self::start_apart_on(provider, Backends::with_accounts().await).await
    }

    /// As [`World::start_apart`], on backends that have accounts.
    pub async fn start_apart_on(provider: Provider, backends: Backends) -> Self {
        Self::begin(provider, backends, Start::Cluster).await
    }

    async fn begin(provider: Provider, backends: Backends, start: Start<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let echo = echo::start(echo::Settings::default()).await.unwrap();
        let gateway = gateway::start(gateway::Settings {
            apis: vec![
                seed::no_operation_api(),
                seed::api("payments", "Payments", "/payments/", &echo.url()),
                seed::api("orders", "Orders", "/orders/", &echo.url()),
            ],
            policies: vec![seed::no_operation_policy()],
            // Its own ids and the registry of 5.14: the farthest from the gateway's own API.
            dashboard: Some(DashboardSettings {
                explicit_policy_ids: false,
                registry: true,
                ..DashboardSettings::default()
            }),
            ..gateway::Settings::default()
        })
        .await
        .unwrap();
        let mail = mail::start(mail::Settings::default()).await.unwrap();
        let mut environment = match start {
            // Which process needs them is the cluster's to know.
            Start::Cluster => Vec::new(),
            _ => backends.environment.clone(),
        };
        environment.extend(backends.extras.iter().cloned());
        environment.push(("PORTICO_SMTP_URL".to_owned(), mail.smtp_url()));
        environment.push((
            "PORTICO_MAIL_FROM".to_owned(),
            "Portal <portal@portal.example>".to_owned(),
        ));
        let settings = Settings {
            data_dir: folder.path().to_owned(),
            environment,
        };
        let portico = match start {
            Start::Process => Portico::start(settings).await,
            Start::ToDieAt(point) => Portico::start_to_die(settings, point).await,
            Start::Inside(bus) => Portico::inside(settings, bus).await,
            Start::Cluster => {
                let mut database_url = backends.database_url().expect("PostgreSQL");
                if backends.has_roles {
                    database_url = database_url.replace("postgres@", "portico_{service}@");
                }
                let nats_url = backends.nats_url().expect("NATS");
                Portico::cluster(settings, database_url, Box::new(nats_user_of(nats_url))).await
            }
        };
        let admin = portico
            .anonymous()
            .sign_in(ADMIN_EMAIL, ADMIN_PASSWORD)
            .await
            .unwrap();
        Self {
            portico,
            provider,
            gateway,
            mail,
            admin,
            backends,
            _echo: echo,
            _folder: folder,
        }
    }

    pub fn database_url(&self) -> String {
        self.backends.database_url().expect("PostgreSQL")
    }

    /// The process again, on the same data; sessions survive.
    pub async fn restart(mut self) -> Self {
        self.portico = self.portico.restart().await;
        self
    }
}
