//! The transaction of an append, as views and what is written beside events see it.
//!
//! An append is made in one call. For that its statements are gathered: none of them may ask anything, and a rule is what a
//! statement must find or touch. Who has to ask something in between takes [`Tx::connection`]; the append is then tried
//! anew in a transaction that is open, statement by statement. So is one that a rule stops, to find out which.

use std::borrow::Cow;

use sqlx::{Any, AnyConnection, AssertSqlSafe, Transaction, any::AnyArguments, query::Query};

use super::{Cell, Row};
use crate::database::{Database, Dialect};

/// The transaction of an append.
pub struct Tx {
    pub(crate) dialect: Dialect,
    way: Way,
}

enum Way {
    Open(Transaction<'static, Any>),
    Gathering(Vec<Gathered>),
    /// Something had to be asked: what was gathered is not enough.
    Asked,
}

/// A statement of a transaction, with the parameters `$1`, `$2` and so on.
pub(crate) struct Gathered {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) parameters: Vec<Cell>,
    pub(crate) must: Must,
}

/// What a statement must do, or the transaction is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Must {
    Succeed,
    FindNothing,
    /// So many rows.
    Touch(u64),
}

impl Tx {
    /// A transaction that holds the write lock until it ends.
    ///
    /// # Errors
    /// The database is away, or somebody held the lock for too long.
    pub async fn begin(database: &Database) -> sqlx::Result<Self> {
        let begin = match database.dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            // Whatever the server's default is: the statements after the lock must see what the last holder committed.
            Dialect::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        let mut begun = database.pool().begin_with(begin).await?;
        if database.dialect == Dialect::Postgres {
            // A statement of its own: where it fails, the driver knows of the transaction, and ends it.
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(database.lock_key)
                .execute(&mut *begun)
                .await?;
        }
        Ok(Self {
            dialect: database.dialect,
            way: Way::Open(begun),
        })
    }

    pub(crate) fn gathering(dialect: Dialect) -> Self {
        let way = Way::Gathering(Vec::new());
        Self { dialect, way }
    }

    /// What was gathered; `None` where something had to be asked.
    pub(crate) fn gathered(self) -> Option<Vec<Gathered>> {
        match self.way {
            Way::Gathering(gathered) => Some(gathered),
            Way::Open(_) | Way::Asked => None,
        }
    }

    /// Ends an open transaction. One that is dropped before is undone.
    ///
    /// # Errors
    /// The database failed; what became of the transaction is not known.
    pub async fn commit(self) -> sqlx::Result<()> {
        match self.way {
            Way::Open(tx) => tx.commit().await,
            Way::Gathering(..) | Way::Asked => Err(not_open()),
        }
    }

    /// For statements whose answer matters.
    ///
    /// # Errors
    /// Statements are being gathered. The caller ends with this error, and is called again when there is a connection.
    pub fn connection(&mut self) -> sqlx::Result<&mut AnyConnection> {
        match &mut self.way {
            Way::Open(tx) => Ok(tx),
            way => {
                *way = Way::Asked;
                Err(not_open())
            }
        }
    }

    /// Where statements are being gathered, so that nothing can be asked: whether for SQLite.
    pub fn gathers_for_sqlite(&self) -> Option<bool> {
        let gathers = matches!(self.way, Way::Gathering(_));
        gathers.then_some(self.dialect == Dialect::Sqlite)
    }

    /// Executes a statement with the parameters `$1`, `$2` and so on.
    ///
    /// # Errors
    /// The database refused.
    pub async fn execute(
        &mut self,
        sql: impl Into<Cow<'static, str>> + Send,
        parameters: Vec<Cell>,
    ) -> sqlx::Result<()> {
        let Some((sql, parameters)) = self.gather(sql.into(), parameters, Must::Succeed) else {
            return Ok(());
        };
        let query = query(sql, &parameters);
        query.execute(self.connection()?).await.map(drop)
    }

    /// The rows of a query. Needs a connection.
    pub(crate) async fn fetch(
        &mut self,
        sql: String,
        parameters: Vec<Cell>,
    ) -> sqlx::Result<Vec<Row>> {
        let query = query(sql.into(), &parameters);
        query.fetch_all(self.connection()?).await
    }

    /// Whether a query finds a row: what a rule forbids. While statements are gathered it is said to find none; where it
    /// does, the append is undone and tried anew.
    ///
    /// # Errors
    /// The database refused.
    pub async fn finds(
        &mut self,
        sql: impl Into<Cow<'static, str>> + Send,
        parameters: Vec<Cell>,
    ) -> sqlx::Result<bool> {
        let Some((sql, parameters)) = self.gather(sql.into(), parameters, Must::FindNothing) else {
            return Ok(false);
        };
        let found = query(sql, &parameters).fetch_optional(self.connection()?);
        Ok(found.await?.is_some())
    }

    /// Executes a statement, and whether it touches so many rows. While statements are gathered it is said to; where it does
    /// not, the append is undone and tried anew.
    ///
    /// # Errors
    /// The database refused.
    pub async fn touches(
        &mut self,
        rows: u64,
        sql: impl Into<Cow<'static, str>> + Send,
        parameters: Vec<Cell>,
    ) -> sqlx::Result<bool> {
        let Some((sql, parameters)) = self.gather(sql.into(), parameters, Must::Touch(rows)) else {
            return Ok(true);
        };
        let query = query(sql, &parameters);
        let done = query.execute(self.connection()?).await?;
        Ok(done.rows_affected() == rows)
    }

    /// Gives the statement back where it is to be executed.
    fn gather(
        &mut self,
        sql: Cow<'static, str>,
        parameters: Vec<Cell>,
        must: Must,
    ) -> Option<(Cow<'static, str>, Vec<Cell>)> {
        let Way::Gathering(gathered) = &mut self.way else {
            return Some((sql, parameters));
        };
        gathered.push(Gathered {
            sql,
            parameters,
            must,
        });
        None
    }
}

/// The statement with each `$n` replaced.
pub(crate) fn with_places(sql: &str, mut place: impl FnMut(usize) -> String) -> String {
    let mut text = String::with_capacity(sql.len() * 2);
    let mut parts = sql.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        text.push_str(&place(number.parse().unwrap_or_default()));
        text.push_str(rest);
    }
    text
}

pub(crate) fn bind(query: Statement, cell: &Cell) -> Statement {
    match cell {
        Cell::Text(text) => query.bind(text.clone()),
        Cell::Number(number) => query.bind(*number),
    }
}

pub(crate) type Statement = Query<'static, Any, AnyArguments>;

fn query(sql: Cow<'static, str>, parameters: &[Cell]) -> Statement {
    let query = sqlx::query(AssertSqlSafe(sql.into_owned()));
    parameters.iter().fold(query, bind)
}

fn not_open() -> sqlx::Error {
    sqlx::Error::Protocol("statements are being gathered, none can be answered".into())
}
