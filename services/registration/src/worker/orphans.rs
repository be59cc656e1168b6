//! Orphans: who knows which client it is, or a driver that can search, lets it be adopted or deleted. A client that
//! Portico did not make is neither.

use portico_eventstore::Context;
use portico_proto::{Error, Kind};
use portico_vault::{Owner, Secret};
use url::Url;
use uuid::Uuid;

use super::answer::owner;
use super::registration::random_secret;
use super::spool::AnswerSpool;
use super::{Job, WorkError, Worker};
use crate::client_metadata::{Metadata, WantedClient};
use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{
    Answered, Command, ORPHAN_OWNER, OauthClient, Orphan, OrphanCommand, OrphanReason, Rejection,
    Resolution,
};
use crate::providers::access::{self, Access, AccessError};
use crate::providers::{
    ChosenIds, Disposition, Failure, KnownClient, ReconcileClass, Reconciled, RegisteredClient,
};

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
    orphan: Orphan,
    /// As the provider says it is, where it was read already.
    read: Option<RegisteredClient>,
}

impl Worker {
    /// Adopts or deletes an orphan in the name of an admin.
    pub(crate) async fn resolve_orphan(
        &self,
        id: Uuid,
        marker: &str,
        action: OrphanAction,
        found: &ClaimedClient,
        context: &Context,
    ) -> Result<Result<(), Error>, WorkError> {
        let (marker, found, context) = (marker.to_owned(), found.clone(), context.clone());
        let work = async move |worker: Self| {
            let (marker, context) = (marker.as_str(), &context);
            let job = worker.jobs.load(id).await?;
            let subject = worker
                .subject(&job, marker, action, &found, context)
                .await?;
            let subject = match subject {
                Ok(subject) => subject,
                Err(error) => return Ok(Err(error)),
            };
            match action {
                OrphanAction::Adopt => worker.adopt(&job, marker, subject, context).await,
                OrphanAction::Delete => worker.delete_orphan(&job, marker, subject, context).await,
            }
        };
        Ok(self
            .alone_with(id, work)
            .await?
            .unwrap_or_else(|| Err(Rejection::Busy.into())))
    }

    /// Finds the client, and makes sure that it is one of ours.
    async fn subject(
        &self,
        job: &Job,
        marker: &str,
        action: OrphanAction,
        found: &ClaimedClient,
        context: &Context,
    ) -> Result<Result<Subject, Error>, WorkError> {
        let orphan = match action {
            OrphanAction::Adopt => job.state.adoptable(marker),
            OrphanAction::Delete => job.state.open_orphan(marker),
        };
        let orphan = match orphan {
            Ok(orphan) => orphan.clone(),
            Err(rejection) => return Ok(Err(rejection.into())),
        };
        let access = match self.access(job).await? {
            Ok(access) => access,
            Err(error) => return Ok(Err(error)),
        };
        let spool = AnswerSpool::new(&self.vault, job.id, ORPHAN);
        let mut known = self.claimed(job, &orphan, found).await?;
        let mut read = None;
        if known.client_id.is_empty() {
            match self.searched(job, &access, &spool, &orphan).await? {
                Ok(registered) => {
                    known.client_id.clone_from(&registered.client_id);
                    read = Some(registered);
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        if !access.driver().can_manage(&access.session(&spool), &known) {
            return Ok(Err(Error::field(
                "client.registration_access_token",
                "registration_access_token_missing",
                "`client.registration_access_token` and `client.registration_client_uri` must be given: nothing at \
                 hand allows to manage this client.",
            )));
        }
        if read.is_none() {
            match access.driver().read(&access.session(&spool), &known).await {
                Ok(registered) => read = Some(registered),
                Err(failure) if failure.disposition == Disposition::Gone => {
                    return Ok(Err(Error::new(
                        Kind::Conflict,
                        "orphan_not_there",
                        "There is no such client at the identity provider; dismiss the orphan.",
                    )));
                }
                Err(failure) => return Ok(Err(refused(&failure))),
            }
        }
        if let (Some(sent), Some(read)) = (&orphan.sent, &read)
            && !is_ours(sent, &read.granted)
        {
            return Ok(Err(Error::new(
                Kind::Conflict,
                "orphan_not_ours",
                format!(
                    "The client {} does not bear the mark {marker} or the application's name, so it is not the one \
                     that Portico asked for.",
                    known.client_id
                ),
            )));
        }
        if let Some(read) = &read {
            known = read.clone().merge_into(known.clone(), known.scopes.clone());
        }
        // A provider may give a new token with every answer, so the newest is kept before anything else is done.
        if let Err(error) = self.claim(job, marker, &known, context).await? {
            return Ok(Err(error));
        }
        spool.clear().await?;
        Ok(Ok(Subject {
            access,
            known,
            orphan,
            read,
        }))
    }

    async fn access(&self, job: &Job) -> Result<Result<Access, Error>, WorkError> {
        let id = job.state.identity_provider_id;
        let provider = self.store.load::<IdentityProvider>(id).await?.state;
        match access::open(&self.deps, &self.vault, id, &provider).await {
            Ok(access) => Ok(Ok(access)),
            Err(AccessError::Vault(error)) => Err(error.into()),
            Err(AccessError::Rejected(rejection)) => Ok(Err(rejection.into())),
        }
    }

    /// What is stored of the orphan, with what somebody says of it on top.
    async fn claimed(
        &self,
        job: &Job,
        orphan: &Orphan,
        found: &ClaimedClient,
    ) -> Result<KnownClient, WorkError> {
        let stored = match orphan.rat_ref {
            Some(reference) => {
                self.vault
                    .get(&Owner::new(ORPHAN_OWNER, job.id), &reference)
                    .await?
            }
            None => None,
        };
        let client_id = match found.client_id.as_str() {
            "" => orphan.client_id.clone(),
            given => given.to_owned(),
        };
        Ok(KnownClient {
            client_id,
            client_secret: None,
            registration_access_token: found.token.clone().or(stored),
            registration_client_uri: found.uri.clone().or_else(|| orphan.uri.clone()),
            granted: Metadata::default(),
            scopes: orphan
                .sent
                .as_ref()
                .map(|sent| sent.scopes.clone())
                .unwrap_or_default(),
        })
    }

    /// Asks the driver to find the client by what was sent.
    async fn searched(
        &self,
        job: &Job,
        access: &Access,
        spool: &AnswerSpool,
        orphan: &Orphan,
    ) -> Result<Result<RegisteredClient, Error>, WorkError> {
        let unknown = || {
            Error::field(
                "client.client_id",
                "client_id_missing",
                "`client.client_id` must be given: this identity provider cannot be searched for the mark.",
            )
        };
        let Some(sent) = &orphan.sent else {
            return Ok(Err(unknown()));
        };
        let ids = ChosenIds {
            client_id: String::new(),
            client_secret: random_secret(),
        };
        let driver = access.driver();
        if driver.class() != ReconcileClass::Search {
            return Ok(Err(unknown()));
        }
        let session = access.session(spool);
        let reconciled = match driver.prepare(access.site(), sent, &ids) {
            Ok(prepared) => driver.reconcile(&session, &prepared).await,
            Err(failure) => Err(failure),
        };
        tracing::debug!(oauth_client_id = %job.id, "searched for an orphan");
        Ok(match reconciled {
            Ok(Reconciled::Registered(registered)) => Ok(*registered),
            Ok(Reconciled::NotThere) => Err(Error::new(
                Kind::Conflict,
                "orphan_not_there",
                "There is no client with this mark at the identity provider; dismiss the orphan.",
            )),
            Ok(Reconciled::Unknown) => Err(unknown()),
            Err(failure) => Err(refused(&failure)),
        })
    }

    async fn claim(
        &self,
        job: &Job,
        marker: &str,
        known: &KnownClient,
        context: &Context,
    ) -> Result<Result<(), Error>, WorkError> {
        let rat_ref = match &known.registration_access_token {
            Some(token) => {
                let owner = Owner::new(ORPHAN_OWNER, job.id);
                Some(self.vault.put(&owner, token).await?)
            }
            None => None,
        };
        let command = OrphanCommand::Claim {
            marker: marker.to_owned(),
            client_id: known.client_id.clone(),
            rat_ref,
            uri: known.registration_client_uri.clone(),
        };
        self.tell(job.id, command, &context.step("claim")).await
    }

    async fn adopt(
        &self,
        job: &Job,
        marker: &str,
        subject: Subject,
        context: &Context,
    ) -> Result<Result<(), Error>, WorkError> {
        let Some(client_type_id) = job.state.type_for_adoption() else {
            return Ok(Err(Rejection::NotWanted.into()));
        };
        let Subject {
            access,
            known,
            orphan,
            read,
        } = subject;
        let public = orphan.sent.as_ref().is_some_and(|sent| sent.is_public());
        let spool = AnswerSpool::new(&self.vault, job.id, ORPHAN);
        let (secret, registered) = if public {
            (None, read)
        } else {
            let chosen = random_secret();
            let session = access.session(&spool);
            match access
                .driver()
                .rotate_secret(&session, &known, &chosen)
                .await
            {
                Ok(rotated) => {
                    let secret = rotated.client_secret.clone().unwrap_or(chosen);
                    (Some(secret), Some(rotated))
                }
                Err(failure) if failure.code == "secret_rotation_unsupported" => {
                    return Ok(Err(Error::new(
                        Kind::Conflict,
                        "orphan_not_adoptable",
                        "This identity provider has no way to give the client a new secret, and nobody knows the \
                         one it has; delete the orphan instead.",
                    )));
                }
                Err(failure) => return Ok(Err(refused(&failure))),
            }
        };
        let answer = self
            .adopted(job.id, &known, secret, registered.as_ref())
            .await?;
        let command = OrphanCommand::Adopt {
            marker: marker.to_owned(),
            answer,
            client_type_id,
        };
        let told = self.tell(job.id, command, context).await?;
        spool.clear().await?;
        Ok(told)
    }

    /// What is recorded of an adopted client; its secrets are the application's client's from now on.
    async fn adopted(
        &self,
        id: Uuid,
        known: &KnownClient,
        secret: Option<Secret>,
        registered: Option<&RegisteredClient>,
    ) -> Result<Answered, WorkError> {
        let token = registered
            .and_then(|registered| registered.registration_access_token.clone())
            .or_else(|| known.registration_access_token.clone());
        let secret_ref = match &secret {
            Some(secret) => Some(self.vault.put(&owner(id), secret).await?),
            None => None,
        };
        let rat_ref = match &token {
            Some(token) => Some(self.vault.put(&owner(id), token).await?),
            None => None,
        };
        let uri = registered.and_then(|registered| registered.registration_client_uri.clone());
        Ok(Answered {
            client_id: known.client_id.clone(),
            secret_ref,
            rat_ref,
            registration_client_uri: uri.or_else(|| known.registration_client_uri.clone()),
            secret_expires_at: registered.map_or(0, |one| one.client_secret_expires_at),
            granted: registered.map_or_else(|| known.granted.clone(), |one| one.granted.clone()),
            differences: Vec::new(),
            warnings: registered.map_or_else(Vec::new, |one| one.warnings.clone()),
        })
    }

    async fn delete_orphan(
        &self,
        job: &Job,
        marker: &str,
        subject: Subject,
        context: &Context,
    ) -> Result<Result<(), Error>, WorkError> {
        let Subject {
            access,
            known,
            orphan,
            ..
        } = subject;
        // The client that is in use is deleted by a revocation, and by nothing else.
        let in_use = job.state.live().is_some_and(|live| {
            live.answer.client_id == known.client_id && orphan.reason != OrphanReason::DeleteRefused
        });
        if in_use {
            return Ok(Err(Error::new(
                Kind::Conflict,
                "client_in_use",
                "This client is the application's; revoke its access instead.",
            )));
        }
        let spool = AnswerSpool::new(&self.vault, job.id, ORPHAN);
        let deleted = access
            .driver()
            .delete(&access.session(&spool), &known)
            .await;
        if let Err(failure) = deleted
            && failure.disposition != Disposition::Gone
        {
            return Ok(Err(refused(&failure)));
        }
        let command = OrphanCommand::Resolve {
            marker: marker.to_owned(),
            how: Resolution::Deleted,
            note: None,
        };
        self.tell(job.id, command, context).await
    }

    async fn tell(
        &self,
        id: Uuid,
        command: OrphanCommand,
        context: &Context,
    ) -> Result<Result<(), Error>, WorkError> {
        let command = Command::Orphan(command);
        let told = self
            .store
            .execute::<OauthClient>(id, &command, context)
            .await;
        Ok(told.map(drop).map_err(portico_runtime::refuse))
    }
}

/// Whether the provider's metadata bear what was sent: the mark, or at least the name.
fn is_ours(sent: &WantedClient, found: &Metadata) -> bool {
    let mark = sent.marker.to_string();
    let name = found.text("client_name").unwrap_or_default();
    let by_software = found.text("software_id") == Some(sent.marker.id.as_str())
        && found
            .text("software_version")
            .is_none_or(|version| version == sent.marker.attempt.to_string());
    by_software || name.contains(&mark) || name == sent.client_name()
}

/// The error that an admin gets when the provider refuses.
fn refused(failure: &Failure) -> Error {
    let kind = match failure.disposition {
        Disposition::Retry => Kind::Unavailable,
        _ => Kind::Conflict,
    };
    Error::new(
        kind,
        "provider_refused",
        format!(
            "The identity provider refused ({}): {}",
            failure.code, failure.description
        ),
    )
}
