//! Commands: load, decide, append; retried on a conflict.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout;
use uuid::Uuid;

use super::memory::States;
use crate::{
    Aggregate, Append, Appended, Beside, Context, EventStore, InboxEntry, Loaded, Metadata,
    NewEvent, Result, StoreError, Stream, trace,
};

/// Least number of retries after a conflict. Commands of this process for the same stream take turns, so only other
/// replicas can win. On a busy machine one that writes all the time has been seen to win fifty
/// times in a row, so retries also go on for [`CONFLICT_PATIENCE`].
const CONFLICT_RETRIES: usize = 50;
/// How long a command waits for its turn before it is tried without.
const TURN: Duration = Duration::from_secs(1);
/// Least time for which a command is retried after a conflict.
const CONFLICT_PATIENCE: Duration = Duration::from_secs(20);

/// Result of a command: the state after it and the events that it appended.
#[derive(Debug, Clone)]
pub struct Outcome<A: Aggregate> {
    /// After the command.
    pub state: A,
    /// After the command.
    pub version: i64,
    /// Empty where the command had its effect before.
    pub events: Vec<A::Event>,
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: std::error::Error> {
    /// The domain refuses it.
    #[error(transparent)]
    Rejected(R),
    /// The caller expected another version (`If-Match`).
    #[error("expected version {expected}, found {actual}")]
    VersionMismatch {
        /// Version of the aggregate that the caller expected.
        expected: i64,
        /// Present version of the aggregate.
        actual: i64,
    },
    /// The same idempotency key came with another command.
    #[error("the idempotency key was used for another command")]
    KeyReused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<R: std::error::Error> ExecuteError<R> {
    /// Whether the command was certainly not carried out, so that what was kept for it is of no use. After any other
    /// error it may have been, now or by an earlier call with the same key.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Rejected(_) | Self::VersionMismatch { .. } | Self::Store(StoreError::Refused(_))
        )
    }
}

impl EventStore {
    /// Loads, decides and appends; retries on a conflict.
    pub async fn execute<A: Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
        context: &Context,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        let attempt = Attempt::new(id, command, context);
        self.run(attempt).await
    }

    /// As [`execute`](Self::execute), but only at this version of the stream (`If-Match`); 0: at any.
    pub async fn execute_at<A: Aggregate>(
        &self,
        id: Uuid,
        version: u64,
        command: &A::Command,
        context: &Context,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        self.execute_beside(id, version, command, context, None)
            .await
    }

    /// As [`execute_at`](Self::execute_at), and writes something more in the same transaction.
    pub async fn execute_beside<A: Aggregate>(
        &self,
        id: Uuid,
        version: u64,
        command: &A::Command,
        context: &Context,
        beside: Option<Beside>,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        let expected = i64::try_from(version).unwrap_or(i64::MAX);
        let attempt = Attempt {
            expected: (expected > 0).then_some(expected),
            beside,
            ..Attempt::new(id, command, context)
        };
        self.run(attempt).await
    }

    /// As [`execute`](Self::execute), once for each message: the ids of the events come from the inbox entry, and a
    /// message that causes nothing marks the inbox. One that was handled before changes nothing and succeeds.
    pub async fn execute_once<A: Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        let context = Context {
            command_id: entry.command_id(),
            ..context.clone()
        };
        let attempt = Attempt {
            inbox: Some(entry),
            ..Attempt::new(id, command, &context)
        };
        self.run(attempt).await
    }

    async fn run<A: Aggregate>(
        &self,
        attempt: Attempt<'_, A>,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        // Without one, as when the database is away, a command need not wait for those before it.
        let turn = self.turn(&attempt.stream);
        let mut turn_taken = timeout(TURN, turn.lock()).await.ok();
        let (mut tries, begun) = (0, Instant::now());
        let mut attempted = self.at_once(&attempt).await?;
        loop {
            match attempted {
                Some(Attempted::Done(outcome)) => return Ok(outcome),
                Some(Attempted::Again(error))
                    if tries >= CONFLICT_RETRIES && begun.elapsed() >= CONFLICT_PATIENCE =>
                {
                    return Err(error.into());
                }
                Some(Attempted::Again(_)) if turn_taken.is_none() => {
                    turn_taken = Some(turn.lock().await);
                }
                Some(Attempted::Again(_)) => tries += 1,
                None => {}
            }
            attempted = Some(self.attempt::<A>(&attempt).await?);
        }
    }

    /// Decides on the remembered state, or as if there were no stream, without a query. `None` where the log must be
    /// asked: such a state may be old, so it can lead to an append, which fails if it is, but neither to a refusal nor to
    /// nothing.
    async fn at_once<A: Aggregate>(
        &self,
        attempt: &Attempt<'_, A>,
    ) -> Result<Option<Attempted<A>>, ExecuteError<A::Rejection>> {
        let known = self.remembered::<A>(attempt.id);
        let known = known.unwrap_or_else(|| Arc::new(Loaded::nothing()));
        if attempt.expected.is_some_and(|e| e != known.version) {
            return Ok(None);
        }
        match known.state.decide(attempt.command) {
            Ok(events) if !events.is_empty() => {
                match self.append_decided(attempt, known, events).await {
                    // It was carried out before, and would have more to say now.
                    Err(ExecuteError::Store(StoreError::EventIdReused(_))) => Ok(None),
                    done => done.map(Some),
                }
            }
            _ => Ok(None),
        }
    }

    async fn attempt<A: Aggregate>(
        &self,
        attempt: &Attempt<'_, A>,
    ) -> Result<Attempted<A>, ExecuteError<A::Rejection>> {
        let Attempt {
            stream, context, ..
        } = attempt;
        let (loaded, recorded) = self.load_recorded::<A>(attempt.id).await?;
        // A repetition must be recognised before the rules refuse it ("approve" of what is approved).
        let first = context.event_id(stream, 0);
        if let Some(earlier) = recorded.iter().find(|e| e.id == first) {
            same_command(&earlier.metadata, &context.metadata)
                .map_err(|()| ExecuteError::KeyReused)?;
            return Ok(Attempted::quiet(loaded));
        }
        if let Some(expected) = attempt.expected.filter(|e| *e != loaded.version) {
            return Err(ExecuteError::VersionMismatch {
                expected,
                actual: loaded.version,
            });
        }
        let events = match loaded.state.decide(attempt.command) {
            Ok(events) => events,
            // The state has moved on since the message was handled; that is no reason to refuse it now.
            Err(_) if self.was_handled(attempt.inbox.as_ref()).await? => {
                return Ok(Attempted::quiet(loaded));
            }
            Err(rejection) => return Err(ExecuteError::Rejected(rejection)),
        };
        if events.is_empty() && attempt.inbox.is_none() {
            return Ok(Attempted::quiet(loaded));
        }
        self.append_decided(attempt, Arc::new(loaded), events).await
    }

    async fn append_decided<A: Aggregate>(
        &self,
        attempt: &Attempt<'_, A>,
        loaded: Arc<Loaded<A>>,
        events: Vec<A::Event>,
    ) -> Result<Attempted<A>, ExecuteError<A::Rejection>> {
        let Attempt {
            stream, context, ..
        } = attempt;
        let append = Append {
            stream: stream.clone(),
            expected_version: loaded.version,
            events: encode::<A>(stream, &events, context)?,
            inbox: attempt.inbox.clone(),
            now: context.now,
        };
        let after = Arc::new(loaded.after(&events, &append));
        let states = States {
            before: loaded,
            after: after.clone(),
        };
        let beside = attempt.beside.clone();
        match self.append_as(append, Some(states), beside).await {
            Ok(Appended::New(_)) => Ok(Attempted::Done(Outcome {
                state: after.state.clone(),
                version: after.version,
                events,
            })),
            // The same command was run between our load and our append; the next round compares the two.
            Ok(Appended::Repeated) => {
                Ok(Attempted::Again(StoreError::EventIdReused(stream.clone())))
            }
            Ok(Appended::AlreadyHandled) => Ok(Attempted::quiet(self.load::<A>(attempt.id).await?)),
            Err(
                conflict @ StoreError::Conflict {
                    expected, actual, ..
                },
            ) => {
                if actual < expected {
                    // The log has lost its end, as after a failover to a standby that was behind.
                    self.memory.forget();
                }
                Ok(Attempted::Again(conflict))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn was_handled(&self, entry: Option<&InboxEntry>) -> Result<bool> {
        let Some(entry) = entry else { return Ok(false) };
        let row = sqlx::query("SELECT 1 FROM inbox WHERE consumer = $1 AND message_id = $2")
            .bind(entry.consumer.clone())
            .bind(entry.message_id.to_string())
            .fetch_optional(self.database().pool())
            .await?;
        Ok(row.is_some())
    }
}

/// The input of every try.
struct Attempt<'a, A: Aggregate> {
    id: Uuid,
    stream: Stream,
    command: &'a A::Command,
    context: &'a Context,
    expected: Option<i64>,
    inbox: Option<InboxEntry>,
    beside: Option<Beside>,
}

impl<'a, A: Aggregate> Attempt<'a, A> {
    fn new(id: Uuid, command: &'a A::Command, context: &'a Context) -> Self {
        Self {
            id,
            stream: Stream::of::<A>(id),
            command,
            context,
            expected: None,
            inbox: None,
            beside: None,
        }
    }
}

enum Attempted<A: Aggregate> {
    Done(Outcome<A>),
    /// A conflict; the error is returned after the last try.
    Again(StoreError),
}

impl<A: Aggregate> Attempted<A> {
    fn quiet(loaded: Loaded<A>) -> Self {
        Self::Done(Outcome {
            state: loaded.state,
            version: loaded.version,
            events: Vec::new(),
        })
    }
}

fn encode<A: Aggregate>(
    stream: &Stream,
    events: &[A::Event],
    context: &Context,
) -> Result<Vec<NewEvent>> {
    let metadata = context.metadata.clone();
    // The effects of these events then become children of the current span.
    let metadata = match trace::TraceContext::present() {
        None => metadata,
        present => metadata.at(present),
    };
    (0..)
        .zip(events)
        .map(|(index, event)| {
            let id = context.event_id(stream, index);
            NewEvent::encode::<A>(id, event, metadata.clone())
        })
        .collect()
}

fn same_command(earlier: &Metadata, now: &Metadata) -> Result<(), ()> {
    if earlier.command_digest == now.command_digest {
        Ok(())
    } else {
        Err(())
    }
}
