//! What is written with a data key that is known already: in one statement, or in a transaction of which the caller only
//! knows statements.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use crate::changes::Changes;
use crate::cipher;
use crate::data_key::{KnownKey, OVERWRITE_DELETED, is_sqlite};
use crate::secret::Secret;
use crate::store::{Owner, Result, Vault, VaultRef, value_context};

/// Writes a text if its owner's data key is still the known one. The key's row is held until the transaction ends, so that
/// nobody erases it in between; in SQLite nobody else writes anyway.
const PUT: &str = "INSERT INTO vault_value (id, subject, sealed) SELECT $1, $2, $3 FROM vault_key \
                   WHERE subject = $2 AND wrapped = $4";
const HELD: &str = " FOR SHARE";
const ONCE: &str = " ON CONFLICT (id) DO NOTHING";
const NEW_KEY: &str = "INSERT INTO vault_key (subject, kek_id, wrapped) VALUES ($1, $2, $3) \
                       ON CONFLICT (subject) DO NOTHING";

/// A statement of a transaction.
#[derive(Debug)]
pub struct Statement {
    /// With the parameters `$1`, `$2` and so on.
    pub sql: String,
    /// All are texts.
    pub parameters: Vec<String>,
    /// How many rows it must touch. Otherwise nothing of the transaction may be committed, and the changes are made by
    /// [`Vault::change_in`].
    pub rows: Option<u64>,
}

impl Vault {
    /// Statements that make the changes, on the guess that a subject whose data key is not known has none yet.
    #[must_use]
    pub fn statements(&self, changes: &Changes, is_sqlite: bool) -> Vec<Statement> {
        let held = if is_sqlite { "" } else { HELD };
        let mut statements = Vec::new();
        // Not remembered for others: whether they are stored is not known here.
        let mut new: HashMap<String, KnownKey> = HashMap::new();
        for (reference, owner, value) in &changes.stored {
            let sealed = self.sealed(*reference, owner, value);
            let sealed = sealed.unwrap_or_else(|| {
                let subject = owner.subject();
                if let Some(key) = new.get(&subject) {
                    return seal(*reference, subject, value, key.clone());
                }
                let (kek_id, key) = self.new_key(&subject);
                statements.push(Statement {
                    sql: NEW_KEY.to_owned(),
                    parameters: vec![subject.clone(), kek_id, key.0.clone()],
                    rows: Some(1),
                });
                new.insert(subject.clone(), key.clone());
                seal(*reference, subject, value, key)
            });
            statements.push(Statement {
                sql: [PUT, held, ONCE].concat(),
                parameters: sealed.to_vec(),
                rows: Some(1),
            });
        }
        if !changes.deleted.is_empty() && is_sqlite {
            statements.push(Statement {
                sql: OVERWRITE_DELETED.to_owned(),
                parameters: Vec::new(),
                rows: None,
            });
        }
        if !changes.deleted.is_empty() {
            let places: Vec<String> = (1..=changes.deleted.len())
                .map(|n| format!("${n}"))
                .collect();
            let ids = changes
                .deleted
                .iter()
                .map(|reference| reference.0.to_string());
            statements.push(Statement {
                sql: format!(
                    "DELETE FROM vault_value WHERE id IN ({})",
                    places.join(", ")
                ),
                parameters: ids.collect(),
                rows: None,
            });
        }
        statements
    }

    /// Stores a text in one statement. False where the data key is not known or not the same any more, or the reference is
    /// taken: then nothing was written.
    pub(crate) async fn put_at_once(
        &self,
        reference: VaultRef,
        owner: &Owner,
        value: &Secret,
    ) -> Result<bool> {
        let Some(sealed) = self.sealed(reference, owner, value) else {
            return Ok(false);
        };
        let mut connection = self.pool.acquire().await?;
        let held = if is_sqlite(&connection) { "" } else { HELD };
        let query = sqlx::query(AssertSqlSafe([PUT, held, ONCE].concat()));
        let query = sealed.into_iter().fold(query, |query, one| query.bind(one));
        Ok(query.execute(&mut *connection).await?.rows_affected() == 1)
    }

    /// Parameters of [`PUT`] with the known data key.
    fn sealed(&self, reference: VaultRef, owner: &Owner, value: &Secret) -> Option<[String; 4]> {
        let subject = owner.subject();
        let known = self.keys.get(&subject)?;
        Some(seal(reference, subject, value, known))
    }
}

fn seal(
    reference: VaultRef,
    subject: String,
    value: &Secret,
    (wrapped, key): KnownKey,
) -> [String; 4] {
    let context = value_context(&subject, reference);
    let sealed = cipher::seal(&key, &context, value.expose().as_bytes());
    [reference.0.to_string(), subject, sealed, wrapped]
}
