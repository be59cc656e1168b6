//! Databases to test on: a SQLite file, or one on a PostgreSQL server.

use portico_trials::Postgres;
use portico_vault::{Kek, migrations};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Row as _};

pub(crate) struct Database {
    pub(crate) pool: AnyPool,
    pub(crate) folder: tempfile::TempDir,
}

impl Database {
    /// Every byte SQLite has on disk, the write-ahead log included.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        bytes
    }

    /// Whether a text is anywhere on disk.
    pub(crate) fn contains(&self, text: &str) -> bool {
        let (bytes, text) = (self.bytes(), text.as_bytes());
        bytes.windows(text.len()).any(|window| window == text)
    }

    /// The wrapped data keys, as they stand in the table.
    pub(crate) async fn wrapped_keys(&self) -> Vec<String> {
        let rows = sqlx::query("SELECT wrapped FROM vault_key")
            .fetch_all(&self.pool)
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

pub(crate) fn kek() -> Kek {
    Kek::load_or_generate(tempfile::tempdir().unwrap().path())
        .unwrap()
        .0
}

pub(crate) async fn sqlite() -> Database {
    sqlx::any::install_default_drivers();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/vault.db?mode=rwc", folder.path().display());
    let pool = AnyPoolOptions::new()
        .max_connections(4)
        .after_connect(|connection, _| {
            Box::pin(async move {
                for pragma in ["journal_mode = WAL", "busy_timeout = 30000"] {
                    sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA {pragma}")))
                        .execute(&mut *connection)
                        .await?;
                }
                Ok(())
            })
        })
        .connect(&url)
        .await
        .unwrap();
    migrations().run(&pool).await.unwrap();
    Database { pool, folder }
}

pub(crate) async fn postgres() -> Database {
    let pool = AnyPoolOptions::new()
        .max_connections(4)
        .connect(&Postgres::shared_database().await)
        .await
        .unwrap();
    migrations().run(&pool).await.unwrap();
    Database {
        pool,
        folder: tempfile::tempdir().unwrap(),
    }
}
