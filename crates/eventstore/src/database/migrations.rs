//! Migrations: which have run, which are to run, and whether this program can work with a database that a newer one
//! has migrated (docs/adr/0010-zero-downtime.md).
//!
//! A migration adds, so an older program goes on beside it. One that takes something away says in its name which
//! migration a program has to know that no longer needs it: `1005_needs_1004_drop_old_column.sql`.

use std::sync::LazyLock;

use sqlx::{
    AnyPool, Executor as _, Row as _, SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{DatabaseError, Dialect};

/// The migrations of one crate, made by [`migrations!`](crate::migrations).
pub type Migrations = LazyLock<Migrator>;

/// The migrations in these files of the calling crate, in order: `migrations!["migrations/1001_accounts.sql"]`. A test
/// finds a file that is not listed.
///
/// sqlx's own macro would compile both database drivers a second time, for the compiler to run.
#[macro_export]
macro_rules! migrations {
    ($($file:literal),+ $(,)?) => {
        $crate::Migrations::new(|| {
            $crate::migrator(&[$((
                $file,
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $file)),
            )),+])
        })
    };
}

/// For [`migrations!`](crate::migrations): paths that end in `<number>_<description>.sql`, and their contents.
#[doc(hidden)]
pub fn migrator(files: &[(&'static str, &'static str)]) -> Migrator {
    let migration = |(path, sql): &(&'static str, &'static str)| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = name.trim_end_matches(".sql");
        let (number, description) = name.split_once('_').unwrap_or((name, ""));
        Migration::new(
            number.parse().unwrap_or_default(),
            description.replace('_', " ").into(),
            MigrationType::Simple,
            (*sql).into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}

/// A migration that has run.
struct Applied {
    version: i64,
    description: String,
    checksum: Vec<u8>,
}

/// The migrations of a service, and its database.
pub(super) struct Runner<'a> {
    pub(super) pool: &'a AnyPool,
    pub(super) dialect: Dialect,
    pub(super) schema: &'a str,
    pub(super) service: &'a str,
    pub(super) all: &'a [&'a Migrator],
}

impl Runner<'_> {
    fn known(&self) -> impl Iterator<Item = &Migration> {
        self.all.iter().flat_map(|migrator| migrator.iter())
    }

    /// Those that have not run, in order, after checking that what has run is what this program knows.
    pub(super) async fn pending(&self) -> Result<Vec<String>, DatabaseError> {
        let applied = self.applied().await?;
        for done in &applied {
            self.check(done)?;
        }
        let ran = |version: i64| applied.iter().any(|done| done.version == version);
        let pending = self.known().filter(|one| !ran(one.version));
        Ok(pending
            .map(|one| format!("{:04} {}", one.version, one.description))
            .collect())
    }

    /// Runs those that have not run. Several processes may do it at once: the database lets one in at a time, and
    /// the next one finds it done.
    pub(super) async fn run(&self) -> Result<Vec<String>, DatabaseError> {
        let pending = self.pending().await?;
        let mut left = pending.len();
        // Where there is nothing to be done, no right to make tables is needed.
        while left > 0 {
            let Err(error) = self.run_all().await else {
                break;
            };
            // In SQLite nothing keeps a second process out: what failed here, it may have done.
            let now = self.pending().await?.len();
            if now == left {
                return Err(error);
            }
            left = now;
        }
        Ok(pending)
    }

    async fn run_all(&self) -> Result<(), DatabaseError> {
        let mut connection = self.pool.acquire().await?.detach();
        if self.dialect == Dialect::Postgres {
            // Another process may be at the same migrations, however long they take.
            connection.execute("SET lock_timeout = 0").await?;
        }
        for migrator in self.all {
            let tolerant = Migrator {
                // Each migrator knows its own only, and a newer program may have run more.
                ignore_missing: true,
                migrations: migrator.migrations.clone(),
                ..Migrator::DEFAULT
            };
            tolerant
                .run(&mut connection)
                .await
                .map_err(|error| self.explained(error))?;
        }
        Ok(())
    }

    fn check(&self, done: &Applied) -> Result<(), DatabaseError> {
        let service = self.service.to_owned();
        match self.known().find(|one| one.version == done.version) {
            Some(one) if *one.checksum != *done.checksum => Err(DatabaseError::Changed {
                service,
                migration: done.version,
            }),
            Some(_) => Ok(()),
            None => match needs(&done.description) {
                Some(needed)
                    if !self
                        .known()
                        .any(|one| one.version >= needed && same_room(one.version, needed)) =>
                {
                    Err(DatabaseError::Newer {
                        service,
                        migration: done.version,
                        needed,
                    })
                }
                _ => Ok(()),
            },
        }
    }

    fn explained(&self, error: MigrateError) -> DatabaseError {
        match error {
            MigrateError::VersionMismatch(migration) => DatabaseError::Changed {
                service: self.service.to_owned(),
                migration,
            },
            other => other.into(),
        }
    }

    async fn applied(&self) -> Result<Vec<Applied>, DatabaseError> {
        if !self.has_table().await? {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "SELECT version, description, checksum FROM _sqlx_migrations ORDER BY version",
        )
        .fetch_all(self.pool)
        .await?;
        let read = |row: &crate::Row| -> sqlx::Result<Applied> {
            Ok(Applied {
                version: row.try_get(0)?,
                description: row.try_get(1)?,
                checksum: row.try_get(2)?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    async fn has_table(&self) -> sqlx::Result<bool> {
        let query = match self.dialect {
            Dialect::Sqlite => {
                "SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations' AND $1 <> ''"
            }
            Dialect::Postgres => {
                "SELECT COUNT(*) FROM pg_catalog.pg_tables WHERE tablename = '_sqlx_migrations' AND schemaname = $1"
            }
        };
        let row = sqlx::query(query)
            .bind(self.schema.to_owned())
            .fetch_one(self.pool)
            .await?;
        Ok(row.try_get::<i64, _>(0)? > 0)
    }
}

/// The number in `needs 1004 ...`.
fn needs(description: &str) -> Option<i64> {
    let mut words = description.split_whitespace();
    (words.next() == Some("needs")).then(|| words.next()?.parse().ok())?
}

/// Event store, vault and service count for themselves.
fn same_room(one: i64, other: i64) -> bool {
    let room = |version: i64| match version {
        ..=100 => 0,
        101..=1000 => 1,
        _ => 2,
    };
    room(one) == room(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_migration_needs_stands_in_its_name() {
        assert_eq!(needs("needs 1004 drop old column"), Some(1004));
        assert_eq!(needs("needs"), None);
        assert_eq!(needs("add what it needs 7"), None);
        assert!(same_room(1001, 1005) && same_room(1, 2) && same_room(101, 102));
        assert!(!same_room(2, 101) && !same_room(102, 1001));
    }
}
