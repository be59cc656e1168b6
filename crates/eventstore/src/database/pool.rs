//! The connections of a process to a service's database.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, any::AnyPoolOptions};

use super::Dialect;

/// A connection that was idle for so long is asked whether it is there before it is used.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// How many connections a process opens to the database of one service in PostgreSQL, and for what it waits how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// At most; 2 at least, for a rebuild reads the log beside its transaction.
    pub max_connections: u32,
    /// For a connection: for one of these, or for the server to take another one. Of a SQLite file, too.
    pub connection_wait: Duration,
    /// For what other transactions have locked, for each statement.
    pub lock_wait: Duration,
    /// After this long the server ends the transaction of a process that stopped in the middle of it.
    pub idle_in_transaction: Duration,
}

impl Default for PoolSettings {
    /// 5 connections; 5, 10 and 15 seconds.
    fn default() -> Self {
        Self {
            max_connections: 5,
            connection_wait: Duration::from_secs(5),
            lock_wait: Duration::from_secs(10),
            idle_in_transaction: Duration::from_secs(15),
        }
    }
}

impl PoolSettings {
    /// Connections to a SQLite file.
    pub const TO_A_FILE: u32 = 4;

    pub(super) fn options(self, dialect: Dialect, schema: &str, service: &str) -> AnyPoolOptions {
        let setup: Arc<str> = match dialect {
            Dialect::Sqlite => SETUP_SQLITE.into(),
            Dialect::Postgres => self.setup(schema, service).into(),
        };
        AnyPoolOptions::new()
            .max_connections(match dialect {
                Dialect::Sqlite => Self::TO_A_FILE,
                Dialect::Postgres => self.max_connections,
            })
            .min_connections(0)
            .acquire_timeout(self.connection_wait)
            .idle_timeout(Duration::from_mins(5))
            // A server may have hung up on a connection that was idle. Asking it each time would double the round trips,
            // and a file does not hang up.
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

    /// A frozen holder of a lock does not stop the others for ever, and a process that stops in the middle of a
    /// transaction loses it.
    fn setup(self, schema: &str, service: &str) -> String {
        format!(
            "SET application_name = 'portico-{service}'; SET search_path TO {schema}; SET lock_timeout = {}; \
             SET default_transaction_isolation = 'read committed'; \
             SET idle_in_transaction_session_timeout = {}",
            self.lock_wait.as_millis(),
            self.idle_in_transaction.as_millis()
        )
    }
}

const SETUP_SQLITE: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; \
                            PRAGMA foreign_keys = ON; PRAGMA cache_size = -2000; PRAGMA temp_store = MEMORY";

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use crate::Database;

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
