//! `scope_owners`: no two products or plans share a scope.
//!
//! The rule spans streams, so no decider can keep it. Here the projection keeps it, in the transaction of the
//! append and with the scope as primary key: either the events and the claim are committed, or neither, also
//! when replicas write at the same time. A `scope_registry` aggregate would need two commits, one for the claim
//! and one for the product; a crash between them leaves a scope claimed for a product that does not exist, and
//! every write would fold one ever-growing stream.

use std::collections::BTreeSet;

use portico_eventstore::{ProjectionError, Table, Tx, cells};
use portico_proto::{Error, FieldError, Kind};
use sqlx::{AnyPool, Row as _};
use uuid::Uuid;

/// Code of [`portico_eventstore::StoreError::Refused`] when a scope belongs to another owner.
pub(crate) const SCOPE_TAKEN: &str = "scope_taken";

/// The scopes that a product or a plan has from now on.
pub(super) struct Claim {
    /// "product" or "plan".
    pub(super) kind: &'static str,
    pub(super) id: Uuid,
    /// It had none before.
    pub(super) is_new: bool,
    pub(super) name: String,
    pub(super) scopes: BTreeSet<String>,
}

const TABLE: Table = Table {
    name: "scope_owners",
    key: "scope",
    columns: "scope owner_kind owner_id owner_name",
    once: "owner_kind owner_id owner_name",
};

/// Makes these the owners' only scopes.
pub(super) async fn claim(tx: &mut Tx, claims: Vec<Claim>) -> Result<(), ProjectionError> {
    let known = claims.iter().filter(|claim| !claim.is_new);
    // All of them first: one may have what another gives up.
    let known = known.map(|claim| claim.id);
    TABLE.delete_by(tx, "owner_id", known).await?;
    let row = |scope: &String, claim: &Claim| {
        cells![scope.clone(), claim.kind, claim.id, claim.name.clone()]
    };
    let rows = claims
        .iter()
        .flat_map(|claim| claim.scopes.iter().map(move |scope| row(scope, claim)));
    let rows: Vec<_> = rows.collect();
    match TABLE.insert(tx, &rows).await? {
        true => Ok(()),
        false => Err(ProjectionError::Refused(SCOPE_TAKEN)),
    }
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
