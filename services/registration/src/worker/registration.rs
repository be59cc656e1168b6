//! Registration: the intent first, then one POST, its answer into the spool, its outcome recorded. An attempt
//! without an outcome is reconciled, never blindly repeated: see `reconcile`.
//!
//! A provider of whose attempts nothing can be found out ([`ReconcileClass::Plain`]) gets the scopes by an update,
//! once the client is recorded, so that an orphan has no power. That needs a provider that manages clients
//! (RFC 7592), which only its first answer tells; so its first client is registered with its scopes.

mod reconcile;

use portico_eventstore::sqlx;
use portico_runtime::fault;
use portico_vault::{Changes, Owner, Secret};
use uuid::Uuid;

use super::answer::{Before, Provider, keep, owner};
use super::failure::{failed, problem};
use super::spool::AnswerSpool;
use super::texts::impersonal;
use super::usable::{unusable, with_secret};
use super::{Job, WorkError, Worker};
use crate::client_metadata::WantedClient;
use crate::oauth_client::{
    AfterSuspicion, Command, FailedAttempt, FailureCommand, FoundClient, Intent, ORPHAN_OWNER,
    OrphanCommand, Problem, RegistrationCommand, RegistrationIntended, Succeeded, Wanted,
};
use crate::providers::{
    ChosenIds, Disposition, Driver, Failure, KnownClient, ReconcileClass, RegisteredClient, Site,
    access,
};
use crate::views::oauth_clients as view;

impl Worker {
    pub(super) async fn register(&self, job: &Job, wanted: Wanted) -> Result<(), WorkError> {
        let Some(provider) = self.open_provider(job).await? else {
            return Ok(());
        };
        let Some(client_type_id) = job.state.first_client_type() else {
            return Ok(());
        };
        let Some(profile) = self.profile(job, &wanted, client_type_id).await? else {
            return Ok(());
        };
        let Some(texts) = self.living_texts(job, wanted.profile).await? else {
            return Ok(());
        };
        if job.state.attempt > 0 {
            // Nothing of an earlier client is needed any more.
            self.forget(job.id).await?;
        }
        // Kept with the intent: whoever takes the attempt up finds it.
        let (chosen, mut kept) = (random_secret(), Changes::default());
        let secret_ref = kept.put(&owner(job.id), &chosen);
        let (driver, site) = (provider.access.driver(), provider.access.site());
        let at = job.state.identity_provider_id;
        let intent = Intent {
            wanted,
            profile,
            client_type_id,
            client_id: uuid::Builder::from_random_bytes(rand::random())
                .into_uuid()
                .to_string(),
            secret_ref,
            without_scopes: self.registers_bare(driver, site, at).await?,
        };
        fault::point("intending");
        let command = Command::Registration(RegistrationCommand::Intend(intent));
        let Some(outcome) = self.record_with(job, &command, kept).await? else {
            return Ok(());
        };
        fault::point("intent");
        match outcome.state.intended() {
            Some(intended) => {
                let client = intended.client.named(&texts);
                self.post(job, &provider, (intended, &client), chosen).await
            }
            None => Ok(()),
        }
    }

    /// Whether a client is registered without its scopes, and gets them by an update.
    pub(crate) async fn registers_bare(
        &self,
        driver: &dyn Driver,
        site: Site<'_>,
        provider: Uuid,
    ) -> Result<bool, sqlx::Error> {
        if !driver.registers_scopes(site) {
            return Ok(true);
        }
        let plain = driver.class() == ReconcileClass::Plain;
        Ok(plain && view::manages(self.store.database().pool(), provider).await?)
    }

    async fn post(
        &self,
        job: &Job,
        provider: &Provider,
        (intended, client): (&RegistrationIntended, &WantedClient),
        client_secret: Secret,
    ) -> Result<(), WorkError> {
        let access = &provider.access;
        let spool = AnswerSpool::new(&self.vault, job.id, intended.attempt);
        let ids = ChosenIds {
            client_id: intended.client_id.clone(),
            client_secret,
        };
        let registered = match access.driver().prepare(access.site(), client, &ids) {
            Ok(prepared) => {
                access
                    .driver()
                    .register(&access.session(&spool), &prepared)
                    .await
            }
            Err(failure) => Err(failure),
        };
        match registered.map_err(|failure| impersonal(failure, client)) {
            Ok(registered) if self.is_anothers(job, &registered.client_id).await? => {
                self.unread(job, provider, intended, &anothers()).await
            }
            Ok(registered) => {
                self.registered(job, provider, (intended, client), &ids, &spool, registered)
                    .await
            }
            Err(failure) if failure.unread.is_some() => {
                self.unread(job, provider, intended, &failure).await
            }
            Err(failure) => self.not_registered(job, provider, &failure, true).await,
        }
    }

    /// The provider says that it registered a client, in an answer that cannot be used. Another request could make another
    /// client, so there is none where the first one cannot be found.
    async fn unread(
        &self,
        job: &Job,
        provider: &Provider,
        intended: &RegistrationIntended,
        failure: &Failure,
    ) -> Result<(), WorkError> {
        if provider.access.driver().class() != ReconcileClass::Plain {
            let failure = failure.clone().unknown_outcome();
            return self.not_registered(job, provider, &failure, true).await;
        }
        self.park(job, intended, failure).await
    }

    async fn park(
        &self,
        job: &Job,
        intended: &RegistrationIntended,
        failure: &Failure,
    ) -> Result<(), WorkError> {
        let detail = failure.unread.clone().unwrap_or_default();
        let then = AfterSuspicion::Park(problem(failure));
        self.suspect(job, intended, detail, then).await
    }

    /// Whether a live client of another application has this id.
    pub(super) async fn is_anothers(&self, job: &Job, client_id: &str) -> Result<bool, WorkError> {
        let (pool, provider) = (self.store.database().pool(), job.state.identity_provider_id);
        Ok(view::is_anothers(pool, job.id, provider, client_id).await?)
    }

    async fn registered(
        &self,
        job: &Job,
        provider: &Provider,
        (intended, client): (&RegistrationIntended, &WantedClient),
        ids: &ChosenIds,
        spool: &AnswerSpool,
        registered: RegisteredClient,
    ) -> Result<(), WorkError> {
        let access = &provider.access;
        let (driver, session) = (access.driver(), access.session(spool));
        let (chosen, new) = (&ids.client_secret, KnownClient::default());
        let registered = with_secret(driver, &session, client, chosen, new, registered).await;
        let registered = match registered {
            Ok(registered) => registered,
            Err(failure) => {
                let failure = impersonal(failure, client);
                return self.not_registered(job, provider, &failure, false).await;
            }
        };
        let late = registered.clone();
        let before = Before {
            answer: None,
            secrets: vec![(intended.secret_ref, ids.client_secret.clone())],
        };
        let mut changes = Changes::default();
        let mut answer = self
            .answered(job, registered, &before, Some(client), &mut changes)
            .await?;
        answer.unusable = unusable(client, &answer, self.deps.clock.now());
        changes.delete(spool.kept());
        if answer.secret_ref != Some(intended.secret_ref) {
            changes.delete([intended.secret_ref]);
        }
        let attempt = intended.attempt;
        let succeeded = Succeeded { attempt, answer };
        let command = Command::Registration(RegistrationCommand::Complete(succeeded));
        fault::point("registering");
        let recorded = self.record_with(job, &command, changes).await?;
        fault::point("registered");
        if recorded.is_none() {
            tracing::error!(oauth_client_id = %job.id, marker = %intended.client.marker,
                "a client was registered after its attempt had been given up");
            return self.list_late(job, intended, spool, late).await;
        }
        Ok(())
    }

    /// A client that came too late is listed with what it is managed with, unless it is the one that is known.
    async fn list_late(
        &self,
        job: &Job,
        intended: &RegistrationIntended,
        spool: &AnswerSpool,
        late: RegisteredClient,
    ) -> Result<(), WorkError> {
        let now = self.jobs.load(job.id).await?;
        let is_known = now
            .state
            .live()
            .is_some_and(|live| live.answer.client_id == late.client_id);
        if !is_known {
            let owner = Owner::new(ORPHAN_OWNER, job.id);
            let token = late.registration_access_token.as_ref();
            let mut changes = Changes::default();
            let found = FoundClient {
                marker: intended.client.marker.to_string(),
                rat_ref: keep(&owner, token, &mut changes),
                client_id: late.client_id,
                uri: late.registration_client_uri,
            };
            let command = OrphanCommand::Find(found, intended.client.scopes.clone());
            let command = Command::Orphan(command);
            self.record_with(job, &command, changes).await?;
        }
        Ok(spool.clear().await?)
    }

    /// `first`: the attempt has just begun, so a plain refusal is its outcome.
    async fn not_registered(
        &self,
        job: &Job,
        provider: &Provider,
        failure: &Failure,
        first: bool,
    ) -> Result<(), WorkError> {
        let definite = !failure.outcome_unknown;
        if self.has_moved(&provider.access, failure).await? {
            let failed = failed(failure, definite && first);
            return self.delay(job, failed, None).await;
        }
        match failure.disposition {
            Disposition::PauseProvider => {
                let context = self.jobs.context(&job.cause);
                let id = job.state.identity_provider_id;
                let reason = &failure.description;
                access::pause(&self.store, id, provider.access.token, reason, &context)
                    .await
                    .map_err(|error| WorkError::Other(error.to_string()))?;
                self.pause_client(job, failed(failure, definite && first))
                    .await
            }
            Disposition::Fail | Disposition::Unmanageable | Disposition::Gone if definite => {
                self.refuse(job, failed(failure, true)).await
            }
            _ => {
                let failed = failed(failure, definite && first);
                self.delay(job, failed, failure.retry_after).await
            }
        }
    }

    /// The provider, where it takes registrations.
    async fn open_provider(&self, job: &Job) -> Result<Option<Provider>, WorkError> {
        let Some(provider) = self.provider(job).await? else {
            return Ok(None);
        };
        let paused = self.is_paused(job, &provider).await?;
        Ok((!paused).then_some(provider))
    }

    /// Whether the provider takes no registrations; the client waits for it then.
    async fn is_paused(&self, job: &Job, provider: &Provider) -> Result<bool, WorkError> {
        let Some(reason) = &provider.paused else {
            return Ok(false);
        };
        let paused = FailedAttempt {
            problem: Problem {
                code: "identity_provider_paused".into(),
                reason: reason.clone(),
            },
            attempt_over: false,
        };
        self.pause_client(job, paused).await?;
        Ok(true)
    }

    async fn pause_client(&self, job: &Job, failed: FailedAttempt) -> Result<(), WorkError> {
        let Problem { code, reason } = &failed.problem;
        tracing::warn!(oauth_client_id = %job.id, code, reason, "waiting until the provider takes registrations");
        let command = Command::Failure(FailureCommand::Pause(failed));
        self.record(job, &command).await.map(drop)
    }
}

fn anothers() -> Failure {
    let why = "the provider answered with the client of another application";
    Failure {
        unread: Some(why.to_owned()),
        ..Failure::fail("provider_answer_invalid", why)
    }
}

/// 256 random bits, base64url (RFC 6749 section 10.10 asks for 128 at least).
pub(crate) fn random_secret() -> Secret {
    use base64::Engine as _;
    let bytes: [u8; 32] = rand::random();
    Secret::new(base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
