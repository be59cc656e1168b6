//! The projection: events -> rows of `deliveries`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_eventstore::{
    Cell, Change, Projection, ProjectionError, RecordedEvent, Table, Tx, cells, sqlx,
};
use uuid::Uuid;

use crate::delivery::{Delivery, Event, Mail};

/// Keeps the table `deliveries`.
pub struct Deliveries;

const TABLE: Table = Table {
    name: "deliveries",
    key: "id",
    columns: "id position template recipient_id subject_id created_at status attempts resends last_error \
        next_try_at due_ms sent_at version",
    once: "",
};

#[async_trait]
impl Projection for Deliveries {
    fn tables(&self) -> &'static [&'static str] {
        &["deliveries"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        let mut deliveries: BTreeMap<Uuid, Changes<'_>> = BTreeMap::new();
        for (at, event) in change.decoded::<Delivery>()? {
            let delivery = deliveries.entry(at.stream_id()).or_default();
            delivery.follow(at, event);
        }
        let mut rows = Vec::new();
        for (id, mut delivery) in deliveries {
            match delivery.queued.take() {
                Some((at, mail)) => rows.push(delivery.row(at, &mail)),
                None => delivery.update(tx, id).await?,
            }
        }
        TABLE.write(tx, rows).await?;
        Ok(())
    }
}

/// What events change in the row of a delivery; `None` leaves the column as it is.
#[derive(Default)]
struct Changes<'a> {
    /// Where it begins with them.
    queued: Option<(&'a RecordedEvent, Mail)>,
    status: &'static str,
    attempts: Option<i64>,
    resends: Option<i64>,
    error: Option<String>,
    next_try_at: String,
    due_ms: i64,
    sent_at: Option<String>,
    version: i64,
}

impl<'a> Changes<'a> {
    fn follow(&mut self, at: &'a RecordedEvent, event: Event) {
        let now_ms = at.recorded_at.as_millisecond();
        self.version = at.version;
        (self.next_try_at, self.due_ms) = (String::new(), 0);
        match event {
            Event::Queued(mail) => {
                (self.status, self.due_ms) = ("queued", now_ms);
                self.queued = Some((at, mail));
            }
            Event::SendingStarted { attempt } => {
                self.status = "sending";
                self.attempts = Some(i64::from(attempt));
            }
            Event::Sent { .. } => {
                self.status = "sent";
                self.error = Some(String::new());
                self.sent_at = Some(at.recorded_at.to_string());
            }
            Event::Delayed { error, next_try_at } => {
                (self.status, self.due_ms) = ("queued", next_try_at.as_millisecond());
                self.error = Some(error);
                self.next_try_at = next_try_at.to_string();
            }
            Event::Failed { error, .. } => {
                self.status = "failed";
                self.error = Some(error);
            }
            Event::ResendRequested { resend } => {
                (self.status, self.due_ms) = ("queued", now_ms);
                self.resends = Some(i64::from(resend));
                self.error = Some(String::new());
            }
        }
    }

    fn row(self, queued: &RecordedEvent, mail: &Mail) -> Vec<Cell> {
        cells![
            queued.stream_id(),
            queued.position,
            mail.template.as_str(),
            mail.recipient_id,
            mail.subject_id.map(|id| id.to_string()).unwrap_or_default(),
            queued.recorded_at.to_string(),
            self.status,
            self.attempts.unwrap_or_default(),
            self.resends.unwrap_or_default(),
            self.error.unwrap_or_default(),
            self.next_try_at,
            self.due_ms,
            self.sent_at.unwrap_or_default(),
            self.version,
        ]
    }

    async fn update(self, tx: &mut Tx, id: Uuid) -> sqlx::Result<()> {
        tx.execute(
            "UPDATE deliveries SET status = $1, attempts = COALESCE($2, attempts), \
             resends = COALESCE($3, resends), last_error = COALESCE($4, last_error), next_try_at = $5, \
             due_ms = $6, sent_at = COALESCE($7, sent_at), version = $8 WHERE id = $9",
            cells![
                self.status,
                self.attempts,
                self.resends,
                self.error,
                self.next_try_at,
                self.due_ms,
                self.sent_at,
                self.version,
                id
            ],
        )
        .await
    }
}
