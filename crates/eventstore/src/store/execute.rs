//! Commands: load, decide, append; retried on a conflict.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::{
    Aggregate, Append, Appended, Context, EventStore, InboxEntry, Loaded, Metadata, NewEvent,
    Result, StoreError, Stream, trace,
};

/// Least number of retries after a conflict. Commands of this process for the same stream take turns after the first
/// conflict, so only other replicas can win. On a busy machine one that writes all the time has been seen to win fifty
/// times in a row, so retries also go on for [`CONFLICT_PATIENCE`].
const CONFLICT_RETRIES: usize = 50;
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
        self.run::<A>(id, command, context, None, None).await
    }

    /// As [`execute`](Self::execute), but only at this version of the stream (`If-Match`); 0: at any.
    pub async fn execute_at<A: Aggregate>(
        &self,
        id: Uuid,
        version: u64,
        command: &A::Command,
        context: &Context,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        let expected = i64::try_from(version).unwrap_or(i64::MAX);
        self.run::<A>(
            id,
            command,
            context,
            (expected > 0).then_some(expected),
            None,
        )
        .await
    }

    /// As [`execute`](Self::execute), once for each message: the inbox is marked in the same transaction. A
    /// message that was handled before changes nothing and succeeds.
    pub async fn execute_once<A: Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        self.run::<A>(id, command, context, None, Some(entry)).await
    }

    async fn run<A: Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
        context: &Context,
        expected: Option<i64>,
        inbox: Option<InboxEntry>,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        let attempt = Attempt {
            id,
            stream: Stream::of::<A>(id),
            command,
            context,
            expected,
            inbox,
        };
        let mut turn = None;
        let (mut tries, begun) = (0, Instant::now());
        loop {
            match self.attempt::<A>(&attempt).await? {
                Attempted::Done(outcome) => return Ok(outcome),
                Attempted::Again(error)
                    if tries >= CONFLICT_RETRIES && begun.elapsed() >= CONFLICT_PATIENCE =>
                {
                    return Err(error.into());
                }
                Attempted::Again(_) => tries += 1,
            }
            if turn.is_none() {
                turn = Some(self.turn(&attempt.stream).lock().await);
            }
        }
    }

    async fn attempt<A: Aggregate>(
        &self,
        attempt: &Attempt<'_, A>,
    ) -> Result<Attempted<A>, ExecuteError<A::Rejection>> {
        let Attempt {
            stream, context, ..
        } = attempt;
        let (Loaded { mut state, version }, recorded) = self.load_recorded::<A>(attempt.id).await?;
        // A repetition must be recognised before the rules refuse it ("approve" of what is approved).
        let first = context.event_id(stream, 0);
        if let Some(earlier) = recorded.iter().find(|e| e.id == first) {
            same_command(&earlier.metadata, &context.metadata)
                .map_err(|()| ExecuteError::KeyReused)?;
            return Ok(Attempted::quiet(state, version));
        }
        if let Some(expected) = attempt.expected.filter(|e| *e != version) {
            return Err(ExecuteError::VersionMismatch {
                expected,
                actual: version,
            });
        }
        let events = match state.decide(attempt.command) {
            Ok(events) => events,
            // The state has moved on since the message was handled; that is no reason to refuse it now.
            Err(_) if self.was_handled(attempt.inbox.as_ref()).await? => {
                return Ok(Attempted::quiet(state, version));
            }
            Err(rejection) => return Err(ExecuteError::Rejected(rejection)),
        };
        if events.is_empty() && attempt.inbox.is_none() {
            return Ok(Attempted::quiet(state, version));
        }
        let append = Append {
            stream: stream.clone(),
            expected_version: version,
            events: encode::<A>(stream, &events, context)?,
            inbox: attempt.inbox.clone(),
            now: context.now,
        };
        match self.append(append).await {
            Ok(Appended::New(new)) => {
                events.iter().for_each(|event| state.evolve(event));
                Ok(Attempted::Done(Outcome {
                    state,
                    version: new.last().map_or(version, |e| e.version),
                    events,
                }))
            }
            // The same command was run between our load and our append; the next round compares the two.
            Ok(Appended::Repeated) => {
                Ok(Attempted::Again(StoreError::EventIdReused(stream.clone())))
            }
            Ok(Appended::AlreadyHandled) => {
                let Loaded { state, version } = self.load::<A>(attempt.id).await?;
                Ok(Attempted::quiet(state, version))
            }
            Err(conflict @ StoreError::Conflict { .. }) => Ok(Attempted::Again(conflict)),
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
}

enum Attempted<A: Aggregate> {
    Done(Outcome<A>),
    /// A conflict; the error is returned after the last try.
    Again(StoreError),
}

impl<A: Aggregate> Attempted<A> {
    fn quiet(state: A, version: i64) -> Self {
        Self::Done(Outcome {
            state,
            version,
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
