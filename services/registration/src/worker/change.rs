//! Changes of a registered client: update, rotation of its secret, deletion. All of them may be repeated; what may
//! not get lost is the registration access token that an answer brings, so answers go through the spool too.

use std::collections::BTreeSet;

use portico_runtime::fault;
use portico_vault::{Changes, Owner, Secret};

use super::answer::{Recovered, keep};
use super::failure::{failed, lacking, problem};
use super::registration::random_secret;
use super::spool::AnswerSpool;
use super::texts::unquoted;
use super::usable::{lacks_secret, with_secret};
use super::{Job, WorkError, Worker};
use crate::client_metadata::WantedClient;
use crate::oauth_client::{
    Command, DeletionCommand, Live, ORPHAN_OWNER, OperationKind, Problem, RotationCommand,
    RotationRefused, UndeletableClient, UpdateCommand, Wanted,
};
use crate::providers::failure::{ABSENCE_UNCLEAR, PERHAPS_GONE};
use crate::providers::{Access, Disposition, Failure, KnownClient, RegisteredClient, Session};

impl Worker {
    pub(super) async fn update(&self, job: &Job, wanted: Wanted) -> Result<(), WorkError> {
        let Some((access, live)) = self.manageable(job).await? else {
            return Ok(());
        };
        let profile = self.profile(job, &wanted, live.client_type_id).await?;
        let Some(profile) = profile else {
            return Ok(());
        };
        let Some(texts) = self.texts(job, wanted.profile).await? else {
            return Ok(());
        };
        let repeated = live.operation.is_some();
        let intend = Command::Update(UpdateCommand::Intend { wanted, profile });
        if self.record(job, &intend).await?.is_none() {
            return Ok(());
        }
        let job = &self.jobs.again(job.id).await?;
        let Some(live) = job.state.live() else {
            return Ok(());
        };
        let Some((attempt, OperationKind::Update { client, .. })) = under_way(live) else {
            return Ok(());
        };
        let spool = AnswerSpool::new(&self.vault, job.id, attempt);
        let known = self.known(job, live).await?;
        let session = access.session(&spool).about(&known);
        let client = &client.named(&texts);
        match changed(live, &access, &session, &known, client).await {
            Ok(registered) => self.done(job, live, &spool, registered).await,
            Err(failure) => {
                let failure = unquoted(failure, &known, Some(client));
                self.not_changed(job, live, &access, &failure, repeated)
                    .await
            }
        }
    }

    pub(super) async fn rotate(&self, job: &Job) -> Result<(), WorkError> {
        let Some((access, live)) = self.manageable(job).await? else {
            return Ok(());
        };
        let Some((attempt, OperationKind::Rotate { secret_ref })) = under_way(live) else {
            return Ok(());
        };
        fault::point("rotating");
        let spool = AnswerSpool::new(&self.vault, job.id, attempt);
        let known = self.known(job, live).await?;
        let Some(chosen) = self.secret(job.id, Some(*secret_ref)).await? else {
            let lost = lacking("secret_missing", "the chosen secret is not in the vault");
            return self.not_rotated(job, attempt, lost.problem).await;
        };
        match access
            .driver()
            .rotate_secret(&access.session(&spool).about(&known), &known, &chosen)
            .await
            .map_err(|failure| unquoted(failure, &known, None))
        {
            Ok(registered) => self.done(job, live, &spool, registered).await,
            Err(failure) => self.not_changed(job, live, &access, &failure, false).await,
        }
    }

    pub(super) async fn delete(&self, job: &Job) -> Result<(), WorkError> {
        let Some((access, live)) = self.manageable(job).await? else {
            return Ok(());
        };
        // It was sent before, and no answer came.
        let repeated = matches!(under_way(live), Some((_, OperationKind::Delete)));
        let intend = Command::Deletion(DeletionCommand::Intend);
        if self.record(job, &intend).await?.is_none() {
            return Ok(());
        }
        let job = &self.jobs.again(job.id).await?;
        let Some(live) = job.state.live() else {
            return Ok(());
        };
        let spool = AnswerSpool::new(&self.vault, job.id, job.state.attempt);
        let known = self.known(job, live).await?;
        match access
            .driver()
            .delete(&access.session(&spool).about(&known), &known)
            .await
            .map_err(|failure| unquoted(failure, &known, None))
        {
            Ok(_) => self.gone(job, live).await,
            Err(failure) if self.has_expired(live, &access, &failure) => {
                let failure = failure.because("the client has expired, so it can get no token");
                self.list(job, live, &failure, GivenUp::Powerless, None)
                    .await
            }
            // The one before did it: RFC 7592 section 2.3 has 401 for a client that is not there.
            Err(failure) if repeated && failure.code == PERHAPS_GONE => {
                if known.client_secret.is_some() {
                    return self.gone(job, live).await;
                }
                // A public client has no credentials of which the provider could say so, too.
                let token = known.registration_access_token.as_ref();
                self.list(job, live, &failure, GivenUp::AsItIs, token).await
            }
            // Trying again changes nothing.
            Err(failure)
                if !failure.outcome_unknown
                    && [Disposition::Fail, Disposition::Unmanageable]
                        .contains(&failure.disposition) =>
            {
                // What the driver tried instead may have brought a new token.
                self.recovered(job, live, &access).await?;
                let job = &self.jobs.again(job.id).await?;
                match job.state.live() {
                    Some(live) => self.not_deleted(job, live, &access, &failure).await,
                    None => Ok(()),
                }
            }
            Err(failure) => self.not_changed(job, live, &access, &failure, false).await,
        }
    }

    /// The provider does not delete the client: it gets no scopes instead, and is listed. Where that is refused too
    /// it stays what it is, is listed, and is tried again from time to time.
    async fn not_deleted(
        &self,
        job: &Job,
        live: &Live,
        access: &Access,
        failure: &Failure,
    ) -> Result<(), WorkError> {
        let known = self.known(job, live).await?;
        let spool = AnswerSpool::new(&self.vault, job.id, job.state.attempt);
        let session = access.session(&spool).about(&known);
        let updated = match self.powerless(job, live).await? {
            Some(powerless) => access
                .driver()
                .update(&session, &known, &powerless)
                .await
                .ok(),
            None => None,
        };
        tracing::warn!(oauth_client_id = %job.id, client_id = live.answer.client_id, code = failure.code,
            reason = failure.description, powerless = updated.is_some(), "the provider does not delete the client");
        if let Some(updated) = updated {
            let known = updated.merge_into(known, BTreeSet::new());
            let token = known.registration_access_token.as_ref();
            self.list(job, live, failure, GivenUp::Powerless, token)
                .await?;
            return spool.clear().await.map_err(Into::into);
        }
        // What was read before the update may have brought a new token.
        self.recovered(job, live, access).await?;
        let job = &self.jobs.again(job.id).await?;
        let Some(live) = job.state.live() else {
            return Ok(());
        };
        self.list_once(job, live, failure).await?;
        self.still_not_changed(job, access, failure, false).await
    }

    /// A client that is still the application's is listed, unless it is.
    async fn list_once(&self, job: &Job, live: &Live, failure: &Failure) -> Result<(), WorkError> {
        if is_listed(job, live) {
            return Ok(());
        }
        let known = self.known(job, live).await?;
        let token = known.registration_access_token.as_ref();
        self.list(job, live, failure, GivenUp::Not, token).await
    }

    /// A client that cannot be managed is listed, with what it is managed with.
    async fn list(
        &self,
        job: &Job,
        live: &Live,
        failure: &Failure,
        given_up: GivenUp,
        token: Option<&Secret>,
    ) -> Result<(), WorkError> {
        let owner = Owner::new(ORPHAN_OWNER, job.id);
        let mut changes = Changes::default();
        let command = DeletionCommand::Refuse(UndeletableClient {
            marker: live.marker.clone(),
            client_id: live.answer.client_id.clone(),
            problem: problem(failure),
            powerless: given_up == GivenUp::Powerless,
            given_up: given_up != GivenUp::Not,
            rat_ref: keep(&owner, token, &mut changes),
        });
        let command = Command::Deletion(command);
        self.record_with(job, &command, changes).await.map(drop)
    }

    /// Whether the provider refuses to manage a client that has ended by its own word.
    fn has_expired(&self, live: &Live, access: &Access, failure: &Failure) -> bool {
        let now = self.deps.clock.now().as_second().unsigned_abs();
        failure.disposition == Disposition::Unmanageable
            && access.driver().expiry_ends_client()
            && (1..=now).contains(&live.answer.secret_expires_at)
    }

    /// The client as it is, less its scopes.
    async fn powerless(&self, job: &Job, live: &Live) -> Result<Option<WantedClient>, WorkError> {
        let sent = match self.sent(job, live).await {
            // Where its name is not to be had, it is listed with its scopes: deleting it at once again would not help.
            Err(WorkError::Other(_)) => None,
            sent => sent?,
        };
        Ok(sent.map(|sent| WantedClient {
            scopes: BTreeSet::new(),
            ..sent
        }))
    }

    /// The provider and the client. `None` where something had to be recorded first.
    async fn manageable<'a>(&self, job: &'a Job) -> Result<Option<(Access, &'a Live)>, WorkError> {
        let Some(live) = job.state.live() else {
            return Ok(None);
        };
        let Some(provider) = self.provider(job).await? else {
            return Ok(None);
        };
        if self.recovered(job, live, &provider.access).await? != Recovered::Nothing {
            return Ok(None);
        }
        Ok(Some((provider.access, live)))
    }

    async fn done(
        &self,
        job: &Job,
        live: &Live,
        spool: &AnswerSpool,
        registered: RegisteredClient,
    ) -> Result<(), WorkError> {
        let Some((command, mut changes)) = self.completed(job, live, registered).await? else {
            return Ok(());
        };
        changes.delete(spool.kept());
        self.record_with(job, &command, changes).await.map(drop)
    }

    async fn gone(&self, job: &Job, live: &Live) -> Result<(), WorkError> {
        let command = DeletionCommand::Complete {
            client_id: live.answer.client_id.clone(),
        };
        let deleted = self.record(job, &Command::Deletion(command)).await?;
        if deleted.is_some() {
            self.forget(job.id).await?;
        }
        Ok(())
    }

    /// `repeated`: what was sent before may have been done, whatever is answered now.
    async fn not_changed(
        &self,
        job: &Job,
        live: &Live,
        access: &Access,
        failure: &Failure,
        repeated: bool,
    ) -> Result<(), WorkError> {
        // An answer may have brought a new token, although the change failed.
        match self.recovered(job, live, access).await? {
            Recovered::Outcome => return Ok(()),
            Recovered::Token => {
                return self.still_not_changed(job, access, failure, repeated).await;
            }
            Recovered::Nothing => {}
        }
        // What the endpoint of former times says of the client is nothing.
        let moved = self.has_moved(access, failure).await?;
        if failure.disposition == Disposition::Gone && !moved {
            tracing::warn!(oauth_client_id = %job.id, client_id = live.answer.client_id,
                "the client was deleted at the provider by somebody else");
            return self.gone(job, live).await;
        }
        let unclear = [PERHAPS_GONE, ABSENCE_UNCLEAR].contains(&failure.code.as_str());
        if unclear && !moved && !is_listed(job, live) {
            // Only somebody who looks there can tell; with a word of theirs another client takes its place.
            self.list_once(job, live, failure).await?;
            return self.still_not_changed(job, access, failure, repeated).await;
        }
        let repeat = moved || failure.outcome_unknown || failure.disposition == Disposition::Retry;
        let failed = failed(failure, !failure.outcome_unknown && !repeated);
        if let Some((attempt, OperationKind::Rotate { .. })) = under_way(live) {
            let attempts = job.state.delay.as_ref().map_or(0, |delay| delay.attempts);
            let last = attempts + 1 >= self.deps.config.retry.max_attempts;
            // Somebody waits for it, so only what may have happened is found out.
            if last || !failure.outcome_unknown {
                return self.not_rotated(job, attempt, failed.problem).await;
            }
        }
        if repeat {
            self.delay(job, failed, failure.retry_after).await
        } else {
            self.refuse(job, failed).await
        }
    }

    /// [`Worker::not_changed`] with what was recorded meanwhile.
    async fn still_not_changed(
        &self,
        job: &Job,
        access: &Access,
        failure: &Failure,
        repeated: bool,
    ) -> Result<(), WorkError> {
        let again = self.jobs.again(job.id).await?;
        match again.state.live() {
            // What has been wanted since then was not refused: it is tried.
            Some(_) if again.state.tried() != job.state.tried() => Ok(()),
            Some(live) => Box::pin(self.not_changed(&again, live, access, failure, repeated)).await,
            None => Ok(()),
        }
    }

    async fn not_rotated(
        &self,
        job: &Job,
        attempt: u32,
        problem: Problem,
    ) -> Result<(), WorkError> {
        let refuse = RotationCommand::Refuse(RotationRefused { attempt, problem });
        self.record(job, &Command::Rotation(refuse)).await?;
        if let Some(live) = job.state.live()
            && let Some((_, OperationKind::Rotate { secret_ref })) = under_way(live)
        {
            self.vault.delete(secret_ref).await?;
        }
        Ok(())
    }
}

/// Whether a listed client is still the application's, and can do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GivenUp {
    Not,
    AsItIs,
    Powerless,
}

/// The update, and the switch beside it where the provider has one. A client that lacks a secret gets one.
async fn changed(
    live: &Live,
    access: &Access,
    session: &Session<'_>,
    known: &KnownClient,
    client: &WantedClient,
) -> Result<RegisteredClient, Failure> {
    let driver = access.driver();
    let suspended = match under_way(live) {
        Some((_, OperationKind::Update { wanted, .. })) => wanted.suspended,
        _ => false,
    };
    if !suspended {
        let resumes = live.applied.suspended || live.drifted;
        let changed = match resumes {
            true => driver.resume(session, known, client).await?,
            false => driver.update(session, known, client).await?,
        };
        if !lacks_secret(live) {
            return Ok(changed);
        }
        let chosen = random_secret();
        return with_secret(driver, session, client, &chosen, known.clone(), changed).await;
    }
    let mut registered = driver.update(session, known, client).await?;
    // The update may have brought a new token.
    let known = registered
        .clone()
        .merge_into(known.clone(), client.scopes.clone());
    match driver.suspend(session, &known).await {
        Ok(off) => {
            let token = off.registration_access_token;
            registered.registration_access_token = token.or(registered.registration_access_token);
            registered.granted = off.granted;
        }
        Err(failure) if failure.code == "suspension_unsupported" => {}
        Err(failure) => return Err(failure),
    }
    Ok(registered)
}

/// Whether an admin sees that the client cannot be managed.
fn is_listed(job: &Job, live: &Live) -> bool {
    let mut open = job.state.orphans.values();
    open.any(|orphan| orphan.resolution.is_none() && orphan.client_id == live.answer.client_id)
}

/// What was intended and has no outcome.
fn under_way(live: &Live) -> Option<(u32, &OperationKind)> {
    let operation = live.operation.as_ref()?;
    Some((operation.attempt, &operation.kind))
}
