//! A SQLite file or a PostgreSQL schema: opened, migrated, copied.

pub mod backup;
mod migrations;

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use migrations::Runner;
pub use migrations::{Migrations, migrator};
use sqlx::{
    AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _, Row as _,
    any::{AnyPoolOptions, install_default_drivers},
    migrate::Migrator,
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
    /// Where a SQLite file is.
    file: Option<Arc<str>>,
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

/// How long a statement waits for other processes' locks in PostgreSQL; in SQLite it is the busy timeout.
const LOCK_TIMEOUT: &str = "10s";
/// After this long PostgreSQL ends the transaction of a process that stopped in the middle of it.
const IDLE_TIMEOUT: &str = "15s";

/// A connection that was idle for so long is asked whether it is there before it is used.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

static EVENTS: Migrations = crate::migrations!["migrations/0001_events.sql"];
/// SQLite has no functions, and needs none: it is in the process.
static FUNCTIONS: Migrations = crate::migrations!["functions/0002_append.sql"];

impl Database {
    /// Of the pool of one service, on either database.
    pub const MOST_CONNECTIONS: u32 = 10;

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
        Self::migrate(url, service, migrations)
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
        install_default_drivers();
        let location = Location::of(url, service)?;
        if location.dialect == Dialect::Postgres {
            create_schema(url, &location.schema).await?;
        }
        let all = all(location.dialect, migrations);
        let database = Self::connect(url, &location, service, &all).await?;
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
    ) -> Result<Self, DatabaseError> {
        let location = Location::of(url, service)?;
        let all = all(location.dialect, migrations);
        let database = Self::connect(url, &location, service, &all).await?;
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
    ) -> Result<Self, DatabaseError> {
        install_default_drivers();
        let dialect = location.dialect;
        let known = all.iter().flat_map(|migrator| migrator.iter());
        let pool = pool_options(dialect, &location.schema).connect(url).await?;
        Ok(Self {
            pool,
            service: service.into(),
            file: (dialect == Dialect::Sqlite).then(|| url.into()),
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
        self.is_alone = self.file.is_some();
        self
    }

    /// Name of the service that it belongs to.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Where it is, if it is a SQLite file, which belongs to one process.
    pub(crate) fn file(&self) -> Option<&Arc<str>> {
        self.file.as_ref()
    }

    /// Number of pending migrations, as after the restore of an older backup; for readiness.
    pub async fn pending_migrations(&self) -> sqlx::Result<usize> {
        let rows = sqlx::query("SELECT version FROM _sqlx_migrations")
            .fetch_all(&self.pool)
            .await?;
        let done: HashSet<i64> = rows
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
        let pending = self.migrations.iter().filter(|one| !done.contains(one));
        Ok(pending.count())
    }

    /// Whether it answers; for readiness.
    pub async fn check(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1")
            .execute(&self.pool)
            .await
            .map(|_| ())
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

fn pool_options(dialect: Dialect, schema: &str) -> AnyPoolOptions {
    let setup: Arc<str> = match dialect {
        Dialect::Sqlite => "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; \
                            PRAGMA foreign_keys = ON; PRAGMA cache_size = -2000; PRAGMA temp_store = MEMORY"
            .into(),
        // A frozen holder of a lock does not stop the others for ever, and a process that stops in the middle of a
        // transaction loses it.
        Dialect::Postgres => format!(
            "SET search_path TO {schema}; SET lock_timeout = '{LOCK_TIMEOUT}'; \
             SET default_transaction_isolation = 'read committed'; \
             SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT}'"
        )
        .into(),
    };
    AnyPoolOptions::new()
        .max_connections(match dialect {
            Dialect::Sqlite => 4,
            Dialect::Postgres => Database::MOST_CONNECTIONS,
        })
        .min_connections(0)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(Duration::from_secs(300))
        // A server may have hung up on a connection that was idle. Asking it each time would double the round trips, and
        // a file does not hang up.
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            Box::pin(async move {
                if dialect == Dialect::Postgres && meta.idle_for >= ASKED_AGAIN {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            let setup = setup.to_string();
            Box::pin(async move { connection.execute(AssertSqlSafe(setup)).await.map(|_| ()) })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                // SQLite ends a transaction by itself where a write fails, as on a full disk. The driver's own
                // rollback fails then and is not counted, so the connection could never begin another one.
                if connection.is_in_transaction() {
                    connection.ping().await?;
                }
                Ok(!connection.is_in_transaction())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_spoils_no_connection() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::sqlite(folder.path(), "test", &[]).await.unwrap();
        for _ in 0..8 {
            let mut tx = database.pool().begin().await.unwrap();
            for done in [true, false] {
                let result = sqlx::query(
                    "INSERT OR ROLLBACK INTO leases (name, owner, expires_at_ms) VALUES ('a', 'b', 0)",
                )
                .execute(&mut *tx)
                .await;
                assert_eq!(result.is_ok(), done);
            }
            drop(tx);
            let mut connection = database.pool().acquire().await.unwrap();
            let tx = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
            tx.rollback().await.unwrap();
        }
    }
}
