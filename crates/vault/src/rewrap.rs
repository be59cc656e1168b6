//! Online rotation of the key-encryption key.

use sqlx::Row as _;

use crate::cipher;
use crate::data_key::{key_context, overwrite_deleted};
use crate::store::{Result, Vault};

/// Data keys that one step reads. Small, so that nothing else waits long.
const BATCH: i64 = 200;

/// Counts of a key rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrapped {
    /// Data keys that are now wrapped by the active key.
    pub done: u64,
    /// Data keys that no configured key opens. They stay as they are.
    pub failed: u64,
}

impl Vault {
    /// Wraps every data key by the ring's active key. Readers and writers go on; it may be stopped at any time and
    /// started again, also in several processes. Afterwards the old keys can be taken from the configuration, if
    /// nothing failed.
    ///
    /// To rotate: make the new key the active one everywhere, with the old one beside it, then call this.
    ///
    /// # Errors
    /// [`VaultError::Database`]; what was done until then stays done.
    pub async fn rewrap(&self) -> Result<Rewrapped> {
        let active = self.ring.active();
        let mut result = Rewrapped::default();
        let mut after = String::new();
        loop {
            let rows = sqlx::query(
                "SELECT subject, kek_id, wrapped FROM vault_key \
                 WHERE kek_id <> $1 AND subject > $2 ORDER BY subject LIMIT $3",
            )
            .bind(active.id())
            .bind(&after)
            .bind(BATCH)
            .fetch_all(&self.pool)
            .await?;
            if rows.is_empty() {
                return Ok(result);
            }
            for row in rows {
                after = row.try_get("subject")?;
                let kek_id: String = row.try_get("kek_id")?;
                let wrapped: String = row.try_get("wrapped")?;
                if self.rewrap_one(&after, &kek_id, &wrapped).await? {
                    result.done += 1;
                } else {
                    result.failed += 1;
                }
            }
        }
    }

    /// False when the key cannot be opened.
    async fn rewrap_one(&self, subject: &str, kek_id: &str, wrapped: &str) -> Result<bool> {
        let Ok(data_key) = self.unwrap_key(subject, kek_id, wrapped) else {
            return Ok(false);
        };
        let active = self.ring.active();
        let sealed = cipher::seal(
            &active.wrapping_key(),
            &key_context(subject),
            data_key.as_slice(),
        );
        let mut connection = self.pool.acquire().await?;
        overwrite_deleted(&mut connection).await?;
        // Only if it is still what was read: it may have been erased, or erased
        // and made anew, or another process was faster.
        sqlx::query(
            "UPDATE vault_key SET kek_id = $1, wrapped = $2 \
             WHERE subject = $3 AND wrapped = $4",
        )
        .bind(active.id())
        .bind(sealed)
        .bind(subject)
        .bind(wrapped)
        .execute(&mut *connection)
        .await?;
        Ok(true)
    }
}
