//! Secrets and personal texts, sealed in the transaction of the append whose events refer to them.

use portico_eventstore::{Cell, Tx, sqlx};
use portico_vault::{Changes, Statement, Vault, VaultError};

/// Makes the vault's part of an append: for [`Beside::new`](portico_eventstore::Beside::new).
///
/// # Errors
/// The database, or a data key cannot be opened.
pub async fn seal_in_append(
    tx: &mut Tx,
    vault: &Vault,
    changes: &Changes,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if let Some(is_sqlite) = tx.gathers_for_sqlite() {
        let statements = vault.statements(changes, is_sqlite);
        return gather(tx, statements).await.map_err(Into::into);
    }
    let changed = vault.change_in(tx.connection()?, changes).await;
    changed.map_err(|error| match error {
        // As of any statement of the append: whether it is an outage decides who waits for it.
        VaultError::Database(error) => error.into(),
        other => other.into(),
    })
}

/// For the one call that makes the whole append.
async fn gather(tx: &mut Tx, statements: Vec<Statement>) -> sqlx::Result<()> {
    for Statement {
        sql,
        parameters,
        rows,
    } in statements
    {
        let parameters = parameters.into_iter().map(Cell::from).collect();
        match rows {
            Some(rows) => drop(tx.touches(rows, sql, parameters).await?),
            None => tx.execute(sql, parameters).await?,
        }
    }
    Ok(())
}
