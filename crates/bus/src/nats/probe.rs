//! Readiness: a message of our own is stored in the stream and read back.
//!
//! A connection alone says little: the disk of the server may be full, the stream gone, a permission missing. A probe ends
//! after a minute (`Nats-TTL`, NATS ADR-43), so that the stream keeps a few for each service. A real message that the stream
//! has just acknowledged is as good as a probe.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    header::NATS_SEQUENCE,
    jetstream::{
        self, ErrorCode,
        context::{PublishError, PublishErrorKind},
        message::PublishMessage,
    },
};
use tokio::time::{Instant, sleep, timeout};

use super::Inner;
use crate::NotReady;

/// Shorter than readiness waits, so that it learns the reason.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long a message that was stored stands for the next ones.
const FRESH: Duration = Duration::from_secs(10);
/// How long the stream keeps a probe.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long a failure stands, so that asking for readiness does not become a load.
const FAILED: Duration = Duration::from_secs(1);
/// Between two looks for what a follower does not have yet.
const POLL: Duration = Duration::from_millis(20);

/// The last failure; asked one after the other.
pub(super) type Probe = tokio::sync::Mutex<Option<(Instant, NotReady)>>;

/// Whether messages are stored and come to our consumers.
pub(super) async fn check(inner: &Inner) -> Result<(), NotReady> {
    let mut failed = inner.probe.lock().await;
    let generation = inner.generation();
    if inner.condition.has_stored(generation, FRESH) {
        return inner.condition.consumers_are_served();
    }
    if let Some((at, why)) = &*failed
        && at.elapsed() < FAILED
    {
        return Err(why.clone());
    }
    let probed = timeout(PATIENCE, store_and_read(inner)).await;
    // What is not permitted is not answered.
    let silence = || inner.condition.denied().unwrap_or_else(no_answer);
    let probed = probed.unwrap_or_else(|_| Err(silence()));
    *failed = probed.clone().err().map(|why| (Instant::now(), why));
    probed?;
    inner.condition.consumers_are_served()
}

fn no_answer() -> NotReady {
    NotReady {
        code: "bus_no_answer",
        cause: "NATS does not acknowledge in time".into(),
    }
}

async fn store_and_read(inner: &Inner) -> Result<(), NotReady> {
    let subject = &inner.settings.probe_subject;
    let probe = PublishMessage::build().ttl(LIFETIME);
    let connection = inner.connection.subscribe();
    let ack = inner.js.send_publish(subject.clone(), probe).await;
    let ack = ack.map_err(|error| refused(&error))?;
    let sequence = inner.acknowledged(ack, connection).await?;
    // By subject, since permissions name one; and so from any copy of the stream, which may be behind.
    let stream = &inner.settings.stream;
    let address = format!("$JS.API.DIRECT.GET.{stream}.{subject}");
    loop {
        let answer = inner.client.request(address.clone(), "".into()).await;
        let answer = answer.map_err(|error| NotReady {
            code: "bus_unreadable",
            cause: error.to_string(),
        })?;
        if answer.headers.as_ref().and_then(number) >= Some(sequence) {
            return Ok(());
        }
        sleep(POLL).await;
    }
}

fn number(headers: &HeaderMap) -> Option<u64> {
    headers.get(NATS_SEQUENCE)?.as_str().parse().ok()
}

/// Why the stream did not take a message.
pub(super) fn refused(error: &PublishError) -> NotReady {
    let code = match error.kind() {
        PublishErrorKind::StreamNotFound => "bus_stream_missing",
        PublishErrorKind::TimedOut => "bus_no_answer",
        _ => server_error(error).map_or("bus_unavailable", code),
    };
    NotReady {
        code,
        cause: error.to_string(),
    }
}

fn server_error(error: &PublishError) -> Option<&jetstream::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

fn code(error: &jetstream::Error) -> &'static str {
    match error.error_code() {
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::STREAM_STORE_FAILED => "bus_full",
        ErrorCode::MESSAGE_TTL_DISABLED => "bus_stream_settings",
        _ => "bus_unavailable",
    }
}
