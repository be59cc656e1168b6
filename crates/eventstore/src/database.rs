//! Opening SQLite files and PostgreSQL schemas.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use sqlx::{
    AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _, Row as _,
    any::{AnyPoolOptions, install_default_drivers},
    migrate::Migrator,
};

/// Which of the two it is, where a statement truly differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// A service's own database: a SQLite file, or a schema in PostgreSQL.
#[derive(Clone)]
pub struct Database {
    pool: AnyPool,
    /// Whose it is.
    service: Arc<str>,
    /// Versions of the migrations that this program has.
    migrations: Arc<[i64]>,
    pub(crate) dialect: Dialect,
    /// Key of the advisory lock under which events are appended.
    pub(crate) lock_key: i64,
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
    /// A migration failed or was changed after it ran.
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

static EVENTS: Migrator = sqlx::migrate!("./migrations");

impl Database {
    /// Opens `<folder>/<service>.db`, made where it is not there: WAL, `synchronous=FULL`.
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
        install_default_drivers();
        let dialect = if url.starts_with("sqlite:") {
            Dialect::Sqlite
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Dialect::Postgres
        } else {
            return Err(DatabaseError::UnknownScheme);
        };
        let schema = format!("portico_{}", service.replace('-', "_"));
        if dialect == Dialect::Postgres {
            create_schema(url, &schema).await?;
        }
        let pool = pool_options(dialect, &schema).connect(url).await?;
        let mut versions = Vec::new();
        for migrator in [&EVENTS].into_iter().chain(migrations.iter().copied()) {
            versions.extend(migrator.iter().map(|migration| migration.version));
            let tolerant = Migrator {
                ignore_missing: true,
                ..copy_of(migrator)
            };
            tolerant.run(&pool).await?;
        }
        Ok(Self {
            pool,
            service: service.into(),
            migrations: versions.into(),
            dialect,
            lock_key: lock_key(&schema),
        })
    }

    /// For queries and for tables beside the log.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Name of the service that it belongs to.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// How many of this program's migrations it has not had, as after a backup of an older version was brought
    /// back; for readiness.
    pub async fn pending_migrations(&self) -> Result<usize, sqlx::Error> {
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
    pub async fn check(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1")
            .execute(&self.pool)
            .await
            .map(|_| ())
    }
}

fn copy_of(migrator: &Migrator) -> Migrator {
    Migrator {
        migrations: migrator.migrations.clone(),
        ..Migrator::DEFAULT
    }
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

async fn create_schema(url: &str, schema: &str) -> Result<(), sqlx::Error> {
    let mut connection = AnyConnection::connect(url).await?;
    // Two services or replicas may start at once; CREATE SCHEMA IF NOT EXISTS alone can then fail.
    let statement = format!(
        "DO $$ BEGIN PERFORM pg_advisory_xact_lock({}); CREATE SCHEMA IF NOT EXISTS {schema}; END $$",
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
        Dialect::Postgres => format!("SET search_path TO {schema}").into(),
    };
    AnyPoolOptions::new()
        .max_connections(match dialect {
            Dialect::Sqlite => 4,
            Dialect::Postgres => 10,
        })
        .min_connections(0)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(Duration::from_secs(300))
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
