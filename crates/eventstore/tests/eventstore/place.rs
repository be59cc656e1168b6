//! Where a store is: a SQLite file or a PostgreSQL database, each test with its own.

use std::{future::Future, sync::Arc, time::Duration};

use portico_eventstore::{
    Database, DatabaseError, EventStore, Migrations, PoolSettings,
    sqlx::{self, Row as _},
};
use portico_trials::Postgres;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::counter::{Folded, Totals};

static MIGRATIONS: Migrations =
    portico_eventstore::migrations!["tests/eventstore/migrations/1001_totals.sql"];

/// Far more than anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres(String),
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) async fn postgres() -> Self {
        Self::Postgres(Postgres::shared_database().await)
    }

    /// Opens the store as another process would: with connections and a writer of its own.
    pub(crate) async fn open(&self) -> EventStore {
        self.open_as("test").await
    }

    /// Opens the database and runs no migration.
    pub(crate) async fn open_as_it_is(&self) -> Result<Database, DatabaseError> {
        Database::open_as_it_is(&self.url(), "test", &[&MIGRATIONS], PoolSettings::default()).await
    }

    /// Opens the database with other connections than usual.
    pub(crate) async fn open_with(&self, pool: PoolSettings) -> Result<Database, DatabaseError> {
        Database::open_with(&self.url(), "test", &[&MIGRATIONS], pool).await
    }

    /// Opens the database, if that goes well.
    pub(crate) async fn try_open(&self) -> Result<Database, DatabaseError> {
        Database::open(&self.url(), "test", &[&MIGRATIONS]).await
    }

    fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => {
                let file = folder.path().join("test.db");
                format!("sqlite://{}?mode=rwc", file.display())
            }
            Self::Postgres(url) => url.clone(),
        }
    }

    /// As [`Place::open`], a service's own store.
    pub(crate) async fn open_as(&self, service: &str) -> EventStore {
        let migrations = [&*MIGRATIONS];
        let database = match self {
            Self::Sqlite(folder) => Database::sqlite(folder.path(), service, &migrations).await,
            Self::Postgres(url) => Database::open(url, service, &migrations).await,
        };
        EventStore::start(database.unwrap(), vec![Arc::new(Totals), Arc::new(Folded)])
            .await
            .unwrap()
    }
}

/// Makes of every function a test on SQLite and one on PostgreSQL.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {{
        use portico_trials::{POSTGRESQL, Trial, multi};
        use crate::place::Place;
        let mut trials = Vec::new();
        $(
            let name = stringify!($test);
            let test = || async { $test(Place::sqlite()).await };
            trials.push(Trial::new(module_path!(), &format!("sqlite::{name}"), &[], multi(test)));
            let test = || async { $test(Place::postgres().await).await };
            trials.push(Trial::new(module_path!(), &format!("postgres::{name}"), &[POSTGRESQL], multi(test)));
        )*
        trials
    }};
}
pub(crate) use on_every_database;

/// I1 of the invariants: as many events as the last position says.
pub(crate) async fn assert_gap_free(store: &EventStore) -> i64 {
    let row = sqlx::query("SELECT COUNT(*), COALESCE(MAX(position), 0) FROM events")
        .fetch_one(store.database().pool())
        .await
        .unwrap();
    let (count, max): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(count, max, "positions have gaps");
    count
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.expect("within the limit")
}

/// Asks again until it is so.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
