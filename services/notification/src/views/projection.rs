//! The projection: events -> rows of `deliveries`.

use std::{collections::BTreeMap, mem::take};

use async_trait::async_trait;
use portico_eventstore::{
    self as eventstore, Cell, Projection, ProjectionError, RecordedEvent, Table, cells, sqlx,
    sqlx::AnyConnection,
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

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        change: &eventstore::Change<'_>,
    ) -> Result<(), ProjectionError> {
        let mut deliveries: BTreeMap<Uuid, Changes<'_>> = BTreeMap::new();
        for (at, event) in change.decoded::<Delivery>()? {
            let delivery = deliveries.entry(at.stream_id()).or_default();
            delivery.change = take(&mut delivery.change).then(Change::of(&event, at));
            delivery.version = at.version;
            if let Event::Queued(mail) = event {
                delivery.queued = Some((at, mail));
            }
        }
        let mut rows = Vec::new();
        for (id, delivery) in deliveries {
            match &delivery.queued {
                Some((at, mail)) => rows.push(delivery.change.row(at, mail, delivery.version)),
                None => delivery.change.update(tx, id, delivery.version).await?,
            }
        }
        TABLE.write(tx, rows).await?;
        Ok(())
    }
}

/// Of one delivery.
#[derive(Default)]
struct Changes<'a> {
    /// Where it begins with them.
    queued: Option<(&'a RecordedEvent, Mail)>,
    change: Change,
    version: i64,
}

/// What events change in a row; `None` leaves the column as it is.
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
            Event::Queued(_) => Self {
                status: "queued",
                due_ms: event.recorded_at.as_millisecond(),
                ..Self::default()
            },
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

    /// The change of an event, and then that of a later one.
    fn then(self, later: Self) -> Self {
        Self {
            attempts: later.attempts.or(self.attempts),
            resends: later.resends.or(self.resends),
            error: later.error.or(self.error),
            sent_at: later.sent_at.or(self.sent_at),
            ..later
        }
    }

    fn row(self, queued: &RecordedEvent, mail: &Mail, version: i64) -> Vec<Cell> {
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
            version,
        ]
    }

    async fn update(self, tx: &mut AnyConnection, id: Uuid, version: i64) -> sqlx::Result<()> {
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
        .bind(version)
        .bind(id.to_string())
        .execute(tx)
        .await?;
        Ok(())
    }
}
