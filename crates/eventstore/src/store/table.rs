//! Tables of views, written and read many rows at a time by text that both databases take.

use serde::Serialize;
use uuid::Uuid;

use super::{Row, Tx};
use crate::database::Dialect;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
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
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let is_in = |names: &'static str, column: &str| words(names).any(|name| name == column);
        let set: Vec<String> = words(self.columns)
            .filter(|column| !is_in(self.key, column) && !is_in(self.once, column))
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let action = match set.as_slice() {
            [] => "NOTHING".to_owned(),
            set => format!("UPDATE SET {}", set.join(", ")),
        };
        let (insert, key) = (self.insert_of(tx, first), self.key.replace(' ', ", "));
        let sql = format!("{insert} ON CONFLICT ({key}) DO {action}");
        tx.execute(sql, vec![json(&rows)?]).await
    }

    /// Inserts rows that may not be there yet; false where one is.
    ///
    /// # Errors
    /// The database refused.
    pub async fn insert(&self, tx: &mut Tx, rows: &[Vec<Cell>]) -> sqlx::Result<bool> {
        let Some(first) = rows.first() else {
            return Ok(true);
        };
        let sql = format!("{} ON CONFLICT DO NOTHING", self.insert_of(tx, first));
        tx.touches(rows.len() as u64, sql, vec![json(&rows)?]).await
    }

    /// Takes the rows as one parameter, so that its text is the same for any number of them.
    fn insert_of(&self, tx: &Tx, row: &[Cell]) -> String {
        let value = |(index, cell): (usize, &Cell)| match cell {
            Cell::Text(_) => format!("k.value ->> {index}"),
            Cell::Number(_) => format!("CAST(k.value ->> {index} AS BIGINT)"),
        };
        let values: Vec<String> = row.iter().enumerate().map(value).collect();
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} WHERE true",
            self.name,
            self.columns.replace(' ', ", "),
            values.join(", "),
            match tx.dialect {
                Dialect::Sqlite => "json_each($1) AS k",
                Dialect::Postgres => "jsonb_array_elements(CAST($1 AS JSONB)) AS k (value)",
            },
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
        if ids.is_empty() {
            return Ok(());
        }
        let among = among(tx);
        let sql = format!("DELETE FROM {} WHERE {column} IN {among}", self.name);
        tx.execute(sql, vec![json(&ids)?]).await
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
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (table, id, among) = (self.name, self.id(), among(tx));
        let sql = format!("SELECT {columns} FROM {table} WHERE {id} IN {among}");
        tx.fetch(sql, vec![json(&ids)?]).await
    }

    pub(crate) fn id(&self) -> &'static str {
        words(self.key).next().unwrap_or_default()
    }
}

/// The ids of a parameter.
fn among(tx: &Tx) -> &'static str {
    match tx.dialect {
        Dialect::Sqlite => "(SELECT value FROM json_each($1))",
        Dialect::Postgres => "(SELECT jsonb_array_elements_text(CAST($1 AS JSONB)))",
    }
}

fn json<T: Serialize>(value: &T) -> sqlx::Result<Cell> {
    let text = serde_json::to_string(value);
    text.map(Cell::from)
        .map_err(|error| sqlx::Error::Encode(error.into()))
}

fn words(names: &'static str) -> impl Iterator<Item = &'static str> {
    names.split(' ')
}
