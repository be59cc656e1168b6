//! Data keys: one for each subject, wrapped by a key-encryption key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;
use sqlx::{AnyConnection, Row as _};
use zeroize::Zeroizing;

use crate::cipher::{self, Key};
use crate::kek::IndexKey;
use crate::store::{Result, Vault, VaultError};

/// Data keys that are remembered, at most.
const KEYS: usize = 256;

/// Data keys that were used last, with the texts that they were unwrapped from. Who writes with one says that text, so
/// that one that was erased or wrapped anew meanwhile is not used.
#[derive(Clone)]
pub(crate) struct KnownKeys(Arc<Mutex<LruCache<String, KnownKey>>>);

/// As it is stored, and itself.
pub(crate) type KnownKey = (String, Key);

impl KnownKeys {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(KEYS))))
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, KnownKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, subject: &str) -> Option<KnownKey> {
        self.lock().get(subject).cloned()
    }

    pub(crate) fn forget(&self, subject: &str) {
        self.lock().remove(subject);
    }

    pub(crate) fn remember(&self, subject: String, key: KnownKey) {
        self.lock().insert(subject, key);
    }
}

impl std::fmt::Debug for KnownKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KnownKeys")
    }
}

impl Vault {
    /// A key for blind indexes that outlives rotations: it is stored here like a
    /// data key. The same label gives the same key, for ever.
    ///
    /// # Errors
    /// [`VaultError::Database`], or the stored key cannot be opened.
    pub async fn index_key(&self, label: &str) -> Result<IndexKey> {
        let mut tx = self.pool.begin().await?;
        let key = self
            .claim_key(&mut tx, &format!("blind-index:{label}"))
            .await?;
        tx.commit().await?;
        Ok(IndexKey(key))
    }

    /// The data key of a subject, made when there is none. The row stays locked
    /// until the transaction ends, so nobody erases it in between.
    pub(crate) async fn claim_key(&self, tx: &mut AnyConnection, subject: &str) -> Result<Key> {
        overwrite_deleted(tx).await?;
        let (kek_id, (wrapped, _)) = self.new_key(subject);
        let row = sqlx::query(
            "INSERT INTO vault_key (subject, kek_id, wrapped) VALUES ($1, $2, $3) \
             ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject \
             RETURNING kek_id, wrapped",
        )
        .bind(subject)
        .bind(kek_id)
        .bind(wrapped)
        .fetch_one(tx)
        .await?;
        let kek_id: String = row.try_get("kek_id")?;
        let wrapped: String = row.try_get("wrapped")?;
        let key = self.unwrap_key(subject, &kek_id, &wrapped)?;
        self.keys
            .remember(subject.to_owned(), (wrapped, key.clone()));
        Ok(key)
    }

    /// One for a subject that has none, and the id of the key that wraps it.
    pub(crate) fn new_key(&self, subject: &str) -> (String, KnownKey) {
        let (kek, key) = (self.ring.active(), cipher::random_key());
        let context = key_context(subject);
        let wrapped = cipher::seal(&kek.wrapping_key(), &context, key.as_slice());
        (kek.id().to_owned(), (wrapped, key))
    }

    pub(crate) fn unwrap_key(&self, subject: &str, kek_id: &str, wrapped: &str) -> Result<Key> {
        let kek = self
            .ring
            .find(kek_id)
            .ok_or_else(|| VaultError::UnknownKek(kek_id.to_owned()))?;
        let plain = cipher::open(&kek.wrapping_key(), &key_context(subject), wrapped)?;
        let key: [u8; 32] = plain
            .as_slice()
            .try_into()
            .map_err(|_| VaultError::Unreadable)?;
        Ok(Zeroizing::new(key))
    }
}

/// Associated data of a wrapped data key.
pub(crate) fn key_context(subject: &str) -> String {
    format!("portico/vault/key/v1|{subject}")
}

pub(crate) fn is_sqlite(connection: &AnyConnection) -> bool {
    connection.backend_name() == "SQLite"
}

/// SQLite leaves the bytes of deleted rows in its file unless told otherwise.
pub(crate) const OVERWRITE_DELETED: &str = "PRAGMA secure_delete = ON";

/// An update leaves a copy of a wrapped key too, so every writer calls this.
pub(crate) async fn overwrite_deleted(tx: &mut AnyConnection) -> Result<()> {
    if is_sqlite(tx) {
        sqlx::query(OVERWRITE_DELETED).execute(tx).await?;
    }
    Ok(())
}
