//! Attempts to register that have no outcome: what the spool holds, what the provider finds, and what is listed where
//! neither says.

use portico_runtime::config::Retry;

use super::{Provider, anothers};
use crate::client_metadata::WantedClient;
use crate::oauth_client::{
    AfterSuspicion, Command, FailedAttempt, RegistrationCommand, RegistrationIntended,
};
use crate::providers::{
    Access, ChosenIds, Failure, ReconcileClass, Reconciled, RegisteredClient, Step,
};
use crate::worker::failure::lacking;
use crate::worker::spool::AnswerSpool;
use crate::worker::texts::impersonal;
use crate::worker::usable::with_later;
use crate::worker::{Job, WorkError, Worker};

/// Suspected orphans in a row before a client is parked.
const ORPHANS: u32 = 3;
/// Searches that find nothing before the next one is believed.
const LOOKS: u32 = 3;

impl Worker {
    /// What became of an attempt without an outcome.
    pub(in crate::worker) async fn reconcile(&self, job: &Job) -> Result<(), WorkError> {
        let Some(intended) = job.state.intended() else {
            return Ok(());
        };
        let Some(provider) = self.provider(job).await? else {
            return Ok(());
        };
        let Some(ids) = self.chosen(job, intended).await? else {
            return self.without_secret(job, intended).await;
        };
        let Some(texts) = self.texts(job, intended.client.profile).await? else {
            return Ok(());
        };
        let client = &intended.client.named(&texts);
        self.find_out(job, &provider, (intended, client), &ids)
            .await
    }

    /// By what the spool holds; otherwise by what the provider says now.
    async fn find_out(
        &self,
        job: &Job,
        provider: &Provider,
        (intended, client): (&RegistrationIntended, &WantedClient),
        ids: &ChosenIds,
    ) -> Result<(), WorkError> {
        let access = &provider.access;
        let spool = AnswerSpool::new(&self.vault, job.id, intended.attempt);
        let unread = match self.kept(job, access, &spool).await? {
            Some(Ok(registered)) => {
                tracing::info!(oauth_client_id = %job.id, attempt = intended.attempt,
                    "taking up a registration that was answered before the process ended");
                let intended = (intended, client);
                return self
                    .registered(job, provider, intended, ids, &spool, registered)
                    .await;
            }
            kept => kept.and_then(Result::err),
        };
        let unread = unread.map(|failure| impersonal(failure, client));
        if self.is_paused(job, provider).await? {
            return Ok(());
        }
        let looked = look(access, &spool, client, ids).await;
        match looked.map_err(|failure| impersonal(failure, client)) {
            Ok(Reconciled::Registered(registered)) => {
                let intended = (intended, client);
                self.registered(job, provider, intended, ids, &spool, *registered)
                    .await
            }
            Ok(Reconciled::NotThere) => self.not_there(job, intended, unread).await,
            Ok(Reconciled::Unknown) => self.not_known(job, provider, intended, unread).await,
            Err(failure) => self.not_registered(job, provider, &failure, false).await,
        }
    }

    /// The provider has no way to tell whether the client is there.
    async fn not_known(
        &self,
        job: &Job,
        provider: &Provider,
        intended: &RegistrationIntended,
        unread: Option<Failure>,
    ) -> Result<(), WorkError> {
        match unread {
            Some(failure) => self.unread(job, provider, intended, &failure).await,
            None => {
                let then = AfterSuspicion::TryAgain(ORPHANS);
                self.suspect(job, intended, String::new(), then).await
            }
        }
    }

    /// The id and the secret that were chosen for the attempt. `None` where the vault has lost the secret.
    async fn chosen(
        &self,
        job: &Job,
        intended: &RegistrationIntended,
    ) -> Result<Option<ChosenIds>, WorkError> {
        let secret = self.secret(job.id, Some(intended.secret_ref)).await?;
        Ok(secret.map(|client_secret| ChosenIds {
            client_id: intended.client_id.clone(),
            client_secret,
        }))
    }

    /// What the spool holds of a registration: the client, or why its answer cannot be used.
    async fn kept(
        &self,
        job: &Job,
        access: &Access,
        spool: &AnswerSpool,
    ) -> Result<Option<Result<RegisteredClient, Failure>>, WorkError> {
        let endpoints = &access.settings.location.endpoints;
        let mut kept: Option<Result<RegisteredClient, Failure>> = None;
        for answer in spool.load().await? {
            let parsed = access.driver().parse(endpoints, &answer);
            match (answer.step, parsed) {
                (Step::Register, Ok(new)) if self.is_anothers(job, &new.client_id).await? => {
                    kept = kept.or(Some(Err(anothers())));
                }
                (Step::Register, Ok(registered)) => kept = Some(Ok(registered)),
                (Step::Register, Err(failure)) if failure.unread.is_some() => {
                    kept = kept.or(Some(Err(failure)));
                }
                // A secret that the registration did not bring, and the token that came with it.
                (_, Ok(later)) => kept = kept.map(|kept| kept.map(|kept| with_later(kept, later))),
                (_, Err(_)) => {}
            }
        }
        Ok(kept)
    }

    /// A search may lag behind what was written, so one look decides nothing: the client is looked for again after growing
    /// pauses, as often whatever the number of tries is. Until it is found or somebody has seen to it, it is listed.
    async fn not_there(
        &self,
        job: &Job,
        intended: &RegistrationIntended,
        unread: Option<Failure>,
    ) -> Result<(), WorkError> {
        let nothing = lacking(
            "registration_without_effect",
            "the provider does not find the client of the last attempt",
        );
        if job.state.looks < LOOKS {
            let pause = self
                .deps
                .config
                .retry
                .pause(job.state.looks + 1, rand::random());
            let next_look_at = Retry::after(self.deps.clock.now(), pause);
            let looked = FailedAttempt {
                attempt_over: false,
                ..nothing
            };
            let then = AfterSuspicion::LookAgain(looked, next_look_at);
            return self.suspect(job, intended, String::new(), then).await;
        }
        match unread {
            // The provider said that it is there.
            Some(failure) => self.park(job, intended, &failure).await,
            None => self.delay(job, nothing, None).await,
        }
    }

    pub(super) async fn suspect(
        &self,
        job: &Job,
        intended: &RegistrationIntended,
        detail: String,
        then: AfterSuspicion,
    ) -> Result<(), WorkError> {
        tracing::warn!(oauth_client_id = %job.id, marker = %intended.client.marker, ?then,
            "a client may exist at the provider that is not known here");
        let command = RegistrationCommand::Suspect {
            attempt: intended.attempt,
            detail,
            then,
            again_at: self.again_at(),
            at: self.deps.clock.now(),
        };
        self.record(job, &Command::Registration(command))
            .await
            .map(drop)
    }

    /// The attempt cannot be taken up again, so whatever came of it is left to an admin. Trying again brings no secret
    /// back; a retry chooses another one.
    async fn without_secret(
        &self,
        job: &Job,
        intended: &RegistrationIntended,
    ) -> Result<(), WorkError> {
        let then = AfterSuspicion::TryAgain(ORPHANS);
        self.suspect(job, intended, String::new(), then).await?;
        let lost = lacking("secret_missing", "the chosen secret is not in the vault");
        self.refuse(job, lost).await
    }
}

/// Asks the provider what became of the attempt.
async fn look(
    access: &Access,
    spool: &AnswerSpool,
    client: &WantedClient,
    ids: &ChosenIds,
) -> Result<Reconciled, Failure> {
    let driver = access.driver();
    let prepared = driver.prepare(access.site(), client, ids)?;
    let found = driver.reconcile(&access.session(spool), &prepared).await;
    match driver.class() {
        // It is the attempt again, so a refusal is its outcome.
        ReconcileClass::ChosenId => found,
        // It is a look, and one that failed says nothing of the attempt.
        ReconcileClass::Search | ReconcileClass::Plain => found.map_err(Failure::unknown_outcome),
    }
}
