//! The servers of the demo, each on 127.0.0.1 unless another address is configured for the portal.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use portico_runtime::{Clock, Config, ServiceName, config::OwnSettings, telemetry};
use portico_sandbox::{
    StartError, echo,
    gateway::{self, seed as gateway_seed},
    identity_provider, mail,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::seed;
use crate::run::{EdgeListeners, app::App, wiring};

/// Ports that the demo likes to have; where one is taken, or for a check, it takes a free one.
const PORTAL: u16 = 3000;
const GRPC: u16 = 3001;
const IDENTITY_PROVIDER: u16 = 3010;
const GATEWAY: u16 = 3011;
const MAIL: u16 = 3012;

/// The initial access token of the sandbox's identity provider.
pub const INITIAL_ACCESS_TOKEN: &str = "sandbox-initial-access-token";

/// What is configured for the demo, as for `portico run`.
#[derive(Debug, Default)]
pub struct Given {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
}

/// Everything that the demo started.
pub struct World {
    app: App,
    telemetry: Option<telemetry::Telemetry>,
    data_dir: PathBuf,
    sandbox: Sandbox,
    shutdown: CancellationToken,
}

/// The servers around the portal.
struct Sandbox {
    identity_provider: identity_provider::Handle,
    gateway: gateway::Handle,
    echo: echo::Handle,
    mail: mail::Handle,
}

impl Sandbox {
    async fn start(check: bool) -> Result<Self, StartError> {
        let echo = echo::start(echo::Settings::default()).await?;
        let identity_provider = identity_provider::start(identity_provider::Settings {
            listen: address(check, IDENTITY_PROVIDER),
            scopes: seed::SCOPES.map(str::to_owned).to_vec(),
            initial_access_token: Some(INITIAL_ACCESS_TOKEN.to_owned()),
            ..identity_provider::Settings::default()
        })
        .await?;
        let gateway = gateway::start(gateway::Settings {
            listen: address(check, GATEWAY),
            apis: apis(&echo.url()),
            policies: vec![gateway_seed::no_operation_policy()],
            ..gateway::Settings::default()
        })
        .await?;
        let mail = mail::start(mail::Settings {
            page_listen: address(check, MAIL),
            ..mail::Settings::default()
        })
        .await?;
        Ok(Self {
            identity_provider,
            gateway,
            echo,
            mail,
        })
    }

    async fn stop(self) {
        self.mail.stop().await;
        self.gateway.stop().await;
        self.identity_provider.stop().await;
        self.echo.stop().await;
    }
}

/// What is behind the gateway: every API answers with what it was sent.
fn apis(echo_url: &str) -> Vec<Value> {
    let mut apis = vec![gateway_seed::no_operation_api()];
    apis.extend(seed::APIS.map(|(id, name, path)| gateway_seed::api(id, name, path, echo_url)));
    let (id, name, path) = seed::KEY_API;
    apis.push(gateway_seed::key_api(id, name, path, echo_url));
    apis
}

impl World {
    /// Starts the sandbox, then the portal. A check takes free ports, so that it does not meet a running demo.
    ///
    /// # Errors
    /// What could not be started, for a person.
    pub async fn start(
        check: bool,
        given: &Given,
        shutdown: CancellationToken,
    ) -> Result<Self, String> {
        let clock = Clock::system();
        let data_dir = std::env::temp_dir().join(format!("portico-demo-{}", clock.new_id()));
        let mut own = own_settings(check, &data_dir);
        // Before anything is started: what is wrong is told at once.
        let wanted = config(given, &own)?;
        let sandbox = Sandbox::start(check)
            .await
            .map_err(|error| error.to_string())?;
        // Taken before they are named: links in mails need them, and somebody else might take them in between.
        let listeners = EdgeListeners::bind(&wanted)?;
        let (rest, grpc) = listeners.addresses()?;
        own.known = vec![
            ("listen", rest.to_string()),
            ("grpc.listen", grpc.to_string()),
            ("smtp.url", sandbox.mail.smtp_url()),
        ];
        let config = config(given, &own)?;
        // A second initialisation in the same process only happens in tests, and does no harm.
        let telemetry = telemetry::init(&config, "portico-demo", clock.new_id()).ok();
        let bus = wiring::bus(&config, &ServiceName::ALL).await?;
        let app = App::start_at(listeners, bus, config, clock, shutdown.clone()).await?;
        Ok(Self {
            app,
            telemetry,
            data_dir,
            sandbox,
            shutdown,
        })
    }

    /// Stops everything and removes the temporary folder.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.app.drain(std::time::Duration::from_secs(5)).await;
        self.sandbox.stop().await;
        if let Some(telemetry) = self.telemetry {
            telemetry.flush().await;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.data_dir) {
            tracing::warn!(folder = %self.data_dir.display(), %error, "temporary folder not removed");
        }
    }

    /// Where the portal keeps its data until it is stopped.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.data_dir
    }

    /// Of the pages and the REST API.
    pub fn portal_url(&self) -> String {
        format!("http://{}", self.app.rest_address)
    }

    /// Of the public gRPC API.
    pub fn grpc_address(&self) -> SocketAddr {
        self.app.grpc_address
    }

    /// Of the mail catcher's page.
    pub fn mail_url(&self) -> String {
        self.sandbox.mail.url()
    }

    /// Of the gateway; its APIs are below it.
    pub fn gateway_url(&self) -> String {
        self.sandbox.gateway.url()
    }

    /// Base URL of the sandbox identity provider.
    pub fn identity_provider_url(&self) -> String {
        self.sandbox.identity_provider.url()
    }

    /// OpenID Connect Discovery document of the identity provider.
    pub fn well_known_url(&self) -> String {
        self.sandbox.identity_provider.well_known_url()
    }

    /// API keys at the gateway now.
    pub fn key_count(&self) -> usize {
        self.sandbox.gateway.key_hashes().len()
    }

    /// The gateway's control secret.
    pub fn gateway_secret(&self) -> &str {
        self.sandbox.gateway.secret()
    }

    /// Clients at the identity provider now.
    pub fn client_count(&self) -> usize {
        self.sandbox.identity_provider.client_count()
    }

    /// The mail catcher.
    pub fn mail(&self) -> &mail::Handle {
        &self.sandbox.mail
    }
}

fn address(check: bool, port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if !check && std::net::TcpListener::bind(wanted).is_ok() {
        wanted
    } else {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    }
}

/// What the demo has itself. An address where the demo would like to listen is used unless another one is configured.
fn own_settings(check: bool, data_dir: &std::path::Path) -> OwnSettings {
    let text = |text: &str| text.to_owned();
    OwnSettings {
        command: "portico demo",
        defaults: vec![
            ("listen", address(check, PORTAL).to_string()),
            ("grpc.listen", address(check, GRPC).to_string()),
            ("mail.from", text("Portico <portico@example.org>")),
            ("log.level", text("error")),
        ],
        fixed: vec![
            ("data_dir", data_dir.display().to_string()),
            ("admin.email", text(seed::ADMIN_EMAIL)),
            ("admin.password", text(seed::ADMIN_PASSWORD)),
            ("allow_private_addresses", text("localhost")),
            // The developer of the example signs up.
            ("signup", text("open")),
            ("smtp.url", String::new()),
            ("database.url", String::new()),
            ("nats.url", String::new()),
        ],
        known: Vec::new(),
    }
}

fn config(given: &Given, own: &OwnSettings) -> Result<Config, String> {
    let config = Config::with_own(given.file.as_deref(), given.variables.iter().cloned(), own);
    config.map_err(|errors| errors.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], file: Option<PathBuf>) -> Result<Config, String> {
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let given = Given {
            file,
            variables: variables.collect(),
        };
        config(
            &given,
            &own_settings(true, std::path::Path::new("/tmp/demo")),
        )
    }

    #[test]
    fn what_is_configured_holds() {
        let config = of(
            &[
                ("PORTICO_LISTEN", "127.0.0.1:34999"),
                ("PORTICO_LOG_LEVEL", "debug"),
            ],
            None,
        )
        .unwrap();
        assert_eq!(config.listen.port(), 34_999);
        assert_eq!(config.log.level, "debug");
        assert_eq!(of(&[], None).unwrap().log.level, "error");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portico.toml");
        std::fs::write(&file, "listen = '127.0.0.1:34998'\n").unwrap();
        assert_eq!(of(&[], Some(file)).unwrap().listen.port(), 34_998);
    }

    #[test]
    fn what_the_demo_has_itself_is_refused() {
        for variable in [
            "PORTICO_DATA_DIR",
            "PORTICO_ADMIN_EMAIL",
            "PORTICO_ADMIN_PASSWORD",
            "PORTICO_ALLOW_PRIVATE_ADDRESSES",
            "PORTICO_SIGNUP",
            "PORTICO_SMTP_URL",
            "PORTICO_DATABASE_URL",
            "PORTICO_NATS_URL",
        ] {
            let refused = of(&[(variable, "x")], None).unwrap_err();
            assert!(
                refused.contains("cannot be set for `portico demo`"),
                "{refused}"
            );
            assert!(refused.contains(variable), "{refused}");
        }
    }

    #[test]
    fn a_file_that_is_wrong_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portico.toml");
        assert!(of(&[], Some(file.clone())).is_err(), "it is not there");
        std::fs::write(&file, "nonsense").unwrap();
        assert!(of(&[], Some(file)).is_err());
    }
}
