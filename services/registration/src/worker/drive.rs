//! One client, step after step, until it waits for something.

use std::time::Duration;

use jiff::Timestamp;
use portico_eventstore::{Aggregate as _, ExecuteError, Lease, Metadata, Outcome, Stream, trace};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{WorkError, Worker};
use crate::oauth_client::{Command, OauthClient, Step};
use crate::views::oauth_clients as view;

/// How often a sign of life is given while a client is worked on; the lease lasts some times longer.
const SIGN: Duration = Duration::from_secs(3);
/// Steps until others get their turn.
const STEPS: usize = 100;

/// A client, and what caused its last event.
pub(super) struct Job {
    pub(super) id: Uuid,
    pub(super) client: OauthClient,
    pub(super) cause: Metadata,
    /// The latest time at which one of its events was recorded.
    pub(super) recorded_at: Timestamp,
}

impl Job {
    /// The time by which pauses are over. Those that were reckoned by a clock that was ahead do not bind, or work
    /// would wait until the right clock shows that time.
    fn now(&self, now: Timestamp) -> Timestamp {
        if self.recorded_at > view::latest(now) {
            Timestamp::MAX
        } else {
            now
        }
    }
}

impl Worker {
    /// Works on a client until it waits for something. False where another replica does.
    pub(super) async fn drive(&self, id: Uuid) -> Result<bool, WorkError> {
        let database = self.store.database();
        let lease = self.deps.lease(database, format!("oauth_client-{id}"));
        if !lease.take(self.deps.clock.now()).await? {
            return Ok(false);
        }
        let work = self.steps(id);
        let done = tokio::select! {
            done = work => done,
            // Never ends: what is under way at a provider is not given up.
            never = self.prolong(&lease) => match never {},
        };
        if let Err(error) = lease.release().await {
            tracing::warn!(oauth_client_id = %id, %error, "the lease of an OAuth client was not given back");
        }
        done.map(|()| true)
    }

    pub(super) async fn prolong(&self, lease: &Lease) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(SIGN).await;
            match lease.take(self.deps.clock.now()).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!("the lease of an OAuth client was lost"),
                Err(error) => {
                    tracing::warn!(%error, "the lease of an OAuth client was not prolonged")
                }
            }
        }
    }

    async fn steps(&self, id: Uuid) -> Result<(), WorkError> {
        for _ in 0..STEPS {
            if self.deps.shutdown.is_cancelled() {
                break;
            }
            let job = self.job(id).await?;
            let step = job.client.next_step(job.now(self.deps.clock.now()));
            if matches!(step, Step::Wait(_) | Step::Paused | Step::Idle) {
                break;
            }
            self.traced(&job, name(&step), self.step(&job, step))
                .await?;
        }
        Ok(())
    }

    /// A step in the trace of what caused it, with the id of that request in every log line.
    async fn traced<T>(&self, job: &Job, step: &'static str, work: impl Future<Output = T>) -> T {
        let span = tracing::info_span!(
            target: trace::EXPORTED,
            "registration",
            otel.name = format_args!("registration {step}"),
            portico.oauth_client_id = %job.id,
            portico.attempt = job.client.attempt,
        );
        trace::follow(&span, job.cause.place().as_ref());
        // What the worker begins by itself has no request that caused it.
        let request_id = job
            .cause
            .correlation
            .unwrap_or_else(|| self.deps.clock.new_id());
        let lines = tracing::info_span!("registration", step, oauth_client_id = %job.id, %request_id,
            trace_id = trace::id(&span));
        let work = async {
            tracing::debug!(attempt = job.client.attempt, "next step");
            work.await
        };
        trace::correlated(request_id, work.instrument(lines).instrument(span)).await
    }

    async fn step(&self, job: &Job, step: Step) -> Result<(), WorkError> {
        match step {
            Step::Register(wanted) => self.register(job, wanted).await,
            Step::Reconcile => self.reconcile(job).await,
            Step::Update(wanted) => self.update(job, wanted).await,
            Step::Rotate => self.rotate(job).await,
            Step::Delete => self.delete(job).await,
            Step::Notice { days_left } => self.notice(job, days_left).await,
            Step::Retire => self.retire(job).await,
            Step::Map {
                gateway_ids,
                revision,
            } => self.map(job, gateway_ids, revision).await,
            Step::Announce => {
                if job.client.live().is_none() && job.client.intended().is_none() {
                    self.forget(job.id).await?;
                }
                self.record(job, &Command::Announce).await.map(drop)
            }
            Step::Wait(_) | Step::Paused | Step::Idle => Ok(()),
        }
    }

    /// Loads a client.
    pub(super) async fn job(&self, id: Uuid) -> Result<Job, WorkError> {
        let recorded = self
            .store
            .read_stream(&Stream::of::<OauthClient>(id))
            .await?;
        let mut client = OauthClient::default();
        for event in &recorded {
            if let Some(event) = event.decode::<OauthClient>()? {
                client.evolve(&event);
            }
        }
        let cause = recorded
            .last()
            .map_or_else(Metadata::default, |last| Metadata {
                causation: Some(last.id),
                ..last.metadata.clone()
            });
        let times = recorded.iter().map(|event| event.recorded_at);
        let recorded_at = times.max().unwrap_or(Timestamp::MIN);
        Ok(Job {
            id,
            client,
            cause,
            recorded_at,
        })
    }

    /// Records what came of a step. `None` where things have changed meanwhile.
    pub(super) async fn record(
        &self,
        job: &Job,
        command: &Command,
    ) -> Result<Option<Outcome<OauthClient>>, WorkError> {
        let context = self.context(&job.cause);
        match self
            .store
            .execute::<OauthClient>(job.id, command, &context)
            .await
        {
            Ok(outcome) => {
                self.count(job.client.identity_provider_id, command).await;
                Ok(Some(outcome))
            }
            Err(ExecuteError::Rejected(rejection)) => {
                tracing::debug!(oauth_client_id = %job.id, %rejection, "the step was decided anew");
                Ok(None)
            }
            Err(ExecuteError::Store(error)) => Err(error.into()),
            Err(error) => Err(WorkError::Other(error.to_string())),
        }
    }
}

fn name(step: &Step) -> &'static str {
    match step {
        Step::Register(_) => "register",
        Step::Reconcile => "reconcile",
        Step::Update(_) => "update",
        Step::Rotate => "rotate",
        Step::Delete => "delete",
        Step::Notice { .. } => "notice",
        Step::Retire => "retire",
        Step::Map { .. } => "map",
        Step::Announce => "announce",
        Step::Wait(_) => "wait",
        Step::Paused => "paused",
        Step::Idle => "idle",
    }
}
