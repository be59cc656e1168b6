//! A SQLite file or a PostgreSQL schema: opened, migrated, copied.

pub mod backup;
mod migrations;
mod pool;
mod ready;
mod time;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use migrations::Runner;
pub use migrations::{Migrations, migrator};
pub use pool::PoolSettings;
pub use ready::NotReady;
use sqlx::{
    AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _,
    any::install_default_drivers, migrate::Migrator,
};

/// Which database it is, for the few statements that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// A service's own database: a SQLite file, or a schema in PostgreSQL.
#[derive(Clone)]
pub struct Database {
    pool: AnyPool,
    /// Name of the service that owns it.
    service: Arc<str>,
    url: Arc<str>,
    /// The last append could not be written.
    failing: Arc<AtomicBool>,
    /// Held by who asks for a connection beside the pool.
    asking: Arc<tokio::sync::Mutex<()>>,
    /// Versions of the migrations that this program knows.
    migrations: Arc<[i64]>,
    pub(crate) dialect: Dialect,
    /// Key of the advisory lock under which events are appended.
    pub(crate) lock_key: i64,
    /// Nobody else writes to it.
    pub(crate) is_alone: bool,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Neither `sqlite:` nor `postgres:`.
    #[error("database URL must begin with sqlite: or postgres:")]
    UnknownScheme,
    /// Not reachable, or refused.
    #[error("database: {0}")]
    Sqlx(#[from] sqlx::Error),
    /// A migration failed.
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Migrations are pending, and this process is not to run them.
    #[error("{service}: migrations are pending: {}; run `portico migrate`", .pending.join(", "))]
    Pending {
        /// Name of the service that owns the database.
        service: String,
        /// Number and name of each.
        pending: Vec<String>,
    },
    /// The checksum of a migration that has run differs from this program's.
    #[error(
        "{service}: migration {migration} was changed after it ran here; run the version of Portico that made this \
         database, or bring its migration back, and change the database by a new one"
    )]
    Changed {
        /// Name of the service that owns the database.
        service: String,
        /// Version of the migration that differs from the one that has run.
        migration: i64,
    },
    /// A newer program has removed what this one needs.
    #[error(
        "{service}: a newer version of Portico has run migration {migration}, which only versions with migration \
         {needed} can work with; run such a version"
    )]
    Newer {
        /// Name of the service that owns the database.
        service: String,
        /// Version of the migration that the newer program has run.
        migration: i64,
        /// The migration that a program must know at least.
        needed: i64,
    },
}

static EVENTS: Migrations = crate::migrations!["migrations/0001_events.sql"];
/// SQLite has no functions, and needs none: it is in the process.
static FUNCTIONS: Migrations = crate::migrations!["functions/0002_append.sql"];

impl Database {
    /// Opens or creates `<folder>/<service>.db`: WAL, `synchronous=FULL`.
    pub async fn sqlite(
        folder: &Path,
        service: &str,
        migrations: &[&Migrator],
    ) -> Result<Self, DatabaseError> {
        let file = folder.join(format!("{service}.db"));
        Self::open(
            &format!("sqlite://{}?mode=rwc", file.display()),
            service,
            migrations,
        )
        .await
    }

    /// Opens the schema `portico_<service>` of a PostgreSQL database, or the SQLite file of a `sqlite:` URL, and
    /// runs the migrations: the event store's, then the given ones. Version numbers must not overlap: 1 to 99
    /// event store, 101 to 199 vault, from 1001 the services.
    pub async fn open(
        url: &str,
        service: &str,
        migrations: &[&Migrator],
    ) -> Result<Self, DatabaseError> {
        Self::open_with(url, service, migrations, PoolSettings::default()).await
    }

    /// As [`Database::open`], with other connections than usual.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_with(
        url: &str,
        service: &str,
        migrations: &[&Migrator],
        pool: PoolSettings,
    ) -> Result<Self, DatabaseError> {
        Self::migrate_with(url, service, migrations, pool)
            .await
            .map(|(database, _)| database)
    }

    /// As [`Database::open`]; also returns the migrations that were pending.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn migrate(
        url: &str,
        service: &str,
        migrations: &[&Migrator],
    ) -> Result<(Self, Vec<String>), DatabaseError> {
        Self::migrate_with(url, service, migrations, PoolSettings::default()).await
    }

    async fn migrate_with(
        url: &str,
        service: &str,
        migrations: &[&Migrator],
        pool: PoolSettings,
    ) -> Result<(Self, Vec<String>), DatabaseError> {
        install_default_drivers();
        let location = Location::of(url, service)?;
        if location.dialect == Dialect::Postgres {
            create_schema(url, &location.schema).await?;
        }
        let all = all(location.dialect, migrations);
        let database = Self::connect(url, &location, service, &all, pool).await?;
        let ran = location.migrations(&database, service, &all).run().await?;
        Ok((database, ran))
    }

    /// As [`Database::open`], and changes nothing.
    ///
    /// # Errors
    /// [`DatabaseError::Pending`] where a migration has not run; otherwise as [`Database::open`].
    pub async fn open_as_it_is(
        url: &str,
        service: &str,
        migrations: &[&Migrator],
        pool: PoolSettings,
    ) -> Result<Self, DatabaseError> {
        let location = Location::of(url, service)?;
        let all = all(location.dialect, migrations);
        let database = Self::connect(url, &location, service, &all, pool).await?;
        let pending = location
            .migrations(&database, service, &all)
            .pending()
            .await?;
        if !pending.is_empty() {
            let service = service.to_owned();
            return Err(DatabaseError::Pending { service, pending });
        }
        Ok(database)
    }

    async fn connect(
        url: &str,
        location: &Location,
        service: &str,
        all: &[&Migrator],
        pool: PoolSettings,
    ) -> Result<Self, DatabaseError> {
        install_default_drivers();
        let dialect = location.dialect;
        let known = all.iter().flat_map(|migrator| migrator.iter());
        let pool = pool.options(dialect, &location.schema, service);
        Ok(Self {
            pool: pool.connect(url).await?,
            service: service.into(),
            url: url.into(),
            failing: Arc::default(),
            asking: Arc::default(),
            migrations: known.map(|migration| migration.version).collect(),
            dialect,
            lock_key: lock_key(&location.schema),
            is_alone: false,
        })
    }

    /// For queries and for tables beside the log.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// For the only process that writes to it, if it is a SQLite file: what that process remembers of a stream is the newest,
    /// and need not be asked for.
    #[must_use]
    pub fn of_one_process(mut self) -> Self {
        self.is_alone = self.file().is_some();
        self
    }

    /// Name of the service that it belongs to.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Where it is, if it is a SQLite file, which belongs to one process.
    pub(crate) fn file(&self) -> Option<&Arc<str>> {
        (self.dialect == Dialect::Sqlite).then_some(&self.url)
    }
}

/// Where a service's database is.
struct Location {
    dialect: Dialect,
    schema: String,
}

impl Location {
    fn of(url: &str, service: &str) -> Result<Self, DatabaseError> {
        let dialect = if url.starts_with("sqlite:") {
            Dialect::Sqlite
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Dialect::Postgres
        } else {
            return Err(DatabaseError::UnknownScheme);
        };
        let schema = format!("portico_{}", service.replace('-', "_"));
        Ok(Self { dialect, schema })
    }

    fn migrations<'a>(
        &'a self,
        database: &'a Database,
        service: &'a str,
        all: &'a [&'a Migrator],
    ) -> Runner<'a> {
        Runner {
            pool: &database.pool,
            dialect: self.dialect,
            schema: &self.schema,
            service,
            all,
        }
    }
}

fn all<'a>(dialect: Dialect, migrations: &[&'a Migrator]) -> Vec<&'a Migrator> {
    let mut all: Vec<&Migrator> = match dialect {
        Dialect::Sqlite => vec![&*EVENTS],
        Dialect::Postgres => vec![&*EVENTS, &*FUNCTIONS],
    };
    for migrator in migrations {
        // The vault's may be given twice.
        if !all.iter().any(|known| std::ptr::eq(*known, *migrator)) {
            all.push(migrator);
        }
    }
    all
}

/// The same text gives the same key in every process and version: FNV-1a.
fn lock_key(schema: &str) -> i64 {
    let hash = schema
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    i64::from_ne_bytes(hash.to_ne_bytes())
}

async fn create_schema(url: &str, schema: &str) -> sqlx::Result<()> {
    let mut connection = AnyConnection::connect(url).await?;
    // Two services or replicas may start at once; CREATE SCHEMA IF NOT EXISTS alone can then fail. It also asks for
    // the right to make schemas where there is nothing to be made.
    let statement = format!(
        "DO $$ BEGIN PERFORM pg_advisory_xact_lock({}); \
         IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = '{schema}') THEN \
         CREATE SCHEMA {schema}; END IF; END $$",
        lock_key("portico_schemas")
    );
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await
}
