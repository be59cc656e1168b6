//! Values in the rows of views.

use std::{error::Error, str::FromStr};

use serde::de::DeserializeOwned;
use sqlx::Row as _;
use uuid::Uuid;

use super::Row;

/// The id in the first column.
///
/// # Errors
/// It is none.
pub fn id(row: &Row) -> sqlx::Result<Uuid> {
    parsed(row.try_get(0)?)
}

/// The ids in the first column.
///
/// # Errors
/// One of them is none.
pub fn ids(rows: &[Row]) -> sqlx::Result<Vec<Uuid>> {
    rows.iter().map(id).collect()
}

/// An id or a time in a row.
///
/// # Errors
/// It is none.
pub fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(text: &str) -> sqlx::Result<T> {
    text.parse()
        .map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}

/// JSON in a row.
///
/// # Errors
/// It does not fit.
pub fn json<T: DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}
