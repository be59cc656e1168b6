//! Expiry of secrets: notices in time, and automatic rotation where the provider's settings ask for it.

use jiff::{SignedDuration, Timestamp};
use portico_eventstore::Stream;
use portico_runtime::config::Retry;
use portico_vault::{VaultError, VaultRef};
use uuid::Uuid;

use super::answer::owner;
use super::failure::{AGAIN, problem};
use super::registration::random_secret;
use super::spool::AnswerSpool;
use super::texts::unquoted;
use super::{Job, WorkError, Worker};
use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{
    AdoptedClient, Command, Event, Live, OauthClient, OldSecretCommand, OrphanEvent,
    RegistrationEvent, RotationCommand, RotationEvent, Succeeded, UpdateEvent,
};
use crate::providers::{Disposition, Failure};

impl Worker {
    /// The rotation is recorded first: a process that dies in between finds it under way.
    pub(super) async fn notice(&self, job: &Job, days_left: u32) -> Result<(), WorkError> {
        let Some(live) = job.state.live() else {
            return Ok(());
        };
        let id = job.state.identity_provider_id;
        let provider = self.store.load::<IdentityProvider>(id).await?.state;
        let asked_for = (1..).contains(&provider.rotates_days_before)
            && days_left <= provider.rotates_days_before;
        let silent = self.was_near(job, live, days_left).await?;
        let mut rotates = live.is_rotating();
        // A refused rotation is not repeated automatically: the developer gets a notice instead.
        // A secret that lives shorter than that would be rotated for ever.
        let possible = !silent
            && live.operation.is_none()
            && live.answer.secret_ref.is_some()
            && job.state.rotation_refused.is_none()
            && !job.state.is_all_suspended();
        if asked_for && !rotates && possible {
            rotates = self.begin_rotation(job, live).await?;
        }
        let command = Command::Rotation(RotationCommand::NoticeExpiry {
            days_left,
            rotates,
            silent,
        });
        if self.record(job, &command).await?.is_some() {
            tracing::info!(oauth_client_id = %job.id, client_id = live.answer.client_id, days_left, rotates,
                "the secret of an OAuth client ends");
        }
        Ok(())
    }

    /// Whether the secret had no more days left than this when it was issued.
    async fn was_near(&self, job: &Job, live: &Live, days_left: u32) -> Result<bool, WorkError> {
        let stream = Stream::of::<OauthClient>(job.id);
        let mut given = None;
        for recorded in self.store.read_stream(&stream).await? {
            let answer = match recorded.decode::<OauthClient>()? {
                Some(
                    Event::Registration(RegistrationEvent::Registered(Succeeded {
                        answer, ..
                    }))
                    | Event::Update(UpdateEvent::Updated(Succeeded { answer, .. }))
                    | Event::Orphan(OrphanEvent::Adopted(AdoptedClient { answer, .. })),
                ) => answer,
                Some(Event::Rotation(RotationEvent::SecretRotated(rotated))) => *rotated.answer,
                _ => continue,
            };
            let same = answer.secret_ref == live.answer.secret_ref
                && answer.secret_expires_at == live.answer.secret_expires_at;
            // The first answer that brought it.
            given = given
                .filter(|_| same)
                .or(same.then_some(recorded.recorded_at));
        }
        let expires = i64::try_from(live.answer.secret_expires_at).ok();
        let expires = expires.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let near = expires.zip(given).map(|(expires, given)| {
            let left = expires.duration_since(given);
            left <= SignedDuration::from_hours(24 * i64::from(days_left))
        });
        Ok(near.unwrap_or(false))
    }

    async fn begin_rotation(&self, job: &Job, live: &Live) -> Result<bool, WorkError> {
        let name = format!("rotation/{}", live.answer.secret_expires_at);
        let secret_ref = VaultRef(Uuid::new_v5(&job.id, name.as_bytes()));
        match self
            .vault
            .put_at(secret_ref, &owner(job.id), &random_secret())
            .await
        {
            Ok(()) | Err(VaultError::Taken) => {}
            Err(error) => return Err(error.into()),
        }
        let command = Command::Rotation(RotationCommand::Intend { secret_ref });
        Ok(self.record(job, &command).await?.is_some())
    }

    /// Ends the secret before the last rotation, where the provider waits for that. That is never given up.
    pub(super) async fn retire(&self, job: &Job) -> Result<(), WorkError> {
        let (Some(live), Some(old)) = (job.state.live(), job.state.old_secret()) else {
            return Ok(());
        };
        let Err(failure) = self.end_old_secret(job, live).await? else {
            let command = Command::OldSecret(OldSecretCommand::Retire);
            return self.record(job, &command).await.map(drop);
        };
        tracing::warn!(oauth_client_id = %job.id, code = failure.code, reason = failure.description,
            attempts = old.attempts + 1, "the secret before the last rotation could not be ended");
        let pause = match failure.disposition {
            Disposition::Retry => {
                let retry = &self.deps.config.retry;
                let pause = retry.pause(old.attempts + 1, rand::random());
                pause.max(failure.retry_after.unwrap_or_default())
            }
            _ => AGAIN,
        };
        let command = OldSecretCommand::Keep {
            problem: problem(&failure),
            again_at: Retry::after(self.deps.clock.now(), pause),
        };
        self.record(job, &Command::OldSecret(command))
            .await
            .map(drop)
    }

    async fn end_old_secret(
        &self,
        job: &Job,
        live: &Live,
    ) -> Result<Result<(), Failure>, WorkError> {
        let Ok(access) = self.access(job).await? else {
            // Nobody can be asked any more.
            return Ok(Ok(()));
        };
        let spool = AnswerSpool::new(&self.vault, job.id, job.state.attempt);
        let known = self.known(job, live).await?;
        let driver = access.driver();
        let ended = driver
            .retire_old_secret(&access.session(&spool).about(&known), &known)
            .await
            .map_err(|failure| unquoted(failure, &known, None));
        Ok(match ended {
            // With it went its secrets.
            Err(failure) if failure.disposition == Disposition::Gone => Ok(()),
            ended => ended,
        })
    }
}
