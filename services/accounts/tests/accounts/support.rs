//! One installation of accounts in a folder of its own, and the people who call it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use portico_bus::memory::MemoryBus;
use portico_eventstore::EventStore;
use portico_proto::{
    Error,
    accounts::v1::{
        AuthenticateRequest, AuthenticateResponse, CreateSessionRequest, CreateSessionResponse,
        SignUpRequest, User, accounts_service_client::AccountsServiceClient,
    },
};
use portico_runtime::{
    Caller, Channels, Clock, Config, Deps, IDEMPOTENCY_KEY, IdentityKey, Outgoing, Role, Service,
    ServiceChannel, ServiceName, clock::ManualTime,
};
use portico_trials::Postgres;
use portico_vault::Kek;
use sqlx::{AnyPool, AssertSqlSafe, Row as _};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, metadata::MetadataValue};

pub(crate) const KEK: &str = "3q2+78r+ur4BAgMEBQYHCAkKCwwNDg8QERITFBUWFxg=";
pub(crate) const ADMIN: &str = "root@example.org";
pub(crate) const PASSWORD: &str = "correct horse battery";
const START: &str = "2026-01-01T00:00:00Z";

/// Where a world keeps its data.
pub(crate) enum Place {
    Sqlite,
    Postgres,
}

/// Makes of every function a test on SQLite and one on PostgreSQL.
macro_rules! on_every_database {
    ($($test:ident),+ $(,)?) => {{
        use portico_trials::{POSTGRESQL, multi};
        let mut trials = Vec::new();
        $(
            let name = stringify!($test);
            let test = || $test(Place::Sqlite);
            trials.push(Trial::new(module_path!(), &format!("sqlite::{name}"), &[], multi(test)));
            let test = || $test(Place::Postgres);
            trials.push(Trial::new(module_path!(), &format!("postgres::{name}"), &[POSTGRESQL], multi(test)));
        )+
        trials
    }};
}
pub(crate) use on_every_database;

/// A running service.
pub(crate) struct World {
    pub(crate) folder: Arc<TempDir>,
    database_url: Option<String>,
    variables: Vec<(&'static str, &'static str)>,
    pub(crate) deps: Deps,
    pub(crate) time: ManualTime,
    pub(crate) store: EventStore,
    /// Background work that did not begin.
    pub(crate) service: Service,
}

impl World {
    /// With a first admin and open sign-up.
    pub(crate) async fn start(place: &Place) -> Self {
        Self::with(place, &[]).await
    }

    /// With a first admin and these settings.
    pub(crate) async fn with(place: &Place, settings: &[(&'static str, &'static str)]) -> Self {
        let mut variables = vec![
            ("PORTICO_ADMIN_EMAIL", ADMIN),
            ("PORTICO_ADMIN_PASSWORD", PASSWORD),
        ];
        variables.extend(settings);
        Self::bare(place, &variables).await
    }

    /// With these settings only.
    pub(crate) async fn bare(place: &Place, variables: &[(&'static str, &'static str)]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let database_url = match place {
            Place::Sqlite => None,
            Place::Postgres => Some(Postgres::shared_database().await),
        };
        Self::open(folder, database_url, variables.to_vec()).await
    }

    /// Another process on the same data, with the same settings: a restart, or a replica.
    pub(crate) async fn again(&self) -> Self {
        self.again_with(self.variables.clone()).await
    }

    /// Another process on the same data, with other settings.
    pub(crate) async fn again_with(&self, variables: Vec<(&'static str, &'static str)>) -> Self {
        let folder = Arc::clone(&self.folder);
        Self::open(folder, self.database_url.clone(), variables).await
    }

    async fn open(
        folder: Arc<TempDir>,
        database_url: Option<String>,
        variables: Vec<(&'static str, &'static str)>,
    ) -> Self {
        let path = folder.path().to_str().unwrap().to_owned();
        let own = [("PORTICO_DATA_DIR", path), ("PORTICO_KEK", KEK.to_owned())];
        let given = variables.iter().map(|(n, v)| (*n, (*v).to_owned()));
        let database = database_url
            .clone()
            .map(|url| ("PORTICO_DATABASE_URL", url));
        let all = own.into_iter().chain(given).chain(database);
        let config = Config::from_parts(None, all).unwrap();
        let (clock, time) = Clock::manual(START.parse::<Timestamp>().unwrap());
        let kek = Kek::from_base64(KEK).unwrap();
        let deps = Deps {
            outgoing: Outgoing::new(config.outgoing.clone()),
            config: Arc::new(config),
            identity: IdentityKey::new(&kek.derive("identity"), clock.clone()),
            process: clock.new_id(),
            clock,
            bus: Arc::new(MemoryBus::new()),
            channels: Channels::local(),
            kek: kek.into(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        };
        let service = portico_accounts::start(&deps).await.unwrap();
        deps.channels
            .provide(ServiceName::Accounts, service.router.clone());
        Self {
            folder,
            database_url,
            variables,
            deps,
            time,
            store: service.store.clone(),
            service,
        }
    }

    pub(crate) fn client(&self) -> AccountsServiceClient<ServiceChannel> {
        AccountsServiceClient::new(self.deps.channels.to(ServiceName::Accounts))
    }

    pub(crate) fn pool(&self) -> &AnyPool {
        self.store.database().pool()
    }

    pub(crate) fn request<T>(&self, caller: &Caller, message: T) -> Request<T> {
        self.deps.identity.request(caller, message)
    }

    /// With an idempotency key.
    pub(crate) fn keyed<T>(&self, caller: &Caller, key: &str, message: T) -> Request<T> {
        let mut request = self.request(caller, message);
        let value = MetadataValue::try_from(key).unwrap();
        request.metadata_mut().insert(IDEMPOTENCY_KEY, value);
        request
    }

    pub(crate) async fn sign_up(&self, name: &str, email: &str) -> Result<User, Error> {
        self.sign_up_from(name, email, "").await
    }

    pub(crate) async fn sign_up_from(
        &self,
        name: &str,
        email: &str,
        address: &str,
    ) -> Result<User, Error> {
        let message = SignUpRequest {
            name: name.into(),
            email: email.into(),
            password: PASSWORD.into(),
            remote_address: address.into(),
        };
        let answer = self.client().sign_up(message).await;
        Ok(answer?.into_inner())
    }

    pub(crate) async fn sign_in(&self, email: &str) -> Result<CreateSessionResponse, Error> {
        self.sign_in_with(email, PASSWORD, "").await
    }

    pub(crate) async fn sign_in_with(
        &self,
        email: &str,
        password: &str,
        address: &str,
    ) -> Result<CreateSessionResponse, Error> {
        self.sign_in_from(email, password, address, "").await
    }

    /// From a network address and a device.
    pub(crate) async fn sign_in_from(
        &self,
        email: &str,
        password: &str,
        address: &str,
        device: &str,
    ) -> Result<CreateSessionResponse, Error> {
        let message = CreateSessionRequest {
            email: email.into(),
            password: password.into(),
            remote_address: address.into(),
            device: device.into(),
        };
        let answer = self.client().create_session(message).await;
        Ok(answer?.into_inner())
    }

    pub(crate) async fn authenticate(&self, token: &str) -> Result<AuthenticateResponse, Error> {
        let message = AuthenticateRequest {
            token: token.into(),
        };
        let request = self.request(&Caller::service("edge"), message);
        Ok(self.client().authenticate(request).await?.into_inner())
    }

    /// The first admin, signed in and authenticated as the edge does it.
    pub(crate) async fn admin(&self) -> Caller {
        let token = self.sign_in(ADMIN).await.unwrap().token;
        let identity = self.authenticate(&token).await.unwrap().identity;
        self.deps.identity.verify(&identity).unwrap()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.time.advance(Duration::from_secs(seconds));
    }

    /// Every row of a table, in order.
    pub(crate) async fn rows(&self, table: &str, columns: &[&str]) -> Vec<Vec<String>> {
        let cast: Vec<_> = columns
            .iter()
            .map(|c| format!("CAST({c} AS TEXT)"))
            .collect();
        let sql = format!("SELECT {} FROM {table} ORDER BY 1", cast.join(", "));
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(self.pool())
            .await
            .unwrap();
        rows.iter()
            .map(|row| (0..columns.len()).map(|n| row.get(n)).collect())
            .collect()
    }
}

pub(crate) fn developer(user: &User) -> Caller {
    Caller::User {
        id: user.id.parse().unwrap(),
        role: Role::Developer,
        let_in: false,
    }
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, impl Into<Error>>) -> String {
    result.unwrap_err().into().code.to_string()
}
