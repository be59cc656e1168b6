//! Profiles of applications: each in the vault, under the person whom the application belongs to, so that it is gone with
//! them. Their names are also in a table, for search and sorting, and overwritten there when the person is erased. It is no
//! view: events do not hold the names.

use std::sync::Arc;

use futures::FutureExt as _;
use portico_eventstore::{Beside, Context, EventStore, Tx, cells, sqlx};
use portico_proto::Error;
use portico_runtime::{query_error, seal_in_append, vault_error};
use portico_vault::{Changes, Owner, Secret, Vault, VaultRef};
use sqlx::AnyPool;
use uuid::Uuid;

use crate::{
    application::{Application, Command, KeptProfile, Profile},
    views::{applications, refused},
};

/// Erases what a person wrote of their applications; again changes nothing.
pub(crate) async fn erase(
    store: &EventStore,
    profiles: &Profiles,
    owner: Uuid,
    context: &Context,
) -> Result<(), Error> {
    let found = applications::of_owner(store.database().pool(), owner).await;
    for id in found.map_err(query_error)? {
        let step = context.step(&format!("erasure of {id}"));
        store
            .execute::<Application>(id, &Command::Erase, &step)
            .await
            .map_err(refused)?;
    }
    // Last: nothing is written under the owner after these events.
    profiles.erase(owner).await
}

/// Whose texts go when a person is erased.
fn owner(user: Uuid) -> Owner {
    Owner::new("user", user)
}

/// Reads and writes profiles. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Profiles {
    vault: Vault,
    pool: AnyPool,
}

impl Profiles {
    pub(crate) fn new(vault: Vault, pool: AnyPool) -> Self {
        Self { vault, pool }
    }

    /// What events hold of a profile, and what is to be written in the transaction of the append.
    ///
    /// # Errors
    /// Internal, if it cannot be written as JSON.
    pub(crate) fn keep(
        &self,
        user: Uuid,
        application: Uuid,
        profile: &Profile,
    ) -> Result<(KeptProfile, Beside), Error> {
        let text = serde_json::to_string(profile).map_err(|error| {
            tracing::error!(%error, "a profile cannot be written");
            Error::internal()
        })?;
        let mut changes = Changes::default();
        let kept = KeptProfile {
            profile_ref: changes.put(&owner(user), &Secret::new(text)),
            has_redirect_urls: !profile.redirect_urls.is_empty(),
        };
        let write = Arc::new((self.vault.clone(), changes, profile.name.clone()));
        let beside = Beside::new(move |tx| {
            let write = Arc::clone(&write);
            async move {
                let (vault, changes, name) = &*write;
                seal_in_append(tx, vault, changes).await?;
                write_name(tx, application, name).await.map_err(Into::into)
            }
            .boxed()
        });
        Ok((kept, beside))
    }

    /// The present profile of an application.
    pub(crate) async fn of(&self, application: &Application) -> Result<Profile, Error> {
        let mut found = self.of_all(std::iter::once(application)).await?;
        found.pop().ok_or_else(Error::internal)
    }

    /// The present profiles of applications, in their order, with few queries.
    pub(crate) async fn of_all(
        &self,
        applications: impl Iterator<Item = &Application> + Send,
    ) -> Result<Vec<Profile>, Error> {
        let kept: Vec<_> = applications
            .map(|application| Some((application.owner_id, application.profile?.profile_ref)))
            .collect();
        let wanted: Vec<_> = kept.iter().flatten().copied().collect();
        let mut found = self.read(&wanted).await?.into_iter();
        // Answers come in the order of the questions, and what is erased asked none.
        let mut next = |there: Option<_>| there.and_then(|_| found.next().flatten());
        let profiles = kept
            .into_iter()
            .map(|kept| next(kept).unwrap_or_else(Profile::erased));
        Ok(profiles.collect())
    }

    /// An earlier or the present profile of somebody's application; `None` where it is erased.
    pub(crate) async fn at(&self, user: Uuid, profile: VaultRef) -> Result<Option<Profile>, Error> {
        Ok(self.read(&[(user, profile)]).await?.pop().flatten())
    }

    async fn read(&self, wanted: &[(Uuid, VaultRef)]) -> Result<Vec<Option<Profile>>, Error> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(user, kept)| (owner(*user), *kept))
            .collect();
        let texts = self.vault.get_many(&wanted).await.map_err(vault_error)?;
        let parse = |text: Secret| {
            serde_json::from_str(text.expose()).map_err(|_| {
                tracing::error!("a profile in the vault cannot be read");
                Error::internal()
            })
        };
        texts
            .into_iter()
            .map(|text| text.map(parse).transpose())
            .collect()
    }

    /// Erases everything that a person wrote of their applications.
    pub(crate) async fn erase(&self, user: Uuid) -> Result<(), Error> {
        self.erase_names(user).await.map_err(query_error)?;
        // After the names: it also cuts the log of SQLite, which has their old pages.
        self.vault.erase(&owner(user)).await.map_err(vault_error)
    }

    async fn erase_names(&self, user: Uuid) -> sqlx::Result<()> {
        let mut tx = self.pool.begin().await?;
        if tx.backend_name() == SQLITE {
            sqlx::query(OVERWRITE_REPLACED).execute(&mut *tx).await?;
        }
        let name = Profile::erased().name;
        sqlx::query(
            "UPDATE application_names SET name = $1, name_lower = $2 \
             WHERE application IN (SELECT id FROM applications WHERE owner_id = $3)",
        )
        .bind(name.clone())
        .bind(name.to_lowercase())
        .bind(user.to_string())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }
}

const SQLITE: &str = "SQLite";
/// So that no old name stays in a page.
const OVERWRITE_REPLACED: &str = "PRAGMA secure_delete = ON";

async fn write_name(tx: &mut Tx, application: Uuid, name: &str) -> sqlx::Result<()> {
    let is_sqlite = match tx.gathers_for_sqlite() {
        Some(is_sqlite) => is_sqlite,
        None => tx.connection()?.backend_name() == SQLITE,
    };
    if is_sqlite {
        tx.execute(OVERWRITE_REPLACED, Vec::new()).await?;
    }
    let sql = "INSERT INTO application_names (application, name, name_lower) VALUES ($1, $2, $3) \
               ON CONFLICT (application) DO UPDATE SET name = excluded.name, name_lower = excluded.name_lower";
    tx.execute(sql, cells![application, name, name.to_lowercase()])
        .await
}
