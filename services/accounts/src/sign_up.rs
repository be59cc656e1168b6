//! Sign-up: claim the e-mail address, seal the personal data, append the event. The first admin takes the same way.

use portico_eventstore::{Context, EventStore, Metadata, Outcome};
use portico_proto::Error;
use portico_runtime::{
    Clock, Deps, Problems, Role, StartError, query_error, refuse, texts, vault_error,
};
use portico_vault::{Secret, VaultRef};
use uuid::Uuid;

use crate::{
    people::{People, email::Email, owner},
    sign_in::password::{self, Passwords},
    user::{AccountCommand, Command, Rejection, Status, User},
    views::{self, Person},
};

/// Name of the first admin.
const FIRST_ADMIN: &str = "Administrator";

/// A sign-up with validated name, e-mail address and password.
pub(crate) struct NewUser {
    name: Secret,
    email: Email,
    password: Secret,
}

impl NewUser {
    /// # Errors
    /// Invalid, with a problem for every wrong field.
    pub(crate) fn parse(name: &str, email: &str, password: &str) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let name = texts::name(&mut problems, "name", name);
        let parsed = Email::parse(email);
        match &parsed {
            // Two addresses that look alike are two accounts to us and one to an admin who approves them.
            Some(email) => texts::no_disguise(&mut problems, "email", email.secret().expose()),
            None => problems.add(
                "email",
                "email_invalid",
                "`email` must be an e-mail address such as ada@example.org.",
            ),
        }
        password::check(password, &mut problems);
        problems.into_result()?;
        let email = parsed.ok_or_else(Error::internal)?;
        Ok(Self {
            name: name.into(),
            email,
            password: password.into(),
        })
    }

    /// Name and address, as they were given.
    pub(crate) fn person(&self) -> Person {
        Person {
            name: self.name.expose().to_owned(),
            email: self.email.secret().expose().to_owned(),
        }
    }
}

/// Signs people up. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SignUps {
    pub(crate) store: EventStore,
    pub(crate) people: People,
    pub(crate) passwords: Passwords,
    pub(crate) clock: Clock,
}

impl SignUps {
    /// Creates the user and returns their id. `repeatable` says that the call has an idempotency key, so it may be a
    /// repetition of one that succeeded.
    ///
    /// Two sign-ups with one address at the same time get the same id from [`People::claim`], so only one of them can
    /// append to the empty stream. For the same reason a claim that a crashed process left behind blocks nobody.
    ///
    /// # Errors
    /// Conflict `email_taken`.
    pub(crate) async fn register(
        &self,
        new: &NewUser,
        role: Role,
        status: Status,
        context: &Context,
        repeatable: bool,
    ) -> Result<Uuid, Error> {
        let email_index = self.people.email_index(new.email.secret().expose());
        let taken = self.people.by_email(&email_index).await?.is_some();
        // A repeated call must reach the event store, which recognises it by its command id.
        if taken && !repeatable {
            return Err(Rejection::EmailTaken.into());
        }
        let hash = self.passwords.hash(new.password.clone()).await?;
        let (id, references) = self.seal(&email_index, new, &hash).await?;
        let [name_ref, email_ref, password_ref] = references;
        let command = Command::Account(AccountCommand::SignUp {
            status,
            role,
            name_ref,
            email_ref,
            password_ref,
        });
        match self.store.execute::<User>(id, &command, context).await {
            Ok(Outcome { events, .. }) if !events.is_empty() => Ok(id),
            // Idempotency keys are not secret. A repetition is not asked for the password: an answer that depended on it would
            // let anybody who knows a key guess without a limit.
            Ok(_) => {
                self.people.vault.discard(references).await;
                Ok(id)
            }
            Err(error) => {
                if error.is_refusal() {
                    self.people.vault.discard(references).await;
                }
                Err(refuse(error))
            }
        }
    }

    /// Claims the e-mail address and seals name, address and password hash, in one transaction.
    async fn seal(
        &self,
        email_index: &str,
        new: &NewUser,
        hash: &Secret,
    ) -> Result<(Uuid, [VaultRef; 3]), Error> {
        let mut tx = self.people.pool.begin().await.map_err(query_error)?;
        let id = People::claim(&mut tx, email_index, self.clock.new_id())
            .await
            .map_err(query_error)?;
        let mut references = [VaultRef(Uuid::nil()); 3];
        for (reference, text) in references
            .iter_mut()
            .zip([&new.name, new.email.secret(), hash])
        {
            *reference = self
                .people
                .vault
                .put_in(&mut tx, &owner(id), text)
                .await
                .map_err(vault_error)?;
        }
        tx.commit().await.map_err(query_error)?;
        Ok((id, references))
    }

    /// Creates the configured admin if there are no users. Several replicas may try at once: one succeeds, the others are
    /// told `email_taken`.
    ///
    /// # Errors
    /// The database failed, or the configured address or password is invalid.
    pub(crate) async fn first_admin(&self, deps: &Deps) -> Result<(), StartError> {
        let Some(admin) = &deps.config.admin else {
            return Ok(());
        };
        let failed = |error: Error| StartError::Other(format!("accounts: first admin: {error}"));
        let empty = views::is_empty(&self.people.pool)
            .await
            .map_err(|error| failed(query_error(error)))?;
        if !empty {
            return Ok(());
        }
        let new = NewUser::parse(FIRST_ADMIN, admin.email.expose(), admin.password.expose())
            .map_err(failed)?;
        let command_id = self.clock.new_id();
        let context = Context {
            metadata: Metadata {
                actor: "service:accounts".to_owned(),
                correlation: Some(command_id),
                ..Metadata::default()
            },
            now: self.clock.now(),
            command_id,
        };
        match self
            .register(&new, Role::Admin, Status::Active, &context, false)
            .await
        {
            Ok(id) => {
                tracing::info!(user_id = %id, "created the first admin {id}");
                Ok(())
            }
            Err(error) if error.code == "email_taken" => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}
