//! `scope_owners`: no two products or plans share a scope.
//!
//! The rule spans streams, so no decider can keep it. Here the projection keeps it, in the transaction of the
//! append and with the scope as primary key: either the events and the claim are committed, or neither, also
//! when replicas write at the same time. A `scope_registry` aggregate would need two commits, one for the claim
//! and one for the product; a crash between them leaves a scope claimed for a product that does not exist, and
//! every write would fold one ever-growing stream.

use std::collections::BTreeSet;

use portico_eventstore::ProjectionError;
use portico_proto::{Error, FieldError, Kind};
use sqlx::{AnyConnection, AnyPool, Row as _};
use uuid::Uuid;

/// Code of [`portico_eventstore::StoreError::Refused`] when a scope belongs to another owner.
pub(crate) const SCOPE_TAKEN: &str = "scope_taken";

/// A product or a plan.
pub(crate) struct Owner<'a> {
    /// "product" or "plan".
    pub(crate) kind: &'static str,
    pub(crate) id: Uuid,
    pub(crate) name: &'a str,
}

/// Makes these the owner's only scopes.
pub(crate) async fn claim(
    tx: &mut AnyConnection,
    owner: &Owner<'_>,
    scopes: &BTreeSet<String>,
) -> Result<(), ProjectionError> {
    release(tx, owner.id).await?;
    for scope in scopes {
        let done = sqlx::query(
            "INSERT INTO scope_owners (scope, owner_kind, owner_id, owner_name) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (scope) DO NOTHING",
        )
        .bind(scope.clone())
        .bind(owner.kind)
        .bind(owner.id.to_string())
        .bind(owner.name.to_owned())
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Err(ProjectionError::Refused(SCOPE_TAKEN));
        }
    }
    Ok(())
}

/// Frees the owner's scopes.
pub(crate) async fn release(tx: &mut AnyConnection, owner: Uuid) -> Result<(), ProjectionError> {
    sqlx::query("DELETE FROM scope_owners WHERE owner_id = $1")
        .bind(owner.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

/// The error for a refused claim, with the present owner of each scope that was asked for.
pub(crate) async fn taken(
    pool: &AnyPool,
    owner: Uuid,
    scopes: &BTreeSet<String>,
) -> sqlx::Result<Error> {
    let mut fields = Vec::new();
    for scope in scopes {
        let row = sqlx::query(
            "SELECT owner_kind, owner_name, owner_id FROM scope_owners WHERE scope = $1 AND owner_id <> $2",
        )
        .bind(scope.clone())
        .bind(owner.to_string())
        .fetch_optional(pool)
        .await?;
        if let Some(row) = row {
            let (kind, name, id): (String, String, String) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            fields.push(FieldError {
                field: "scopes".to_owned(),
                code: SCOPE_TAKEN.to_owned(),
                message: format!(
                    "The scope `{scope}` belongs to the {kind} \"{name}\" ({id}); choose another."
                ),
            });
        }
    }
    let message = match fields.as_slice() {
        // Freed between the refusal and this query.
        [] => "One of the scopes belonged to another product or plan a moment ago; try again."
            .to_owned(),
        [first, ..] => first.message.clone(),
    };
    let mut error = Error::new(Kind::Conflict, SCOPE_TAKEN, message);
    error.fields = fields;
    Ok(error)
}
