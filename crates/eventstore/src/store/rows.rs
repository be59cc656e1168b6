//! Values in the rows of views, and the places of values in statements.

use std::{error::Error, str::FromStr};

use serde::de::DeserializeOwned;
use sqlx::{Any, AnyPool, Executor, Row as _, SqlSafeStr};
use uuid::Uuid;

use super::Row;

/// The id in the first column.
///
/// # Errors
/// The column does not hold an id.
pub fn id(row: &Row) -> sqlx::Result<Uuid> {
    parsed(row.try_get(0)?)
}

/// The ids in the first column.
///
/// # Errors
/// A row does not hold an id.
pub fn ids(rows: &[Row]) -> sqlx::Result<Vec<Uuid>> {
    rows.iter().map(id).collect()
}

/// The ids in the first column of what a query finds.
///
/// # Errors
/// The database refused, or a row does not hold an id.
pub async fn found_ids(
    pool: &AnyPool,
    sql: &'static str,
    values: impl IntoIterator<Item = String>,
) -> sqlx::Result<Vec<Uuid>> {
    let query = sqlx::query(sql);
    let query = values.into_iter().fold(query, |query, one| query.bind(one));
    ids(&query.fetch_all(pool).await?)
}

/// What a query finds at most one of, such as the row of a key.
///
/// # Errors
/// The database refused, or the row cannot be read.
pub async fn found<T>(
    database: impl Executor<'_, Database = Any>,
    sql: impl SqlSafeStr,
    key: impl ToString,
    read: impl FnOnce(&Row) -> sqlx::Result<T>,
) -> sqlx::Result<Option<T>> {
    let query = sqlx::query(sql).bind(key.to_string());
    let row = query.fetch_optional(database).await?;
    row.as_ref().map(read).transpose()
}

/// A value of a row that is stored as text, such as an id or a time.
///
/// # Errors
/// The text does not parse.
pub fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(text: &str) -> sqlx::Result<T> {
    text.parse()
        .map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}

/// A value of a row that is stored as JSON.
///
/// # Errors
/// The text is not the JSON of that type.
pub fn json<T: DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// `($1, $2), ($3, $4)` for two rows of two. sqlx's query builder writes `?` for `Any`, which PostgreSQL does not take.
pub fn places(rows: usize, width: usize) -> String {
    let row = |row: usize| {
        let names: Vec<String> = (1..=width)
            .map(|n| format!("${}", row * width + n))
            .collect();
        format!("({})", names.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    rows.join(", ")
}
