//! The store: sealed texts in two tables, usable inside the transaction of an append (`*_in` methods) or alone.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::cipher::{self, Key, Unreadable};
use crate::data_key::{KnownKeys, is_sqlite, overwrite_deleted};
use crate::kek::KekRing;
use crate::secret::Secret;

/// Most references that one query asks for; SQLite takes 32766 parameters.
pub(crate) const BATCH: usize = 500;

/// The subject of a secret. It is bound into every sealed text, and [`Vault::erase`] erases by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// A fixed word such as `user` or `oauth_client`.
    pub kind: &'static str,
    /// The id of the person or thing.
    pub id: Uuid,
}

impl Owner {
    /// An owner of this kind.
    #[must_use]
    pub fn new(kind: &'static str, id: Uuid) -> Self {
        Self { kind, id }
    }

    pub(crate) fn subject(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }
}

/// Reference to a sealed text. It reveals nothing, so it may stand in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VaultRef(pub Uuid);

/// An error of the vault. No variant holds a text or a key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The database failed.
    #[error("vault database: {0}")]
    Database(#[from] sqlx::Error),
    /// The reference exists, and belongs to somebody else.
    #[error("the vault reference has another owner")]
    WrongOwner,
    /// [`Vault::put_at`] with a reference that holds another text.
    #[error("the vault reference is taken")]
    Taken,
    /// The data key is wrapped by a key-encryption key that is not configured.
    #[error("key-encryption key {0} is needed and not configured")]
    UnknownKek(String),
    /// It cannot be decrypted: changed in the database, or moved to another row.
    #[error("the vault entry is damaged or was tampered with")]
    Unreadable,
}

impl From<Unreadable> for VaultError {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

/// What comes of a call.
pub type Result<T, E = VaultError> = std::result::Result<T, E>;

/// The vault of one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vault {
    pub(crate) pool: AnyPool,
    pub(crate) ring: KekRing,
    pub(crate) keys: KnownKeys,
}

impl Vault {
    /// A vault in a database that has [`migrations`](crate::migrations). Give
    /// one [`Kek`](crate::Kek), or a ring with old ones while rotating.
    pub fn new(pool: AnyPool, ring: impl Into<KekRing>) -> Self {
        Self {
            pool,
            ring: ring.into(),
            keys: KnownKeys::new(),
        }
    }

    /// Checks at start that every key-encryption key in use is configured, so
    /// that a lost key is found before anything is written beside it.
    ///
    /// # Errors
    /// [`VaultError::UnknownKek`], [`VaultError::Database`].
    pub async fn check(&self) -> Result<()> {
        let used = sqlx::query("SELECT DISTINCT kek_id FROM vault_key ORDER BY kek_id")
            .fetch_all(&self.pool)
            .await?;
        for row in used {
            let id: String = row.try_get("kek_id")?;
            if self.ring.find(&id).is_none() {
                return Err(VaultError::UnknownKek(id));
            }
        }
        Ok(())
    }

    /// Stores a text under a new reference.
    ///
    /// # Errors
    /// [`VaultError::Database`], or the owner's data key cannot be opened.
    pub async fn put(&self, owner: &Owner, value: &Secret) -> Result<VaultRef> {
        let reference = new_ref();
        self.put_at(reference, owner, value).await?;
        Ok(reference)
    }

    /// As [`Vault::put`], in the caller's transaction.
    ///
    /// # Errors
    /// As [`Vault::put`].
    pub async fn put_in(
        &self,
        tx: &mut AnyConnection,
        owner: &Owner,
        value: &Secret,
    ) -> Result<VaultRef> {
        let reference = new_ref();
        self.put_at_in(tx, reference, owner, value).await?;
        Ok(reference)
    }

    /// Stores a text under a chosen reference. Doing it again with the same text
    /// changes nothing; texts are never replaced.
    ///
    /// # Errors
    /// [`VaultError::Taken`] when the reference holds another text,
    /// [`VaultError::WrongOwner`], otherwise as [`Vault::put`].
    pub async fn put_at(&self, reference: VaultRef, owner: &Owner, value: &Secret) -> Result<()> {
        if self.put_at_once(reference, owner, value).await? {
            return Ok(());
        }
        let mut tx = self.pool.begin().await?;
        self.put_at_in(&mut tx, reference, owner, value).await?;
        tx.commit().await?;
        Ok(())
    }

    /// As [`Vault::put_at`], in the caller's transaction.
    ///
    /// # Errors
    /// As [`Vault::put_at`].
    pub async fn put_at_in(
        &self,
        tx: &mut AnyConnection,
        reference: VaultRef,
        owner: &Owner,
        value: &Secret,
    ) -> Result<()> {
        let subject = owner.subject();
        let data_key = self.claim_key(tx, &subject).await?;
        let sealed = cipher::seal(
            &data_key,
            &value_context(&subject, reference),
            value.expose().as_bytes(),
        );
        let inserted = sqlx::query(
            "INSERT INTO vault_value (id, subject, sealed) VALUES ($1, $2, $3) \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(reference.0.to_string())
        .bind(subject)
        .bind(sealed)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if inserted == 1 || self.get_in(tx, owner, &reference).await?.as_ref() == Some(value) {
            Ok(())
        } else {
            Err(VaultError::Taken)
        }
    }

    /// Reads a text. None when it was deleted, erased or never there.
    ///
    /// # Errors
    /// [`VaultError::WrongOwner`], [`VaultError::UnknownKek`],
    /// [`VaultError::Unreadable`], [`VaultError::Database`].
    pub async fn get(&self, owner: &Owner, reference: &VaultRef) -> Result<Option<Secret>> {
        let mut connection = self.pool.acquire().await?;
        self.get_in(&mut connection, owner, reference).await
    }

    /// As [`Vault::get`], in the caller's transaction.
    ///
    /// # Errors
    /// As [`Vault::get`].
    pub async fn get_in(
        &self,
        tx: &mut AnyConnection,
        owner: &Owner,
        reference: &VaultRef,
    ) -> Result<Option<Secret>> {
        let mut texts = self.get_many_in(tx, &[(*owner, *reference)]).await?;
        Ok(texts.pop().flatten())
    }

    /// Reads many texts with few queries; the answer has the order asked for.
    ///
    /// # Errors
    /// As [`Vault::get`]; one that fails fails all.
    pub async fn get_many(&self, wanted: &[(Owner, VaultRef)]) -> Result<Vec<Option<Secret>>> {
        let mut connection = self.pool.acquire().await?;
        self.get_many_in(&mut connection, wanted).await
    }

    /// As [`Vault::get_many`], in the caller's transaction.
    ///
    /// # Errors
    /// As [`Vault::get`]; one that fails fails all.
    pub async fn get_many_in(
        &self,
        tx: &mut AnyConnection,
        wanted: &[(Owner, VaultRef)],
    ) -> Result<Vec<Option<Secret>>> {
        let mut keys: HashMap<String, Key> = HashMap::new();
        let mut texts = Vec::with_capacity(wanted.len());
        for batch in wanted.chunks(BATCH) {
            let rows = load(tx, batch).await?;
            for (owner, reference) in batch {
                texts.push(match rows.get(reference) {
                    Some(row) => Some(self.open(&mut keys, owner, *reference, row)?),
                    None => None,
                });
            }
        }
        Ok(texts)
    }

    fn open(
        &self,
        keys: &mut HashMap<String, Key>,
        owner: &Owner,
        reference: VaultRef,
        row: &SealedRow,
    ) -> Result<Secret> {
        let subject = owner.subject();
        if row.subject != subject {
            return Err(VaultError::WrongOwner);
        }
        let context = value_context(&subject, reference);
        if !keys.contains_key(&subject) {
            let key = self.unwrap_key(&subject, &row.kek_id, &row.wrapped)?;
            keys.insert(subject.clone(), key);
        }
        let key = keys.get(&subject).ok_or(VaultError::Unreadable)?;
        let plain = cipher::open(key, &context, &row.sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| VaultError::Unreadable)?;
        Ok(Secret::new(text))
    }

    /// Deletes one text. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`VaultError::Database`].
    pub async fn delete(&self, reference: &VaultRef) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        self.delete_many_in(&mut connection, &[*reference]).await
    }

    /// Deletes texts that nothing refers to. A failure is only logged: what stays is never read, and goes when the
    /// owner is erased.
    pub async fn discard(&self, unused: impl IntoIterator<Item = VaultRef>) {
        for reference in unused {
            if let Err(error) = self.delete(&reference).await {
                tracing::warn!(%error, "an unused text stays in the vault");
            }
        }
    }

    /// Erases everything of an owner, by deleting its data key. What backups
    /// hold of it cannot be opened any more, unless they hold that key too.
    ///
    /// # Errors
    /// [`VaultError::Database`].
    pub async fn erase(&self, owner: &Owner) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        overwrite_deleted(&mut tx).await?;
        // The key first: it waits for a `put` that holds its row, whose text the second statement then sees.
        for sql in [
            "DELETE FROM vault_key WHERE subject = $1",
            "DELETE FROM vault_value WHERE subject = $1",
        ] {
            sqlx::query(sql)
                .bind(owner.subject())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        self.keys.forget(&owner.subject());
        let mut connection = self.pool.acquire().await?;
        if is_sqlite(&connection) {
            // The log still has the old pages until it is cut. A reader may be
            // in the way; the next checkpoint does it then.
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

/// A random reference, which reveals nothing.
pub(crate) fn new_ref() -> VaultRef {
    VaultRef(uuid::Builder::from_random_bytes(rand::random()).into_uuid())
}

struct SealedRow {
    subject: String,
    sealed: String,
    kek_id: String,
    wrapped: String,
}

async fn load(
    tx: &mut AnyConnection,
    wanted: &[(Owner, VaultRef)],
) -> Result<HashMap<VaultRef, SealedRow>> {
    let places: Vec<String> = (1..=wanted.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "SELECT v.id, v.subject, v.sealed, k.kek_id, k.wrapped FROM vault_value v \
         JOIN vault_key k ON k.subject = v.subject WHERE v.id IN ({})",
        places.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(wanted.len() == 1);
    for (_, reference) in wanted {
        query = query.bind(reference.0.to_string());
    }
    let mut rows = HashMap::with_capacity(wanted.len());
    for row in query.fetch_all(tx).await? {
        let id: String = row.try_get("id")?;
        let id = Uuid::parse_str(&id).map_err(|_| VaultError::Unreadable)?;
        let sealed = SealedRow {
            subject: row.try_get("subject")?,
            sealed: row.try_get("sealed")?,
            kek_id: row.try_get("kek_id")?,
            wrapped: row.try_get("wrapped")?,
        };
        rows.insert(VaultRef(id), sealed);
    }
    Ok(rows)
}

/// Associated data of a sealed text: moved to another row it cannot be decrypted.
pub(crate) fn value_context(subject: &str, reference: VaultRef) -> String {
    format!("portico/vault/value/v1|{subject}|{}", reference.0)
}
