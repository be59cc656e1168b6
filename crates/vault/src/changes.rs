//! Several texts at once, in the transaction of what refers to them.

use std::collections::HashMap;

use sqlx::{AnyConnection, AssertSqlSafe};

use crate::cipher;
use crate::data_key::overwrite_deleted;
use crate::secret::Secret;
use crate::store::{BATCH, Owner, Result, Vault, VaultError, VaultRef, new_ref, value_context};

/// Texts to be stored and deleted together, in the transaction of what refers to them.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub(crate) stored: Vec<(VaultRef, Owner, Secret)>,
    pub(crate) deleted: Vec<VaultRef>,
}

impl Changes {
    /// Stores a text under a new reference.
    pub fn put(&mut self, owner: &Owner, value: &Secret) -> VaultRef {
        let reference = new_ref();
        self.stored.push((reference, *owner, value.clone()));
        reference
    }

    /// Whether a text is stored.
    #[must_use]
    pub fn stores(&self) -> bool {
        !self.stored.is_empty()
    }

    /// Deletes a text, if it is there.
    pub fn delete(&mut self, references: impl IntoIterator<Item = VaultRef>) {
        self.deleted.extend(references);
    }
}

impl Vault {
    /// Makes the changes.
    ///
    /// # Errors
    /// As [`Vault::change_in`].
    pub async fn change(&self, changes: &Changes) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        self.change_in(&mut tx, changes).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes the changes in the caller's transaction.
    ///
    /// # Errors
    /// [`VaultError::Taken`] where a reference holds a text; otherwise as [`Vault::put`].
    pub async fn change_in(&self, tx: &mut AnyConnection, changes: &Changes) -> Result<()> {
        let mut keys = HashMap::new();
        let mut rows = Vec::with_capacity(changes.stored.len());
        for (reference, owner, value) in &changes.stored {
            let subject = owner.subject();
            if !keys.contains_key(&subject) {
                keys.insert(subject.clone(), self.claim_key(tx, &subject).await?);
            }
            let context = value_context(&subject, *reference);
            let key = keys.get(&subject).ok_or(VaultError::Unreadable)?;
            let sealed = cipher::seal(key, &context, value.expose().as_bytes());
            rows.push([reference.0.to_string(), subject, sealed]);
        }
        for rows in rows.chunks(BATCH) {
            let places: Vec<String> = (0..rows.len())
                .map(|row| format!("(${}, ${}, ${})", row * 3 + 1, row * 3 + 2, row * 3 + 3))
                .collect();
            let statement = format!(
                "INSERT INTO vault_value (id, subject, sealed) VALUES {} ON CONFLICT (id) DO NOTHING",
                places.join(", ")
            );
            let statement = rows
                .iter()
                .flatten()
                .fold(sqlx::query(AssertSqlSafe(statement)), |statement, value| {
                    statement.bind(value.clone())
                });
            if statement.execute(&mut *tx).await?.rows_affected() != rows.len() as u64 {
                return Err(VaultError::Taken);
            }
        }
        self.delete_many_in(tx, &changes.deleted).await
    }

    pub(crate) async fn delete_many_in(
        &self,
        tx: &mut AnyConnection,
        references: &[VaultRef],
    ) -> Result<()> {
        for references in references.chunks(BATCH) {
            overwrite_deleted(tx).await?;
            let places: Vec<String> = (1..=references.len()).map(|n| format!("${n}")).collect();
            let statement = format!(
                "DELETE FROM vault_value WHERE id IN ({})",
                places.join(", ")
            );
            let statement = references.iter().fold(
                sqlx::query(AssertSqlSafe(statement)),
                |statement, reference| statement.bind(reference.0.to_string()),
            );
            statement.execute(&mut *tx).await?;
        }
        Ok(())
    }
}
