//! Names and e-mail addresses: in the vault, and nowhere else. Whose an address is, is found by its blind index.

use portico_proto::{Error, accounts::v1 as proto};
use portico_runtime::query_error;
use portico_vault::{IndexKey, Owner, Secret, Vault, VaultError, VaultRef};
use sqlx::{AnyConnection, AnyPool, Row as _};
use uuid::Uuid;

use crate::{
    email,
    views::{self, UserRow},
};

/// The vault's owner of what is about a user.
pub(crate) fn owner(user_id: Uuid) -> Owner {
    Owner::new("user", user_id)
}

/// What is known about a person.
#[derive(Debug, Clone, Default)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
}

/// Reads and writes personal data. Cheap to clone.
#[derive(Clone)]
pub(crate) struct People {
    pub(crate) vault: Vault,
    pub(crate) pool: AnyPool,
    email_key: IndexKey,
    /// Of network addresses.
    pub(crate) address_key: IndexKey,
}

impl People {
    /// Fetches the key of the blind index, or makes it.
    pub(crate) async fn open(vault: Vault, pool: AnyPool) -> Result<Self, VaultError> {
        vault.check().await?;
        let email_key = vault.index_key("email").await?;
        let address_key = vault.index_key("address").await?;
        Ok(Self {
            vault,
            pool,
            email_key,
            address_key,
        })
    }

    /// Blind index of an address as somebody typed it.
    pub(crate) fn email_index(&self, typed: &str) -> String {
        self.email_key
            .blind_index(email::comparable(typed).expose())
    }

    /// The user whose address this is; none where nobody signed up with it.
    pub(crate) async fn by_email(&self, email_index: &str) -> Result<Option<UserRow>, Error> {
        views::user_by_email(&self.pool, email_index)
            .await
            .map_err(query_error)
    }

    /// The users as the API shows them, in their order. An erased one has neither name nor address.
    pub(crate) async fn describe(&self, rows: &[UserRow]) -> Result<Vec<proto::User>, Error> {
        let people = self.read(rows).await?;
        let users = rows.iter().zip(people);
        Ok(users.map(|(row, person)| row.message(person)).collect())
    }

    /// As [`People::describe`], for one.
    pub(crate) async fn describe_one(&self, row: UserRow) -> Result<proto::User, Error> {
        let person = self.read(std::slice::from_ref(&row)).await?.pop();
        Ok(row.message(person.unwrap_or_default()))
    }

    /// Names and addresses, with one query for each few hundred.
    pub(crate) async fn read(&self, rows: &[UserRow]) -> Result<Vec<Person>, Error> {
        let mut wanted = Vec::with_capacity(rows.len() * 2);
        for row in rows {
            if let (Some(name), Some(email)) = (row.name_ref, row.email_ref) {
                wanted.extend([(owner(row.id), name), (owner(row.id), email)]);
            }
        }
        let mut texts = self
            .vault
            .get_many(&wanted)
            .await
            .map_err(vault_error)?
            .into_iter();
        let mut next = || {
            let text = texts.next().flatten();
            text.map(|secret| secret.expose().to_owned())
                .unwrap_or_default()
        };
        Ok(rows
            .iter()
            .map(|row| match (row.name_ref, row.email_ref) {
                (Some(_), Some(_)) => Person {
                    name: next(),
                    email: next(),
                },
                _ => Person::default(),
            })
            .collect())
    }

    /// Claims an address for the given id. The answer is the id that it belongs to: another one where somebody
    /// else claimed it before, whether they went on to sign up or not.
    pub(crate) async fn claim(
        tx: &mut AnyConnection,
        email_index: &str,
        user_id: Uuid,
    ) -> Result<Uuid, sqlx::Error> {
        sqlx::query(
            "INSERT INTO user_emails (email_index, user_id) VALUES ($1, $2) \
             ON CONFLICT (email_index) DO NOTHING",
        )
        .bind(email_index.to_owned())
        .bind(user_id.to_string())
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query("SELECT user_id FROM user_emails WHERE email_index = $1")
            .bind(email_index.to_owned())
            .fetch_one(tx)
            .await?;
        views::uuid(&row.try_get::<String, _>(0)?)
    }

    /// Deletes texts that no event refers to.
    pub(crate) async fn forget(&self, references: &[VaultRef]) {
        for reference in references {
            if let Err(error) = self.vault.delete(reference).await {
                tracing::warn!(%error, "unused vault entry not deleted");
            }
        }
    }

    /// What the event `erased` leaves to do: the vault, the sessions, and last the address, which may then be
    /// used to sign up anew. Doing it again changes nothing.
    pub(crate) async fn erase(&self, user_id: Uuid) -> Result<(), Error> {
        self.vault
            .erase(&owner(user_id))
            .await
            .map_err(vault_error)?;
        for sql in [
            "DELETE FROM sessions WHERE user_id = $1",
            "DELETE FROM user_emails WHERE user_id = $1",
        ] {
            sqlx::query(sql)
                .bind(user_id.to_string())
                .execute(&self.pool)
                .await
                .map_err(query_error)?;
        }
        Ok(())
    }

    /// The hash of a user's password, or none.
    pub(crate) async fn password_hash(
        &self,
        user_id: Uuid,
        reference: Option<VaultRef>,
    ) -> Result<Option<Secret>, Error> {
        // Asks for nobody's hash too, so that an unknown user costs a query as a known one does.
        let reference = reference.unwrap_or(VaultRef(Uuid::nil()));
        self.vault
            .get(&owner(user_id), &reference)
            .await
            .map_err(vault_error)
    }
}

/// What a failing vault is to the caller; logged here, once.
pub(crate) fn vault_error(error: VaultError) -> Error {
    match error {
        VaultError::Database(error) => query_error(error),
        other => {
            tracing::error!(error = %other, "vault failed");
            Error::internal()
        }
    }
}
