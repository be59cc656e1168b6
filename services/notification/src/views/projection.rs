//! The projection: events -> rows of `deliveries`.

use async_trait::async_trait;
use portico_eventstore::{Projection, ProjectionError, RecordedEvent, sqlx, sqlx::AnyConnection};

use crate::delivery::{Delivery, Event, Mail};

/// Keeps the table `deliveries`.
pub struct Deliveries;

#[async_trait]
impl Projection for Deliveries {
    fn tables(&self) -> &'static [&'static str] {
        &["deliveries"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        let Some(happened) = event.decode::<Delivery>()? else {
            return Ok(());
        };
        if let Event::Queued(mail) = &happened {
            return queue(tx, event, mail).await;
        }
        Change::of(&happened, event).write(tx, event).await
    }
}

async fn queue(
    tx: &mut AnyConnection,
    event: &RecordedEvent,
    mail: &Mail,
) -> Result<(), ProjectionError> {
    sqlx::query(
        "INSERT INTO deliveries (id, position, template, recipient_id, subject_id, status, attempts, resends, \
         last_error, next_try_at, due_ms, created_at, sent_at, version) \
         VALUES ($1, $2, $3, $4, $5, 'queued', 0, 0, '', '', $6, $7, '', $8)",
    )
    .bind(event.stream_id().to_string())
    .bind(event.position)
    .bind(mail.template.as_str())
    .bind(mail.recipient_id.to_string())
    .bind(mail.subject_id.map(|id| id.to_string()).unwrap_or_default())
    .bind(event.recorded_at.as_millisecond())
    .bind(event.recorded_at.to_string())
    .bind(event.version)
    .execute(tx)
    .await?;
    Ok(())
}

/// What an event changes in a row; `None` leaves the column as it is.
#[derive(Default)]
struct Change {
    status: &'static str,
    attempts: Option<i64>,
    resends: Option<i64>,
    error: Option<String>,
    next_try_at: String,
    due_ms: i64,
    sent_at: Option<String>,
}

impl Change {
    fn of(happened: &Event, event: &RecordedEvent) -> Self {
        match happened {
            Event::Queued(_) => Self::default(),
            Event::SendingStarted { attempt } => Self {
                status: "sending",
                attempts: Some(i64::from(*attempt)),
                ..Self::default()
            },
            Event::Sent { .. } => Self {
                status: "sent",
                error: Some(String::new()),
                sent_at: Some(event.recorded_at.to_string()),
                ..Self::default()
            },
            Event::Delayed { error, next_try_at } => Self {
                status: "queued",
                error: Some(error.clone()),
                next_try_at: next_try_at.to_string(),
                due_ms: next_try_at.as_millisecond(),
                ..Self::default()
            },
            Event::Failed { error, .. } => Self {
                status: "failed",
                error: Some(error.clone()),
                ..Self::default()
            },
            Event::ResendRequested { resend } => Self {
                status: "queued",
                resends: Some(i64::from(*resend)),
                error: Some(String::new()),
                due_ms: event.recorded_at.as_millisecond(),
                ..Self::default()
            },
        }
    }

    async fn write(
        self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        sqlx::query(
            "UPDATE deliveries SET status = $1, attempts = COALESCE($2, attempts), \
             resends = COALESCE($3, resends), last_error = COALESCE($4, last_error), next_try_at = $5, \
             due_ms = $6, sent_at = COALESCE($7, sent_at), version = $8 WHERE id = $9",
        )
        .bind(self.status)
        .bind(self.attempts)
        .bind(self.resends)
        .bind(self.error)
        .bind(self.next_try_at)
        .bind(self.due_ms)
        .bind(self.sent_at)
        .bind(event.version)
        .bind(event.stream_id().to_string())
        .execute(tx)
        .await?;
        Ok(())
    }
}
