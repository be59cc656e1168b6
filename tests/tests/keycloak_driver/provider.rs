//! A real Keycloak and what the driver is called with.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portico_registration::providers::discovery::{Overrides, discover};
use portico_registration::providers::session::Fetch;
use portico_registration::providers::{
    ChosenIds, Driver, Endpoints, Failure, KnownClient, Management, Marker, Method, Options,
    ProviderType, RawAnswer, RegisteredClient, Session, Spool, SpoolError, WantedClient,
    driver_for,
};
use portico_runtime::clock::Clock;
use portico_runtime::outgoing::address::AllowEntry;
use portico_runtime::outgoing::{Outgoing, OutgoingSettings};
use portico_tests::keycloak::Keycloak;
use portico_vault::Secret;

/// Remembers what passed through, or loses it as a killed process would.
#[derive(Default)]
pub struct Kept(pub Mutex<Vec<RawAnswer>>);

#[async_trait]
impl Spool for Kept {
    async fn keep(&self, answer: &RawAnswer) -> Result<(), SpoolError> {
        self.0.lock().unwrap().push(answer.clone());
        Ok(())
    }
}

pub struct Provider {
    pub keycloak: Keycloak,
    pub endpoints: Endpoints,
    pub outgoing: Outgoing,
    pub initial: Option<Secret>,
    pub management: Option<Management>,
    pub options: Options,
    pub kept: Kept,
}

impl Provider {
    pub async fn start() -> Self {
        let keycloak = Keycloak::start().await;
        let allow: AllowEntry = "127.0.0.1".parse().unwrap();
        let outgoing = Outgoing::new(OutgoingSettings {
            allow: Arc::new([allow].into_iter().collect()),
            ..OutgoingSettings::default()
        });
        let fetch = Fetch {
            outgoing: &outgoing,
            skip_tls_verify: false,
            trusted_certificates: "",
        };
        let endpoints = discover(fetch, &keycloak.well_known_url(), Overrides::default())
            .await
            .unwrap();
        let initial = Some(Secret::new(keycloak.initial_access_token(100).await));
        let (management, kept) = (None, Kept::default());
        Self {
            keycloak,
            endpoints,
            outgoing,
            initial,
            management,
            options: Options::default(),
            kept,
        }
    }

    pub fn fetch(&self) -> Fetch<'_> {
        Fetch {
            outgoing: &self.outgoing,
            skip_tls_verify: false,
            trusted_certificates: "",
        }
    }

    pub fn session(&self) -> Session<'_> {
        Session {
            fetch: self.fetch(),
            endpoints: &self.endpoints,
            method: match (&self.initial, &self.management) {
                (Some(_), _) => Method::InitialAccessToken,
                (None, Some(_)) => Method::ClientCredentials,
                (None, None) => Method::None,
            },
            options: &self.options,
            token: self.initial.as_ref(),
            management: self.management.as_ref(),
            software_statement: None,
            client_secrets: Vec::new(),
            spool: &self.kept,
            deadline: Duration::from_secs(20),
        }
    }

    pub fn give_management(&mut self) {
        let (id, secret) = self.keycloak.management();
        self.management = Some(Management {
            client_id: id.into(),
            client_secret: Secret::new(secret),
        });
    }

    pub async fn register(
        &self,
        wanted: &WantedClient,
        ids: &ChosenIds,
    ) -> Result<RegisteredClient, Failure> {
        let prepared = driver().prepare(self.session().site(), wanted, ids)?;
        driver().register(&self.session(), &prepared).await
    }

    pub async fn registered(&self, scopes: &[&str]) -> KnownClient {
        let registered = self.register(&wanted(scopes), &ids()).await.unwrap();
        registered.into_known(set(scopes))
    }

    /// The scopes that a token of the client carries, or the error.
    pub async fn token(
        &self,
        client: &KnownClient,
        scope: &str,
    ) -> Result<BTreeSet<String>, String> {
        let secret = client.client_secret.as_ref().unwrap().expose();
        let (status, body) = self.keycloak.token(&client.client_id, secret, scope).await;
        if status != 200 {
            return Err(format!(
                "{status} {}",
                body["error"].as_str().unwrap_or_default()
            ));
        }
        let scope = body["scope"].as_str().unwrap_or_default();
        Ok(scope.split_whitespace().map(str::to_owned).collect())
    }
}

pub fn driver() -> &'static dyn Driver {
    driver_for(&ProviderType::new("keycloak"))
}

pub fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

pub fn wanted(scopes: &[&str]) -> WantedClient {
    WantedClient {
        name: "Weather app".into(),
        redirect_uris: Vec::new(),
        grant_types: set(&["client_credentials"]),
        response_types: BTreeSet::new(),
        token_endpoint_auth_method: "client_secret_basic".into(),
        scopes: set(scopes),
        okta_application_type: String::new(),
        marker: Marker {
            id: Clock::system().new_id().to_string(),
            attempt: 1,
        },
        erased: false,
    }
}

pub fn ids() -> ChosenIds {
    ChosenIds {
        client_id: Clock::system().new_id().to_string(),
        client_secret: Secret::new(format!(
            "{}{}",
            Clock::system().new_id().simple(),
            Clock::system().new_id().simple()
        )),
    }
}

pub const PAYMENTS: &str = "product_payments free_plan";
