//! Whether a database does its work, and why not.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use sqlx::{AnyConnection, Connection as _, Error, Row as _, pool::PoolConnection};
use tokio::time::timeout;

use super::Database;
use crate::StoreError;

/// For a connection of the pool, and then for one beside it.
const PATIENCE: Duration = Duration::from_millis(800);

/// Why a database does not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {cause}")]
pub struct NotReady {
    /// A stable code, which anybody may read.
    pub code: &'static str,
    /// In the words of the database, for the log.
    pub cause: String,
}

impl NotReady {
    fn of(error: &Error) -> Self {
        let code = match error {
            Error::Database(error) => error.code().and_then(|code| known(&code)),
            _ => None,
        };
        Self {
            code: code.unwrap_or("database_unavailable"),
            cause: error.to_string(),
        }
    }
}

/// Five characters are PostgreSQL's (appendix A of its manual), fewer SQLite's, whose low byte is the primary code.
fn known(code: &str) -> Option<&'static str> {
    match code {
        "53300" => Some("database_connections_used_up"),
        "53100" => Some("database_full"),
        "25006" => Some("database_read_only"),
        "57P03" => Some("database_starting"),
        "3D000" => Some("database_missing"),
        _ if code.len() == 5 => code.starts_with("28").then_some("database_refuses_login"),
        _ => match code.parse::<u32>().ok()? & 0xff {
            8 => Some("database_read_only"),
            13 => Some("database_full"),
            _ => None,
        },
    }
}

impl Database {
    /// Whether it answers, is as new as this program, and takes writes: where the last append failed, something is
    /// written. Waits for two seconds at most where no connection is to be had.
    ///
    /// # Errors
    /// Why not.
    pub async fn ready(&self) -> Result<(), NotReady> {
        let mut connection = self.connection().await?;
        let pending = self.pending_migrations(&mut connection).await;
        match pending.map_err(|error| NotReady::of(&error))? {
            0 => {}
            pending => {
                return Err(NotReady {
                    code: "migrations_pending",
                    cause: format!("{pending} migrations are pending"),
                });
            }
        }
        if self.failing.load(Ordering::Relaxed) {
            let written = sqlx::query(
                "INSERT INTO checkpoints (name, position) VALUES ('readiness', 1) \
                 ON CONFLICT (name) DO UPDATE SET position = checkpoints.position + 1",
            );
            let written = written.execute(&mut *connection).await;
            written.map_err(|error| NotReady::of(&error))?;
            self.failing.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The pool says only that it has waited, so the server is asked for a connection beside it.
    async fn connection(&self) -> Result<PoolConnection<sqlx::Any>, NotReady> {
        match timeout(PATIENCE, self.pool.acquire()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(Error::PoolTimedOut)) | Err(_) => {}
            Ok(Err(error)) => return Err(NotReady::of(&error)),
        }
        let busy = || NotReady {
            code: "database_connections_busy",
            cause: "all connections of this process are in use".to_owned(),
        };
        // One at a time: anybody may ask for readiness.
        let Ok(_alone) = self.asking.try_lock() else {
            return Err(busy());
        };
        Err(
            match timeout(PATIENCE, AnyConnection::connect(&self.url)).await {
                Ok(Err(error)) => NotReady::of(&error),
                Ok(Ok(connection)) => {
                    // It has told what it was for.
                    drop(connection.close().await);
                    busy()
                }
                Err(_) => NotReady {
                    code: "database_unavailable",
                    cause: "the database does not answer".to_owned(),
                },
            },
        )
    }

    /// Number of pending migrations, as after the restore of an older backup.
    async fn pending_migrations(&self, connection: &mut AnyConnection) -> sqlx::Result<usize> {
        let rows = sqlx::query("SELECT version FROM _sqlx_migrations")
            .fetch_all(connection)
            .await?;
        let done: HashSet<i64> = rows
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
        let pending = self.migrations.iter().filter(|one| !done.contains(one));
        Ok(pending.count())
    }

    /// Takes note of how an append went.
    pub(crate) fn written<T>(&self, result: &Result<T, StoreError>) {
        let failing = matches!(
            result,
            Err(StoreError::Unavailable(_) | StoreError::Database(_))
        );
        if failing || self.failing.load(Ordering::Relaxed) {
            self.failing.store(failing, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::known;

    #[test]
    fn reasons_have_codes_of_our_own() {
        for (code, ours) in [
            ("53300", Some("database_connections_used_up")),
            ("28P01", Some("database_refuses_login")),
            ("25006", Some("database_read_only")),
            ("8", Some("database_read_only")),
            ("1032", Some("database_read_only")),
            ("13", Some("database_full")),
            ("42P01", None),
            ("5", None),
            ("", None),
        ] {
            assert_eq!(known(code), ours, "{code}");
        }
    }
}
