//! Personal data: names and e-mail addresses are in the vault and nowhere else. A user is found by the blind index of
//! their e-mail address.

pub(crate) mod email;

use portico_eventstore::rows;
use portico_proto::{Error, accounts::v1 as proto};
use portico_runtime::{query_error, vault_error};
use portico_vault::{IndexKey, Owner, Secret, Vault, VaultError, VaultRef};
use sqlx::{AnyConnection, AnyPool};
use uuid::Uuid;

use crate::views::{self, ApiTokenRow, Person, UserRow};

/// Owner of a user's records in the vault.
pub(crate) fn owner(user_id: Uuid) -> Owner {
    Owner::new("user", user_id)
}

/// Reads and writes personal data. Cheap to clone.
#[derive(Clone)]
pub(crate) struct People {
    pub(crate) vault: Vault,
    pub(crate) pool: AnyPool,
    email_key: IndexKey,
    /// Blinds network addresses.
    pub(crate) address_key: IndexKey,
}

impl People {
    /// Fetches the keys of the blind indexes; creates them on an empty store.
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

    /// Blind index of an e-mail address, in whatever case it was typed.
    pub(crate) fn email_index(&self, typed: &str) -> String {
        self.email_key
            .blind_index(email::comparable(typed).expose())
    }

    /// The user with this e-mail address.
    pub(crate) async fn by_email(&self, email_index: &str) -> Result<Option<UserRow>, Error> {
        views::user_by_email(&self.pool, email_index)
            .await
            .map_err(query_error)
    }

    /// The users as the API shows them, in the given order. An erased user has neither name nor address.
    pub(crate) async fn describe(&self, rows: &[UserRow]) -> Result<Vec<proto::User>, Error> {
        let people = self.read(rows).await?;
        let users = rows.iter().zip(people);
        Ok(users.map(|(row, person)| row.message(person)).collect())
    }

    /// As [`People::describe`], for one user.
    pub(crate) async fn describe_one(&self, row: UserRow) -> Result<proto::User, Error> {
        let person = self.read(std::slice::from_ref(&row)).await?.pop();
        Ok(row.message(person.flatten()))
    }

    /// Names and addresses in the order of the rows, read from the vault in batches; `None` for an erased user.
    pub(crate) async fn read(&self, rows: &[UserRow]) -> Result<Vec<Option<Person>>, Error> {
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
        // Answers come in the order of the questions, and an erased user asked none.
        let mut next = || {
            let text = texts.next().flatten();
            text.map(|secret| secret.expose().to_owned())
        };
        Ok(rows
            .iter()
            .map(|row| match (row.name_ref, row.email_ref) {
                (Some(_), Some(_)) => {
                    let (name, email) = (next(), next());
                    name.zip(email).map(|(name, email)| Person { name, email })
                }
                _ => None,
            })
            .collect())
    }

    /// Keeps the name of an API token. The reference comes from the call, so that a repeated call keeps it once.
    ///
    /// # Errors
    /// Conflict `idempotency_key_reused` where the same call came with another name; the vault failed.
    pub(crate) async fn keep_token_name(
        &self,
        user_id: Uuid,
        command_id: Uuid,
        name: &Secret,
    ) -> Result<VaultRef, Error> {
        let reference = VaultRef(Uuid::new_v5(&command_id, b"api_token_name"));
        let kept = self.vault.put_at(reference, &owner(user_id), name).await;
        kept.map_err(vault_error)?;
        Ok(reference)
    }

    /// A user's API tokens with their names.
    pub(crate) async fn name_tokens(
        &self,
        user_id: Uuid,
        rows: Vec<ApiTokenRow>,
    ) -> Result<Vec<proto::ApiToken>, Error> {
        let wanted: Vec<_> = rows
            .iter()
            .map(|row| (owner(user_id), row.name_ref))
            .collect();
        let names = self.vault.get_many(&wanted).await.map_err(vault_error)?;
        let named = |(row, name): (ApiTokenRow, Option<Secret>)| proto::ApiToken {
            name: name.map_or_else(String::new, |name| name.expose().to_owned()),
            ..row.token
        };
        // In the order of the questions.
        Ok(rows.into_iter().zip(names).map(named).collect())
    }

    /// Claims an e-mail address for the given id, and returns the id that it belongs to: another one when it was claimed
    /// before, whether or not that sign-up was completed.
    pub(crate) async fn claim(
        tx: &mut AnyConnection,
        email_index: &str,
        user_id: Uuid,
    ) -> sqlx::Result<Uuid> {
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
        rows::id(&row)
    }

    /// Does what the `erased` event announced. Idempotent, so that it can be finished after a crash.
    pub(crate) async fn erase(&self, user_id: Uuid) -> Result<(), Error> {
        self.vault
            .erase(&owner(user_id))
            .await
            .map_err(vault_error)?;
        // The claim of the e-mail address goes last: while it stands, the worker finds an erasure that was interrupted.
        // Afterwards the address can sign up again.
        for sql in [
            "DELETE FROM sessions WHERE user_id = $1",
            "DELETE FROM known_places WHERE account_index IN (SELECT email_index FROM user_emails WHERE user_id = $1)",
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

    /// The hash of a user's password, or none when there is no such user.
    pub(crate) async fn password_hash(
        &self,
        user_id: Uuid,
        reference: Option<VaultRef>,
    ) -> Result<Option<Secret>, Error> {
        // An unknown user costs a query too, so that timing does not tell whether an account exists.
        let reference = reference.unwrap_or(VaultRef(Uuid::nil()));
        self.vault
            .get(&owner(user_id), &reference)
            .await
            .map_err(vault_error)
    }
}
