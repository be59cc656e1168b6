//! Consistent copies of several SQLite databases at one instant, while they are in use.

use std::path::{Path, PathBuf};

use sqlx::{
    AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _,
    any::install_default_drivers,
};

/// How long to wait for a writer's transaction.
const PATIENCE: &str = "PRAGMA busy_timeout = 30000";

/// A database to be copied.
#[derive(Debug, Clone)]
pub struct Copy {
    /// A SQLite file that is there.
    pub from: PathBuf,
    /// A file that is not there yet.
    pub to: PathBuf,
}

/// Copies databases as they were at one instant: no event is in one copy whose cause is missing in another.
///
/// For a moment all are locked against writing, so that a reading transaction begins in each at the same state;
/// writers wait, and go on while the copies are made.
///
/// # Errors
/// A file cannot be read or written, or writers did not let the backup in.
pub async fn copy_at_once(copies: &[Copy]) -> sqlx::Result<()> {
    install_default_drivers();
    let mut readers = Vec::with_capacity(copies.len());
    let mut locks = Vec::with_capacity(copies.len());
    for copy in copies {
        readers.push(Reader::open(copy).await?);
        let mut lock = connect(&copy.from, "rw").await?;
        lock.execute(PATIENCE).await?;
        lock.execute("BEGIN IMMEDIATE").await?;
        locks.push(lock);
    }
    for reader in &mut readers {
        reader.begin().await?;
    }
    for lock in &mut locks {
        lock.execute("ROLLBACK").await?;
    }
    for reader in readers {
        reader.copy().await?;
    }
    Ok(())
}

/// The result of SQLite's integrity check; `None` where the file is sound.
///
/// # Errors
/// It cannot be read at all.
pub async fn damage(file: &Path) -> sqlx::Result<Option<String>> {
    install_default_drivers();
    let mut connection = connect(file, "rw").await?;
    let row = connection.fetch_one("PRAGMA integrity_check(1)").await?;
    let words: String = row.try_get(0)?;
    connection.close().await?;
    Ok((words != "ok").then_some(words))
}

async fn connect(file: &Path, mode: &str) -> sqlx::Result<AnyConnection> {
    AnyConnection::connect(&format!("sqlite://{}?mode={mode}", file.display())).await
}

/// A new database, with the one to be copied attached as `source`.
struct Reader(AnyConnection);

impl Reader {
    async fn open(copy: &Copy) -> sqlx::Result<Self> {
        let mut connection = connect(&copy.to, "rwc").await?;
        connection.execute(PATIENCE).await?;
        connection.execute("PRAGMA foreign_keys = OFF").await?;
        sqlx::query("ATTACH DATABASE $1 AS source")
            .bind(copy.from.display().to_string())
            .execute(&mut connection)
            .await?;
        Ok(Self(connection))
    }

    /// From now on it sees the source as it is now.
    async fn begin(&mut self) -> sqlx::Result<()> {
        self.0.execute("BEGIN").await?;
        self.0
            .fetch_one("SELECT COUNT(*) FROM source.sqlite_schema")
            .await?;
        Ok(())
    }

    async fn copy(mut self) -> sqlx::Result<()> {
        for (name, sql) in self.schema("type = 'table'").await? {
            self.0.execute(AssertSqlSafe(sql)).await?;
            let name = name.replace('"', "\"\"");
            let rows = format!("INSERT INTO main.\"{name}\" SELECT * FROM source.\"{name}\"");
            self.0.execute(AssertSqlSafe(rows)).await?;
        }
        // Indexes after the rows, and triggers last.
        for (_, sql) in self.schema("type <> 'table' ORDER BY type").await? {
            self.0.execute(AssertSqlSafe(sql)).await?;
        }
        self.0.execute("COMMIT").await?;
        self.0.execute("DETACH DATABASE source").await?;
        self.0.close().await
    }

    /// Names and statements of the schema; objects that SQLite creates itself have no statement.
    async fn schema(&mut self, which: &str) -> sqlx::Result<Vec<(String, String)>> {
        let query = format!(
            "SELECT name, sql FROM source.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND {which}"
        );
        let rows = self.0.fetch_all(AssertSqlSafe(query)).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }
}
