//! What stands in the databases of the services, read as text and past the services.

use std::{collections::BTreeMap, path::PathBuf};

use portico_eventstore::sqlx::{
    self, AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _,
};

/// The services that have a database.
pub const SERVICES: [&str; 6] = [
    "catalog",
    "access-request",
    "registration",
    "gateway",
    "notification",
    "accounts",
];

/// Every row of every table as text, sorted.
pub type Dump = BTreeMap<String, Vec<String>>;

/// Where the databases are.
#[derive(Clone)]
pub enum Stores {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Stores {
    /// The rows of a query whose columns are text.
    pub async fn rows(&self, service: &str, sql: &str) -> Vec<Vec<String>> {
        self.try_rows(service, sql)
            .await
            .unwrap_or_else(|error| panic!("{service}: {sql}: {error}"))
    }

    /// One number.
    pub async fn number(&self, service: &str, sql: &str) -> i64 {
        self.rows(service, sql).await[0][0].parse().unwrap()
    }

    /// Runs a statement, as somebody with access to the database may.
    pub async fn run(&self, service: &str, sql: &str) {
        let mut connection = self.connect(service).await.unwrap();
        connection
            .execute(AssertSqlSafe(sql.to_owned()))
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    pub async fn connect(&self, service: &str) -> Result<AnyConnection, sqlx::Error> {
        sqlx::any::install_default_drivers();
        match self {
            Self::Sqlite(folder) => {
                let file = folder.join(format!("{service}.db"));
                AnyConnection::connect(&format!("sqlite://{}?mode=rw", file.display())).await
            }
            Self::Postgres(url) => {
                let mut connection = AnyConnection::connect(url).await?;
                let path = format!("SET search_path TO {}", schema(service));
                connection.execute(AssertSqlSafe(path)).await?;
                Ok(connection)
            }
        }
    }

    async fn try_rows(&self, service: &str, sql: &str) -> Result<Vec<Vec<String>>, sqlx::Error> {
        let mut connection = self.connect(service).await?;
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        rows.iter()
            .map(|row| {
                (0..row.len())
                    .map(|index| Ok(row.try_get::<Option<String>, _>(index)?.unwrap_or_default()))
                    .collect()
            })
            .collect()
    }

    /// Everything of a service.
    pub async fn dump(&self, service: &str) -> Dump {
        let mut dump = Dump::new();
        for table in self.tables(service).await {
            let sql = match self {
                Self::Postgres(_) => format!("SELECT CAST(t AS TEXT) FROM {table} t"),
                Self::Sqlite(_) => {
                    let sql = format!("SELECT name FROM pragma_table_info('{table}')");
                    let columns = self.rows(service, &sql).await;
                    let quoted: Vec<String> = columns
                        .iter()
                        .map(|name| format!("quote({})", name[0]))
                        .collect();
                    format!("SELECT {} FROM {table}", quoted.join(" || ',' || "))
                }
            };
            let mut rows: Vec<String> = self
                .rows(service, &sql)
                .await
                .into_iter()
                .map(|mut row| row.remove(0))
                .collect();
            rows.sort_unstable();
            dump.insert(table, rows);
        }
        dump
    }

    async fn tables(&self, service: &str) -> Vec<String> {
        let sql = match self {
            Self::Sqlite(_) => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
                    .to_owned()
            }
            Self::Postgres(_) => format!(
                "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = '{}'",
                schema(service)
            ),
        };
        self.rows(service, &sql)
            .await
            .into_iter()
            .map(|mut row| row.remove(0))
            .collect()
    }
}

pub fn schema(service: &str) -> String {
    format!("portico_{}", service.replace('-', "_"))
}
