//! Pull requests to a consumer (NATS ADR-13): they wait at the server, which answers each with messages, heartbeats and,
//! at its end, a status.
//!
//! The client library has streams for this, but none that exposes its prefetched messages and stops requesting; a
//! replica that stops has to return those.

use std::time::Duration;

use async_nats::{
    Client, HeaderMap, StatusCode, Subject, Subscriber,
    jetstream::{
        self,
        consumer::{PullConsumer, pull::BatchConfig},
    },
};
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use super::unavailable;
use crate::BusError;

/// One request lives this long at the server.
const EXPIRES: Duration = Duration::from_secs(30);
/// Idle heartbeat of the server.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// After this long without a heartbeat the request is lost.
const SILENCE: Duration = Duration::from_secs(10);
/// What is left of a request that the server ends.
const PENDING_MESSAGES: &str = "Nats-Pending-Messages";

/// Messages of one consumer over one connection.
pub(super) struct Pull {
    js: jetstream::Context,
    consumer: PullConsumer,
    inbox: Subject,
    answers: Subscriber,
    /// How many messages may be fetched ahead.
    batch: usize,
    /// How many of those asked for have neither been handed out nor been given up by the server.
    wanted: usize,
    heard: Instant,
}

impl Pull {
    pub(super) async fn open(
        client: &Client,
        js: jetstream::Context,
        consumer: PullConsumer,
        batch: usize,
    ) -> Result<Self, BusError> {
        let inbox = Subject::from(client.new_inbox());
        let answers = client.subscribe(inbox.clone()).await.map_err(unavailable)?;
        Ok(Self {
            js,
            consumer,
            inbox,
            answers,
            batch: batch.max(1),
            wanted: 0,
            heard: Instant::now(),
        })
    }

    /// Waits for the next message, or a sign that the server has none; cancel-safe. After an error the pull is of no
    /// more use.
    pub(super) async fn next(&mut self) -> Result<Option<jetstream::Message>, BusError> {
        if self.wanted <= self.batch / 2 {
            self.ask().await?;
        }
        let answer = timeout_at(self.heard + SILENCE, self.answers.next())
            .await
            .map_err(|_| BusError::Unavailable("the server fell silent".into()))?
            .ok_or_else(|| BusError::Unavailable("the subscription ended".into()))?;
        self.heard = Instant::now();
        self.message(answer)
    }

    /// So that the server has work while the messages at hand are handled.
    async fn ask(&mut self) -> Result<(), BusError> {
        let missing = self.batch - self.wanted;
        let request = BatchConfig {
            batch: missing,
            expires: Some(EXPIRES),
            idle_heartbeat: HEARTBEAT,
            ..BatchConfig::default()
        };
        self.consumer
            .request_batch(request, self.inbox.clone())
            .await
            .map_err(unavailable)?;
        self.wanted += missing;
        self.heard = Instant::now();
        Ok(())
    }

    /// The message of an answer, or `None` if the answer is about a request.
    fn message(
        &mut self,
        answer: async_nats::Message,
    ) -> Result<Option<jetstream::Message>, BusError> {
        match answer.status {
            None | Some(StatusCode::OK) => {
                self.wanted = self.wanted.saturating_sub(1);
                Ok(Some(jetstream::Message {
                    message: answer,
                    context: self.js.clone(),
                }))
            }
            Some(StatusCode::IDLE_HEARTBEAT) => Ok(None),
            // The end of a request, unless the server does not say what is left of it: then it is the consumer that
            // has ended, or nobody listens.
            Some(status) => {
                let left = answer
                    .headers
                    .as_ref()
                    .and_then(pending)
                    .ok_or_else(|| refused(status, answer.description.as_deref()))?;
                self.wanted = self.wanted.saturating_sub(left);
                Ok(None)
            }
        }
    }

    /// Ends the pull and returns the prefetched messages to the server for other replicas.
    pub(super) async fn give_back(mut self) {
        // Every message that was sent before this answer has arrived before it.
        let _ = self.consumer.get_info().await;
        let mut held = Vec::with_capacity(self.wanted);
        while let Some(Some(answer)) = self.answers.next().now_or_never() {
            held.extend(self.message(answer).ok().flatten());
        }
        // Before the first is given back, or it would come here again.
        drop(self.answers);
        for message in held {
            if let Err(error) = message.ack_with(jetstream::AckKind::Nak(None)).await {
                tracing::debug!(%error, "a delivery was not given back");
            }
        }
    }
}

fn pending(headers: &HeaderMap) -> Option<usize> {
    headers.get(PENDING_MESSAGES)?.as_str().parse().ok()
}

fn refused(status: StatusCode, description: Option<&str>) -> BusError {
    let description = description.unwrap_or("no reason given");
    BusError::Unavailable(format!("the server ended the pull: {status} {description}"))
}
