//! The servers of the demo, each on 127.0.0.1.

use std::net::{Ipv4Addr, SocketAddr};

use portico_runtime::{Clock, Config, telemetry};
use portico_sandbox::{
    echo,
    gateway::{self, seed as gateway_seed},
    identity_provider, mail,
};
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

/// Everything that the demo started.
pub struct World {
    app: App,
    data_dir: std::path::PathBuf,
    identity_provider: identity_provider::Handle,
    gateway: gateway::Handle,
    echo: echo::Handle,
    mail: mail::Handle,
    shutdown: CancellationToken,
}

impl World {
    /// Starts the sandbox, then the portal. A check takes free ports, so that it does not meet a running demo.
    ///
    /// # Errors
    /// What could not be started, for a person.
    pub async fn start(check: bool, shutdown: CancellationToken) -> Result<Self, String> {
        let words = |error: portico_sandbox::StartError| error.to_string();
        let echo = echo::start(echo::Settings::default())
            .await
            .map_err(words)?;
        let identity_provider = identity_provider::start(identity_provider::Settings {
            listen: address(check, IDENTITY_PROVIDER),
            scopes: seed::SCOPES.map(str::to_owned).to_vec(),
            initial_access_token: Some(INITIAL_ACCESS_TOKEN.to_owned()),
            ..identity_provider::Settings::default()
        })
        .await
        .map_err(words)?;
        let mut apis = vec![gateway_seed::no_operation_api()];
        apis.extend(
            seed::APIS.map(|(id, name, path)| gateway_seed::api(id, name, path, &echo.url())),
        );
        let (id, name, path) = seed::KEY_API;
        apis.push(gateway_seed::key_api(id, name, path, &echo.url()));
        let gateway = gateway::start(gateway::Settings {
            listen: address(check, GATEWAY),
            apis,
            policies: vec![gateway_seed::no_operation_policy()],
            ..gateway::Settings::default()
        })
        .await
        .map_err(words)?;
        let mail = mail::start(mail::Settings {
            page_listen: address(check, MAIL),
            ..mail::Settings::default()
        })
        .await
        .map_err(words)?;
        let clock = Clock::system();
        let data_dir = std::env::temp_dir().join(format!("portico-demo-{}", clock.new_id()));
        // Taken before they are named: links in mails need them, and somebody else might take them in between.
        let listeners = EdgeListeners::bind(address(check, PORTAL), address(check, GRPC)).await?;
        let config = config(&data_dir, &mail.smtp_url(), listeners.addresses()?)?;
        // A second initialisation in the same process only happens in tests, and does no harm.
        let _ = telemetry::init_log(&config.log);
        let bus = wiring::bus(&config, wiring::WHOLE).await?;
        let app = App::start_at(listeners, bus, config, clock, shutdown.clone()).await?;
        Ok(Self {
            app,
            data_dir,
            identity_provider,
            gateway,
            echo,
            mail,
            shutdown,
        })
    }

    /// Stops everything and removes the temporary folder.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.app.drain(std::time::Duration::from_secs(5)).await;
        self.mail.stop().await;
        self.gateway.stop().await;
        self.identity_provider.stop().await;
        self.echo.stop().await;
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
        self.mail.url()
    }

    /// Of the gateway; its APIs are below it.
    pub fn gateway_url(&self) -> String {
        self.gateway.url()
    }

    /// Base URL of the sandbox identity provider.
    pub fn identity_provider_url(&self) -> String {
        self.identity_provider.url()
    }

    /// OpenID Connect Discovery document of the identity provider.
    pub fn well_known_url(&self) -> String {
        self.identity_provider.well_known_url()
    }

    /// API keys at the gateway now.
    pub fn key_count(&self) -> usize {
        self.gateway.key_hashes().len()
    }

    /// The gateway's control secret.
    pub fn gateway_secret(&self) -> &str {
        self.gateway.secret()
    }

    /// Clients at the identity provider now.
    pub fn client_count(&self) -> usize {
        self.identity_provider.client_count()
    }

    /// The mail catcher.
    pub fn mail(&self) -> &mail::Handle {
        &self.mail
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

fn config(
    data_dir: &std::path::Path,
    smtp_url: &str,
    (rest, grpc): (SocketAddr, SocketAddr),
) -> Result<Config, String> {
    let variables = [
        ("PORTICO_DATA_DIR", data_dir.display().to_string()),
        ("PORTICO_LISTEN", rest.to_string()),
        ("PORTICO_GRPC_LISTEN", grpc.to_string()),
        ("PORTICO_ADMIN_EMAIL", seed::ADMIN_EMAIL.to_owned()),
        ("PORTICO_ADMIN_PASSWORD", seed::ADMIN_PASSWORD.to_owned()),
        ("PORTICO_SMTP_URL", smtp_url.to_owned()),
        (
            "PORTICO_MAIL_FROM",
            "Portico <portico@example.org>".to_owned(),
        ),
        ("PORTICO_ALLOW_PRIVATE_ADDRESSES", "localhost".to_owned()),
        (
            "PORTICO_LOG_LEVEL",
            std::env::var("PORTICO_LOG_LEVEL").unwrap_or_else(|_| "error".to_owned()),
        ),
    ];
    Config::from_parts(None, variables).map_err(|errors| errors.to_string())
}
