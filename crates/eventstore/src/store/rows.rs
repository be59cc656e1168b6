//! Values in the rows of views.

use serde::de::DeserializeOwned;
use sqlx::Row as _;
use uuid::Uuid;

use super::Row;

/// The id in the first column.
///
/// # Errors
/// It is none.
pub fn id(row: &Row) -> Result<Uuid, sqlx::Error> {
    uuid(row.try_get(0)?)
}

/// The ids in the first column.
///
/// # Errors
/// One of them is none.
pub fn ids(rows: &[Row]) -> Result<Vec<Uuid>, sqlx::Error> {
    rows.iter().map(id).collect()
}

/// An id in a row.
///
/// # Errors
/// It is none.
pub fn uuid(text: &str) -> Result<Uuid, sqlx::Error> {
    let decode = |error: uuid::Error| sqlx::Error::Decode(error.into());
    text.parse().map_err(decode)
}

/// JSON in a row.
///
/// # Errors
/// It does not fit.
pub fn json<T: DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}
