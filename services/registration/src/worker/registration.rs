//! Registration: the intent first, then one POST, its answer into the spool, its outcome recorded. An attempt
//! without an outcome is reconciled, never blindly repeated.
//!
//! A provider of whose attempts nothing can be found out ([`ReconcileClass::Plain`]) gets the scopes by an update,
//! once the client is recorded, so that an orphan has no power. That needs a provider that manages clients
//! (RFC 7592), which only its first answer tells; so its first client is registered with its scopes.

use portico_eventstore::sqlx;
use portico_runtime::fault;
use portico_vault::{Changes, Owner, Secret};
use url::Url;
use uuid::Uuid;

use super::answer::{Before, Provider, owner};
use super::failure::{failed, lacking, problem};
use super::spool::AnswerSpool;
use super::texts::impersonal;
use super::usable::{unusable, with_later, with_secret};
use super::{Job, WorkError, Worker};
use crate::client_metadata::WantedClient;
use crate::oauth_client::{
    AfterSuspicion, Command, FailedAttempt, FailureCommand, Intent, ORPHAN_OWNER, OrphanCommand,
    Problem, RegistrationCommand, RegistrationIntended, Wanted,
};
use crate::providers::{
    Access, ChosenIds, Disposition, Driver, Failure, ReconcileClass, Reconciled, RegisteredClient,
    Site, Step, access,
};
use crate::views::oauth_clients as view;

/// Suspected orphans in a row before a client is parked.
const ORPHANS: u32 = 3;
/// Failed attempts, looks among them, after which a search that finds nothing is believed.
const LOOKS: u32 = 3;

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
            Ok(registered) if self.is_anothers(job, &registered).await? => {
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

    async fn is_anothers(
        &self,
        job: &Job,
        registered: &RegisteredClient,
    ) -> Result<bool, WorkError> {
        let provider = job.state.identity_provider_id;
        let pool = self.store.database().pool();
        Ok(view::is_anothers(pool, job.id, provider, &registered.client_id).await?)
    }

    /// What became of an attempt without an outcome.
    pub(super) async fn reconcile(&self, job: &Job) -> Result<(), WorkError> {
        let Some(intended) = job.state.intended() else {
            return Ok(());
        };
        let Some(provider) = self.provider(job).await? else {
            return Ok(());
        };
        let access = &provider.access;
        let spool = AnswerSpool::new(&self.vault, job.id, intended.attempt);
        let Some(ids) = self.chosen(job, intended).await? else {
            return self.without_secret(job, intended).await;
        };
        let Some(texts) = self.texts(job, intended.client.profile).await? else {
            return Ok(());
        };
        let client = &intended.client.named(&texts);
        let unread = match self.kept(job, access, &spool).await? {
            Some(Ok(registered)) => {
                tracing::info!(oauth_client_id = %job.id, attempt = intended.attempt,
                    "taking up a registration that was answered before the process ended");
                return self
                    .registered(job, &provider, (intended, client), &ids, &spool, registered)
                    .await;
            }
            Some(Err(failure)) => Some(impersonal(failure, client)),
            None => None,
        };
        if self.is_paused(job, &provider).await? {
            return Ok(());
        }
        let driver = access.driver();
        let reconciled = match driver.prepare(access.site(), client, &ids) {
            Ok(prepared) => {
                let found = driver.reconcile(&access.session(&spool), &prepared).await;
                match driver.class() {
                    // It is the attempt again, so a refusal is its outcome.
                    ReconcileClass::ChosenId => found,
                    // It is a look, and one that failed says nothing of the attempt.
                    ReconcileClass::Search | ReconcileClass::Plain => {
                        found.map_err(Failure::unknown_outcome)
                    }
                }
            }
            Err(failure) => Err(failure),
        };
        match reconciled.map_err(|failure| impersonal(failure, client)) {
            Ok(Reconciled::Registered(registered)) => {
                self.registered(
                    job,
                    &provider,
                    (intended, client),
                    &ids,
                    &spool,
                    *registered,
                )
                .await
            }
            Ok(Reconciled::NotThere) => self.not_there(job, intended, unread).await,
            Ok(Reconciled::Unknown) => match unread {
                Some(failure) => self.unread(job, &provider, intended, &failure).await,
                None => {
                    let then = AfterSuspicion::TryAgain(ORPHANS);
                    self.suspect(job, intended, String::new(), then).await
                }
            },
            Err(failure) => self.not_registered(job, &provider, &failure, false).await,
        }
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
                (Step::Register, Ok(registered)) if self.is_anothers(job, &registered).await? => {
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
    /// pauses. Until it is found or somebody has seen to it, it is listed.
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
        let attempts = job.state.delay.as_ref().map_or(0, |delay| delay.attempts);
        let marker = intended.client.marker.to_string();
        let is_listed = job.state.open_orphan(&marker).is_ok();
        match unread {
            // The provider said that it is there.
            Some(failure) if attempts >= LOOKS => return self.park(job, intended, &failure).await,
            // The tries may have been about something else: only those since it is listed were looks.
            None if attempts >= LOOKS && is_listed => {
                return self.delay(job, nothing, None).await;
            }
            Some(_) | None => {}
        }
        self.suspect(job, intended, String::new(), AfterSuspicion::LookAgain)
            .await?;
        let job = &self.jobs.again(job.id).await?;
        let looked = FailedAttempt {
            attempt_over: false,
            ..nothing
        };
        self.delay(job, looked, None).await
    }

    async fn suspect(
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
        let registered = match with_secret(access, spool, client, ids, registered).await {
            Ok(registered) => registered,
            Err(failure) => {
                let failure = impersonal(failure, client);
                return self.not_registered(job, provider, &failure, false).await;
            }
        };
        let late = Late {
            client_id: registered.client_id.clone(),
            token: registered.registration_access_token.clone(),
            uri: registered.registration_client_uri.clone(),
        };
        let before = Before {
            answer: None,
            secrets: vec![(intended.secret_ref, ids.client_secret.clone())],
        };
        let mut changes = Changes::default();
        let answer = self
            .answered(job, registered, &before, Some(client), &mut changes)
            .await?;
        changes.delete(spool.kept());
        if answer.secret_ref != Some(intended.secret_ref) {
            changes.delete([intended.secret_ref]);
        }
        let unusable = unusable(client, &answer, self.deps.clock.now());
        let command = Command::Registration(RegistrationCommand::Complete {
            attempt: intended.attempt,
            answer,
            unusable,
        });
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
        late: Late,
    ) -> Result<(), WorkError> {
        let now = self.jobs.load(job.id).await?;
        let is_known = now
            .state
            .live()
            .is_some_and(|live| live.answer.client_id == late.client_id);
        if !is_known {
            let owner = Owner::new(ORPHAN_OWNER, job.id);
            let rat_ref = self.keep(&owner, late.token.as_ref()).await?;
            let command = OrphanCommand::Find {
                marker: intended.client.marker.to_string(),
                client_id: late.client_id,
                scopes: intended.client.scopes.clone(),
                rat_ref,
                uri: late.uri,
            };
            self.record(job, &Command::Orphan(command)).await?;
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

    /// What was chosen for an attempt. `None` where the secret is not in the vault.
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
}

fn anothers() -> Failure {
    let why = "the provider answered with the client of another application";
    Failure {
        unread: Some(why.to_owned()),
        ..Failure::fail("provider_answer_invalid", why)
    }
}

/// What is kept of a client that may have been registered too late.
struct Late {
    client_id: String,
    token: Option<Secret>,
    uri: Option<Url>,
}

/// 256 random bits, base64url (RFC 6749 section 10.10 asks for 128 at least).
pub(crate) fn random_secret() -> Secret {
    use base64::Engine as _;
    let bytes: [u8; 32] = rand::random();
    Secret::new(base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
