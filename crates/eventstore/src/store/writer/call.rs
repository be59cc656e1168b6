//! Appends in one call: of the function `append_events` in PostgreSQL, of one text of statements in SQLite, where a call is
//! a change of threads.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};

use super::{
    Append, Appended,
    plan::{INSERT_SQLITE, given, json, recorded, twice},
};
use crate::{
    Cell, Database, Result, StoreError,
    database::Dialect,
    store::tx::{Gathered, Must, bind, with_places},
};

/// Appends in one text of SQLite, at most: it copies what is left of the text for each of its statements.
const IN_ONE_TEXT: usize = 32;

/// Appends that may all be new.
pub(super) struct Call<'a> {
    appends: &'a [&'a Append],
    /// How many events.
    events: i64,
    /// As JSON.
    given: String,
}

impl<'a> Call<'a> {
    /// `None` where there is something to be found out: of two appends to one stream the second one is about the version
    /// after the first, and one without events may have been handled before.
    pub(super) fn of(appends: &'a [&'a Append], dialect: Dialect) -> Result<Option<Self>> {
        let mut streams = HashSet::new();
        let fits = appends.iter().all(|append| {
            let is_alone = streams.insert(append.stream.as_str());
            is_alone && !append.events.is_empty() && twice(append).is_none()
        });
        if !fits || (dialect == Dialect::Sqlite && appends.len() > IN_ONE_TEXT) {
            return Ok(None);
        }
        let given = given(appends)?;
        Ok(Some(Self {
            appends,
            events: i64::try_from(given.len()).unwrap_or(i64::MAX),
            given: json(&given)?,
        }))
    }

    /// What comes of the appends where this is the last position before them.
    pub(super) fn results_after(&self, head: i64) -> Vec<Result<Appended>> {
        let mut position = head;
        let mut next = || {
            position += 1;
            Some(position)
        };
        let appends = self.appends.iter();
        appends
            .map(|append| Ok(Appended::New(recorded(append, |_| next()))))
            .collect()
    }

    /// Gives the last position that was there; where it is not `head` nothing was written. `None`: something does not fit,
    /// and nothing was written.
    pub(super) async fn make(
        &self,
        database: &Database,
        head: i64,
        writes: Vec<Gathered>,
    ) -> Result<Option<i64>> {
        let made = match database.dialect {
            Dialect::Sqlite => self.execute(database, head, writes).await,
            Dialect::Postgres => self.call(database, head, writes).await,
        };
        match made {
            Ok(found) => Ok(found),
            Err(error) => match error.into() {
                StoreError::Unavailable(words) => Err(StoreError::Unavailable(words)),
                // Found again, and said of whom it is about, step by step.
                error => {
                    tracing::debug!(%error, "appends are made step by step");
                    Ok(None)
                }
            },
        }
    }

    async fn call(
        &self,
        database: &Database,
        head: i64,
        writes: Vec<Gathered>,
    ) -> sqlx::Result<Option<i64>> {
        let writes: Vec<Write> = writes.into_iter().map(Write::of).collect();
        let writes = serde_json::to_string(&writes);
        let call = "SELECT append_events($1, $2, CAST($3 AS JSONB), CAST($4 AS JSONB))";
        let row = sqlx::query(call)
            .bind(database.lock_key)
            .bind(head)
            .bind(self.given.clone())
            .bind(writes.map_err(|error| sqlx::Error::Encode(error.into()))?)
            .fetch_one(database.pool())
            .await?;
        row.try_get(0)
    }

    /// The file belongs to this process, so the head is what it remembers.
    async fn execute(
        &self,
        database: &Database,
        head: i64,
        writes: Vec<Gathered>,
    ) -> sqlx::Result<Option<i64>> {
        let mut text = Text::default();
        text.add("BEGIN IMMEDIATE", Vec::new(), Must::Succeed);
        let is_other = "SELECT 1 WHERE (SELECT COALESCE(MAX(position), 0) FROM events) <> $1";
        text.add(is_other, vec![head.into()], Must::FindNothing);
        let given = vec![Cell::from(self.given.as_str())];
        text.add(
            INSERT_SQLITE,
            given,
            Must::Touch(self.events.unsigned_abs()),
        );
        for write in writes {
            text.add(&write.sql, write.parameters, write.must);
        }
        text.add("COMMIT", Vec::new(), Must::Succeed);
        let mut connection = database.pool().acquire().await?;
        // Of one append the text is one of a few.
        let done = text.execute(&mut connection, self.appends.len() == 1).await;
        if done.is_err() {
            // The driver does not know that a transaction has begun. SQLite may have ended it by itself.
            drop(connection.execute("ROLLBACK").await);
        }
        done.map(|()| Some(head))
    }
}

/// A statement for the function, which cannot be given parameters whose number and types it does not know: one array of
/// texts, and how many rows it must touch.
#[derive(Serialize)]
struct Write(String, Vec<Option<String>>, Option<u64>);

impl Write {
    fn of(gathered: Gathered) -> Self {
        let Gathered {
            sql,
            parameters,
            must,
        } = gathered;
        let place = |n: usize| match parameters.get(n.wrapping_sub(1)) {
            Some(Cell::Number(_)) => format!("CAST(($1)[{n}] AS BIGINT)"),
            _ => format!("($1)[{n}]"),
        };
        let sql = with_places(&sql, place);
        let text = |cell: Cell| match cell {
            Cell::Text(text) => text,
            Cell::Number(number) => number.map(|number| number.to_string()),
        };
        let rows = match must {
            Must::Succeed => None,
            Must::FindNothing => Some(0),
            Must::Touch(rows) => Some(rows),
        };
        Self(sql, parameters.into_iter().map(text).collect(), rows)
    }
}

/// Statements in one text, with the parameters of all of them.
#[derive(Default)]
struct Text {
    sql: String,
    parameters: Vec<Cell>,
}

impl Text {
    /// A statement that does not do what it must ends the text with an error: what is not JSON is one in SQLite.
    fn add(&mut self, sql: &str, parameters: Vec<Cell>, must: Must) {
        let before = self.parameters.len();
        let sql = with_places(sql, |n| format!("${}", before + n));
        self.parameters.extend(parameters);
        self.sql += &match must {
            Must::Succeed => format!("{sql};"),
            Must::FindNothing => {
                format!("SELECT json(CASE WHEN EXISTS ({sql}) THEN 'it is there' END);")
            }
            Must::Touch(rows) => {
                format!(
                    "{sql};SELECT json(CASE WHEN changes() <> {rows} THEN 'it does not fit' END);"
                )
            }
        };
    }

    async fn execute(self, connection: &mut AnyConnection, is_kept: bool) -> sqlx::Result<()> {
        let query = sqlx::query(AssertSqlSafe(self.sql)).persistent(is_kept);
        let query = self.parameters.iter().fold(query, bind);
        query.execute(connection).await.map(drop)
    }
}
