//! Orphans: who knows which client it is, or a driver that can search, lets it be adopted or deleted. A client that
//! Portico did not make is neither.

mod subject;

use portico_eventstore::{Context, StoreError};
use portico_proto::Error;
use portico_vault::{Changes, Owner, Secret, VaultError};
use url::Url;
use uuid::Uuid;

use super::answer::{keep, owner};
use super::spool::AnswerSpool;
use super::{Job, WorkError, Worker};
use crate::client_metadata::WantedClient;
use crate::oauth_client::{
    AdoptedClient, Answered, Command, FoundClient, ORPHAN_OWNER, OauthClient, Orphan,
    OrphanCommand, Rejection, Resolution, Resolved,
};
use crate::providers::{Access, Disposition, KnownClient, RegisteredClient};
use subject::{check_manageable, conflict, is_ours, new_secret, read, search};

pub(crate) use subject::refused;

/// Answers to work on orphans are spooled under this, which no attempt has.
const ORPHAN: u32 = u32::MAX - 1;

/// Which client it is, as far as somebody says.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClaimedClient {
    pub(crate) client_id: String,
    pub(crate) token: Option<Secret>,
    pub(crate) uri: Option<Url>,
}

/// What is to be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrphanAction {
    Adopt,
    Delete,
}

/// The client of an orphan, ready to be worked on.
struct Subject {
    access: Access,
    known: KnownClient,
    /// What was sent of it; none where Portico never asked for it under this mark.
    sent: Option<Sent>,
    /// As the provider says it is.
    read: RegisteredClient,
}

/// What was sent of an orphan, as the application is now.
struct Sent {
    client: WantedClient,
    /// Name and redirect URLs are those of no application any more.
    erased: bool,
}

/// Why an orphan was not resolved.
enum Stop {
    /// The admin gets this answer.
    Refused(Box<Error>),
    /// The work is to be repeated.
    Work(WorkError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(Box::new(error))
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Work(error.into())
    }
}

impl From<VaultError> for Stop {
    fn from(error: VaultError) -> Self {
        Self::Work(error.into())
    }
}

impl Worker {
    /// Adopts or deletes an orphan in the name of an admin. Gives why that is refused.
    pub(crate) async fn resolve_orphan(
        &self,
        id: Uuid,
        marker: &str,
        action: OrphanAction,
        claimed: &ClaimedClient,
        context: &Context,
    ) -> Result<Result<(), Error>, WorkError> {
        let (marker, claimed, context) = (marker.to_owned(), claimed.clone(), context.clone());
        let work = async move |worker: Self| {
            let orphans = Orphans { worker, context };
            match orphans.resolve(id, &marker, action, &claimed).await {
                Ok(()) => Ok(Ok(())),
                Err(Stop::Refused(error)) => Ok(Err(*error)),
                Err(Stop::Work(error)) => Err(error),
            }
        };
        Ok(self
            .alone_with(id, work)
            .await?
            .unwrap_or_else(|| Err(Rejection::Busy.into())))
    }
}

/// The worker, in the name of an admin.
struct Orphans {
    worker: Worker,
    context: Context,
}

impl Orphans {
    async fn resolve(
        &self,
        id: Uuid,
        marker: &str,
        action: OrphanAction,
        claimed: &ClaimedClient,
    ) -> Result<(), Stop> {
        let job = self.worker.jobs.load(id).await?;
        let orphan = match action {
            OrphanAction::Adopt => job.state.adoptable(marker),
            OrphanAction::Delete => job.state.open_orphan(marker),
        };
        let orphan = orphan.map_err(Error::from)?.clone();
        let subject = self.subject(&job, marker, orphan, claimed).await?;
        match action {
            OrphanAction::Adopt => self.adopt(&job, marker, subject).await,
            OrphanAction::Delete => self.delete(&job, marker, subject).await,
        }
    }

    /// Finds the client, and makes sure that it is one of ours.
    async fn subject(
        &self,
        job: &Job,
        marker: &str,
        orphan: Orphan,
        claimed: &ClaimedClient,
    ) -> Result<Subject, Stop> {
        let access = self.worker.access(job).await.map_err(Stop::Work)?;
        let access = access.map_err(Error::from)?;
        let spool = AnswerSpool::new(&self.worker.vault, job.id, ORPHAN);
        let mut known = self.known(job, &orphan, claimed).await?;
        let sent = self.sent(job, &orphan).await?;
        let found = match known.client_id.is_empty() {
            true => {
                let sent = sent.as_ref().map(|sent| &sent.client);
                Some(search(&access, &spool, sent).await?)
            }
            false => None,
        };
        if let Some(found) = &found {
            known.client_id.clone_from(&found.client_id);
        }
        self.check_unused(job, marker, &known.client_id).await?;
        check_manageable(&access, &spool, &known)?;
        let read = match found {
            Some(found) => found,
            None => read(&access, &spool, &known).await?,
        };
        if let Some(sent) = &sent
            && !is_ours(sent, &read)
        {
            spool.clear().await?;
            let message = format!(
                "The client {} does not bear the mark {marker} or the application's name, so it is not the one that \
                 Portico asked for.",
                known.client_id
            );
            return Err(conflict("orphan_not_ours", message));
        }
        let scopes = known.scopes.clone();
        known = read.clone().merge_into(known, scopes);
        // A provider may give a new token with every answer, so the newest is kept before anything else is done.
        self.claim(job, marker, &known).await?;
        spool.clear().await?;
        Ok(Subject {
            access,
            known,
            sent,
            read,
        })
    }

    /// What was sent, where that is known.
    async fn sent(&self, job: &Job, orphan: &Orphan) -> Result<Option<Sent>, Stop> {
        let Some(sent) = &orphan.sent else {
            return Ok(None);
        };
        let application = job.state.application_id;
        let texts = self.worker.texts_of(application, sent.profile).await?;
        Ok(Some(Sent {
            client: sent.named(&texts),
            erased: texts.erased,
        }))
    }

    /// What is stored of the orphan, with what somebody says of it on top.
    async fn known(
        &self,
        job: &Job,
        orphan: &Orphan,
        claimed: &ClaimedClient,
    ) -> Result<KnownClient, Stop> {
        let owner = Owner::new(ORPHAN_OWNER, job.id);
        let stored = match orphan.rat_ref {
            Some(reference) => self.worker.vault.get(&owner, &reference).await?,
            None => None,
        };
        let client_id = match claimed.client_id.as_str() {
            "" => orphan.client_id.clone(),
            // Where there is no mark to know it by, Portico was told its id by the provider.
            given if orphan.sent.is_none() && given != orphan.client_id => {
                let message = format!("The client of this orphan is {}.", orphan.client_id);
                return Err(conflict("orphan_not_ours", message));
            }
            given => given.to_owned(),
        };
        Ok(KnownClient {
            client_id,
            registration_access_token: claimed.token.clone().or(stored),
            registration_client_uri: claimed.uri.clone().or_else(|| orphan.uri.clone()),
            scopes: orphan.scopes.clone(),
            ..KnownClient::default()
        })
    }

    /// A client that an application uses is neither adopted nor deleted, whatever is listed of it.
    async fn check_unused(&self, job: &Job, marker: &str, client_id: &str) -> Result<(), Stop> {
        let usable = job.state.resolvable(marker, client_id);
        usable.map_err(Error::from)?;
        let is_anothers = self.worker.is_anothers(job, client_id).await;
        match is_anothers.map_err(Stop::Work)? {
            true => Err(Error::from(Rejection::ClientInUse).into()),
            false => Ok(()),
        }
    }

    async fn claim(&self, job: &Job, marker: &str, known: &KnownClient) -> Result<(), Stop> {
        let owner = Owner::new(ORPHAN_OWNER, job.id);
        let mut changes = Changes::default();
        let token = known.registration_access_token.as_ref();
        let rat_ref = keep(&owner, token, &mut changes);
        let command = OrphanCommand::Claim(FoundClient {
            marker: marker.to_owned(),
            client_id: known.client_id.clone(),
            rat_ref,
            uri: known.registration_client_uri.clone(),
        });
        self.execute(job.id, command, &self.context.step("claim"), changes)
            .await
    }

    async fn adopt(&self, job: &Job, marker: &str, subject: Subject) -> Result<(), Stop> {
        let client_type_id = job.state.type_for_adoption();
        let client_type_id = client_type_id.ok_or_else(|| Error::from(Rejection::NotWanted))?;
        let Subject {
            access,
            known,
            sent,
            read,
        } = subject;
        let spool = AnswerSpool::new(&self.worker.vault, job.id, ORPHAN);
        let public = sent.as_ref().is_some_and(|sent| sent.client.is_public());
        let (secret, registered) = match public {
            true => (None, read),
            false => new_secret(&access, &spool, &known).await?,
        };
        let sent = sent.map(|sent| sent.client).unwrap_or_default();
        let mut changes = Changes::default();
        let answer = adopted(job, &known, (secret, &sent), registered, &mut changes);
        let command = OrphanCommand::Adopt(AdoptedClient {
            marker: marker.to_owned(),
            answer: answer.map_err(Stop::Work)?,
            client_type_id,
        });
        let adopted = self.execute(job.id, command, &self.context, changes).await;
        spool.clear().await?;
        adopted
    }

    async fn delete(&self, job: &Job, marker: &str, subject: Subject) -> Result<(), Stop> {
        let Subject { access, known, .. } = subject;
        let spool = AnswerSpool::new(&self.worker.vault, job.id, ORPHAN);
        let session = access.session(&spool).about(&known);
        if let Err(failure) = access.driver().delete(&session, &known).await
            && failure.disposition != Disposition::Gone
        {
            return Err(refused(&failure).into());
        }
        let command = OrphanCommand::Resolve(Resolved {
            marker: marker.to_owned(),
            how: Resolution::Deleted,
            note: None,
        });
        self.execute(job.id, command, &self.context, Changes::default())
            .await
    }

    /// Appends, with what changes in the vault by it, all or nothing.
    async fn execute(
        &self,
        id: Uuid,
        command: OrphanCommand,
        context: &Context,
        changes: Changes,
    ) -> Result<(), Stop> {
        let (worker, command) = (&self.worker, Command::Orphan(command));
        let (sealed, beside) = (changes.stores(), worker.beside(changes));
        let done = worker
            .store
            .execute_beside::<OauthClient>(id, 0, &command, context, Some(beside))
            .await;
        let done = done.map_err(portico_runtime::refuse)?;
        let forgotten = worker.forget_erased(&done.state, sealed).await;
        forgotten.map_err(Stop::Work)
    }
}

/// What is recorded of an adopted client; its secrets are the application's client's from now on.
fn adopted(
    job: &Job,
    known: &KnownClient,
    (secret, sent): (Option<Secret>, &WantedClient),
    registered: RegisteredClient,
    changes: &mut Changes,
) -> Result<Answered, WorkError> {
    let token = registered.registration_access_token;
    let token = token.or_else(|| known.registration_access_token.clone());
    let uri = registered.registration_client_uri;
    let mut answer = Answered {
        client_id: known.client_id.clone(),
        secret_ref: keep(&owner(job.id), secret.as_ref(), changes),
        rat_ref: keep(&owner(job.id), token.as_ref(), changes),
        registration_client_uri: uri.or_else(|| known.registration_client_uri.clone()),
        secret_expires_at: registered.client_secret_expires_at,
        granted: registered.granted,
        warnings: registered.warnings,
        ..Answered::default()
    };
    Worker::keep_echo(job, sent, &mut answer, changes)?;
    Ok(answer)
}
