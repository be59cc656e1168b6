//! Tables of views, written and read many rows at a time by text that both databases take.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Row, Tx, rows::places, tx::Statement};

/// Parameters of one statement, at most; below SQLite's and PostgreSQL's limits.
const PARAMETERS: usize = 16_000;

/// A table that a view writes. Names of columns are divided by spaces.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What is unique in it. A foreign id comes first where there are several.
    pub key: &'static str,
    /// What is written, the key included.
    pub columns: &'static str,
    /// Those of the columns that a row keeps as it was inserted.
    pub once: &'static str,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// `TEXT`.
    Text(Option<String>),
    /// `BIGINT`.
    Number(Option<i64>),
}

/// The values of a row, in the order of [`Table::columns`].
#[macro_export]
macro_rules! cells {
    ($($value:expr),+ $(,)?) => { vec![$($crate::Cell::from($value)),+] };
}

macro_rules! cell_from {
    ($($type:ty: $value:ident => $cell:expr;)+) => {
        $(impl From<$type> for Cell {
            fn from($value: $type) -> Self {
                $cell
            }
        })+
    };
}

cell_from! {
    String: text => Self::Text(Some(text));
    &str: text => Self::Text(Some(text.to_owned()));
    Option<String>: text => Self::Text(text);
    Uuid: id => Self::Text(Some(id.to_string()));
    Option<Uuid>: id => Self::Text(id.map(|id| id.to_string()));
    i64: number => Self::Number(Some(number));
    Option<i64>: number => Self::Number(number);
    bool: flag => Self::Number(Some(i64::from(flag)));
}

impl Table {
    /// Inserts rows, or brings the rows with these keys to these values. No two of them have the same key.
    ///
    /// # Errors
    /// The database refused.
    pub async fn write(
        &self,
        tx: &mut Tx,
        rows: impl IntoIterator<Item = Vec<Cell>>,
    ) -> sqlx::Result<()> {
        let rows: Vec<Vec<Cell>> = rows.into_iter().collect();
        let width = words(self.columns).count().max(1);
        for chunk in rows.chunks(PARAMETERS / width) {
            let sql = self.upsert(&places(chunk.len(), width));
            let cells = chunk.iter().flatten().cloned().collect();
            tx.run(sql.into(), cells, chunk.len() == 1).await?;
        }
        Ok(())
    }

    /// Inserts rows that may not be there yet; false where one is.
    ///
    /// # Errors
    /// The database refused.
    pub async fn insert(&self, tx: &mut Tx, rows: &[Vec<Cell>]) -> sqlx::Result<bool> {
        let width = words(self.columns).count().max(1);
        for chunk in rows.chunks(PARAMETERS / width) {
            let sql = format!(
                "INSERT INTO {} ({}) VALUES {} ON CONFLICT DO NOTHING",
                self.name,
                self.columns.replace(' ', ", "),
                places(chunk.len(), width),
            );
            let cells: Vec<Cell> = chunk.iter().flatten().cloned().collect();
            if !tx.touches(chunk.len() as u64, sql, cells).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn upsert(&self, places: &str) -> String {
        let is_in = |names: &'static str, column: &str| words(names).any(|name| name == column);
        let set: Vec<String> = words(self.columns)
            .filter(|column| !is_in(self.key, column) && !is_in(self.once, column))
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let action = match set.as_slice() {
            [] => "NOTHING".to_owned(),
            set => format!("UPDATE SET {}", set.join(", ")),
        };
        format!(
            "INSERT INTO {} ({}) VALUES {places} ON CONFLICT ({}) DO {action}",
            self.name,
            self.columns.replace(' ', ", "),
            self.key.replace(' ', ", "),
        )
    }

    /// Deletes the rows of these ids, which the first column of the key holds.
    ///
    /// # Errors
    /// The database refused.
    pub async fn delete(
        &self,
        tx: &mut Tx,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> sqlx::Result<()> {
        self.delete_by(tx, self.id(), ids).await
    }

    /// As [`delete`](Self::delete), where another column holds the ids.
    ///
    /// # Errors
    /// The database refused.
    pub async fn delete_by(
        &self,
        tx: &mut Tx,
        column: &str,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> sqlx::Result<()> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        for chunk in ids.chunks(PARAMETERS) {
            let places = places(1, chunk.len());
            let sql = format!("DELETE FROM {} WHERE {column} IN {places}", self.name);
            let cells = chunk.iter().map(|id| Cell::from(*id)).collect();
            tx.run(sql.into(), cells, chunk.len() == 1).await?;
        }
        Ok(())
    }

    /// Reads columns of the rows of these ids, which the first column of the key holds.
    ///
    /// # Errors
    /// The database refused.
    pub async fn read(
        &self,
        tx: &mut Tx,
        columns: &str,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> sqlx::Result<Vec<Row>> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let mut rows = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(PARAMETERS) {
            let places = places(1, chunk.len());
            let (table, id) = (self.name, self.id());
            let sql = format!("SELECT {columns} FROM {table} WHERE {id} IN {places}");
            rows.extend(by_ids(sql, chunk).fetch_all(tx.connection()?).await?);
        }
        Ok(rows)
    }

    pub(crate) fn id(&self) -> &'static str {
        words(self.key).next().unwrap_or_default()
    }
}

fn words(names: &'static str) -> impl Iterator<Item = &'static str> {
    names.split(' ')
}

/// A query for many rows is not kept prepared: there would be one for each number of rows.
fn by_ids(sql: String, ids: &[Uuid]) -> Statement {
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(ids.len() == 1);
    ids.iter()
        .fold(query, |query, id| query.bind(id.to_string()))
}
