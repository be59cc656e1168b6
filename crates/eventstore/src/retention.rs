//! What a service need not keep for ever is deleted in small steps, by one replica at a time.
//!
//! Messages that were handled leave a low-water mark behind (`consumer::marks`). Events, and what they refer to, are
//! never pruned.

use std::time::Duration;

use jiff::Timestamp;
use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Gauge},
};
use portico_bus::{ConsumerSpec, SharedBus, Waiting};
use sqlx::{AssertSqlSafe, Row as _};
use tokio_util::sync::CancellationToken;

use crate::{Database, Lease, Result, clock::Clock, consumer::marks, fault};

/// Deleted only so long after the mark has risen above it: the source knows that much later what it has published
/// ([`published::STEP`](crate::relay::published::STEP)), and clocks may differ.
const MARGIN: Duration = Duration::from_hours(26);

/// How much is kept, and how it is deleted.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Age at which it is forgotten that a message was handled or dropped. Longer than the bus keeps messages.
    pub messages: Duration,
    /// How long the bus surely keeps a message that a consumer has not acknowledged.
    pub bus: Duration,
    /// Pause between two rounds.
    pub every: Duration,
    /// Rows deleted in one transaction.
    pub rows: u32,
    /// Pause between two such transactions.
    pub pause: Duration,
}

/// A table whose rows grow with time, and which of them end.
#[derive(Debug, Clone, Copy)]
pub struct Expiry {
    /// Name of the table.
    pub table: &'static str,
    /// The key of the rows that have ended, at most `$2` of them: a query, where `$1` is the latest time that has ended.
    /// Empty: none ends.
    pub ended: &'static str,
    /// Columns of the key, as `ended` has them.
    pub key: &'static str,
    /// How `$1` is written.
    pub time: Format,
    /// Age at which a row has ended.
    pub keep: Duration,
}

/// A time in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Since 1970.
    Milliseconds,
    /// RFC 3339.
    Text,
}

/// The pruning of one service.
pub struct Pruner {
    /// Database of the service.
    pub database: Database,
    /// Asked whether the consumers have handled everything.
    pub bus: SharedBus,
    /// Consumers of the service.
    pub consumers: Vec<ConsumerSpec>,
    /// Tables of the service; those of the event store are added.
    pub expiries: Vec<Expiry>,
    /// How much is kept.
    pub settings: Retention,
    /// One replica prunes at a time.
    pub lease: Lease,
    /// Time, and pauses.
    pub clock: Clock,
}

impl Pruner {
    /// Name of the lease.
    pub const LEASE: &'static str = "retention";

    /// Prunes at once and then every so often until shutdown. A failure is logged; the next round tries again.
    pub async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.turns()).await;
    }

    async fn turns(&self) {
        loop {
            if let Err(error) = self.turn().await {
                tracing::warn!(%error, "pruning interrupted, trying again later");
            }
            self.clock.sleep(self.settings.every).await;
        }
    }

    /// Prunes now, unless another replica does.
    ///
    /// # Errors
    /// The database failed; what was deleted is deleted.
    pub async fn turn(&self) -> Result<()> {
        let numbers = Numbers::new(self.database.service());
        let Some(held) = self.lease.acquire(&self.clock).await? else {
            return Ok(());
        };
        match held.run(self.round(&numbers)).await {
            Ok(done) => done,
            Err(lost) => {
                tracing::info!(%lost, "another replica prunes");
                Ok(())
            }
        }
    }

    async fn round(&self, numbers: &Numbers) -> Result<()> {
        // By the database's clock: one that is hours ahead would end every session.
        let (now, ahead) = (self.clock.now(), self.clock.offset().unwrap_or_default());
        let now = now.checked_sub(ahead).unwrap_or(now);
        for expiry in self.own(now).await?.iter().chain(&self.expiries) {
            let pruned = self.prune(expiry, now).await?;
            numbers.pruned(expiry.table, pruned);
            self.measure(expiry, numbers).await?;
        }
        // After the deletions: whoever has not found a message below a mark still finds it in the inbox.
        self.raise(now, numbers).await
    }

    /// Of the event store. What is below the marks of every consumer is deleted.
    async fn own(&self, now: Timestamp) -> Result<Vec<Expiry>> {
        let mut age = Duration::ZERO;
        for consumer in &self.consumers {
            marks::begin(&self.database, consumer, now, self.settings.messages).await?;
            let reached = marks::reached(&self.database, consumer.name).await?;
            let behind = now.as_millisecond().saturating_sub(reached).max(0);
            age = age.max(Duration::from_millis(behind.unsigned_abs()));
        }
        let age = age.max(self.settings.messages) + MARGIN;
        Ok(vec![
            Expiry {
                table: "inbox",
                ended: "SELECT consumer, message_id FROM inbox WHERE handled_ms < $1 LIMIT $2",
                key: "(consumer, message_id)",
                time: Format::Milliseconds,
                keep: age,
            },
            Expiry {
                table: "dropped",
                ended: "SELECT consumer, message_id FROM dropped WHERE dropped_at < $1 LIMIT $2",
                key: "(consumer, message_id)",
                time: Format::Text,
                keep: age,
            },
            // Of processes that died; a lease lasts seconds, and goes by another clock than this.
            Expiry {
                table: "leases",
                ended: "SELECT name FROM leases WHERE expires_at_ms < $1 LIMIT $2",
                key: "name",
                time: Format::Milliseconds,
                keep: MARGIN,
            },
            Expiry::kept("parked"),
        ])
    }

    /// Deletes what has ended, step by step.
    async fn prune(&self, expiry: &Expiry, now: Timestamp) -> Result<u64> {
        if expiry.ended.is_empty() {
            return Ok(0);
        }
        let sql = format!(
            "DELETE FROM {} WHERE {} IN ({})",
            expiry.table, expiry.key, expiry.ended
        );
        let before = now.checked_sub(expiry.keep).unwrap_or(Timestamp::MIN);
        let mut all = 0;
        loop {
            fault::point("pruning");
            let query = sqlx::query(AssertSqlSafe(sql.clone()));
            let query = match expiry.time {
                Format::Milliseconds => query.bind(before.as_millisecond()),
                Format::Text => query.bind(before.to_string()),
            };
            let step = query
                .bind(i64::from(self.settings.rows))
                .execute(self.database.pool())
                .await?
                .rows_affected();
            all += step;
            if step < u64::from(self.settings.rows) {
                return Ok(all);
            }
            self.clock.sleep(self.settings.pause).await;
        }
    }

    async fn measure(&self, expiry: &Expiry, numbers: &Numbers) -> Result<()> {
        let sql = format!("SELECT COUNT(*) FROM {}", expiry.table);
        let row = sqlx::query(AssertSqlSafe(sql))
            .fetch_one(self.database.pool())
            .await?;
        numbers.retained(expiry.table, row.try_get(0)?);
        Ok(())
    }

    async fn raise(&self, now: Timestamp, numbers: &Numbers) -> Result<()> {
        let Retention { messages, bus, .. } = self.settings;
        for consumer in &self.consumers {
            let caught_up = marks::caught_up(&self.database, consumer.name).await?;
            let age = now.as_millisecond().saturating_sub(caught_up).max(0);
            numbers.caught_up(consumer.name, age);
            // Where somebody is busy, or the bus is away, the next round sees.
            let waiting = self.bus.waiting(consumer).await.unwrap_or_default();
            let is_idle = |one: &Waiting| one.messages == Some(0);
            if waiting.is_empty() || !waiting.iter().all(is_idle) {
                continue;
            }
            let blind = marks::raise(&self.database, consumer.name, now, messages, bus).await?;
            if blind {
                tracing::warn!(
                    consumer = consumer.name,
                    "nobody has seen this consumer catch up for longer than the bus keeps messages; if some may be \
                     lost, publish again: portico relay --from 0"
                );
            }
        }
        Ok(())
    }
}

impl Expiry {
    /// A table that is only measured.
    pub const fn kept(table: &'static str) -> Self {
        Self {
            table,
            ended: "",
            key: "",
            time: Format::Milliseconds,
            keep: Duration::MAX,
        }
    }
}

/// Metrics. They are no-ops without a global OpenTelemetry meter provider.
struct Numbers {
    service: KeyValue,
    retained: Gauge<i64>,
    caught_up: Gauge<i64>,
    pruned: Counter<u64>,
}

impl Numbers {
    fn new(service: &str) -> Self {
        let meter = global::meter("portico");
        Self {
            service: KeyValue::new("service", service.to_owned()),
            retained: meter
                .i64_gauge("portico_retained_rows")
                .with_description(
                    "Rows of a table that is pruned or grows, by service and table, as of the last round of pruning.",
                )
                .build(),
            caught_up: meter
                .i64_gauge("portico_consumer_caught_up_age_seconds")
                .with_description(
                    "Time since a consumer was last seen without a message to handle, as of the last round of pruning.",
                )
                .with_unit("s")
                .build(),
            pruned: meter
                .u64_counter("portico_pruned_rows_total")
                .with_description("Rows deleted because of their age, by service and table.")
                .build(),
        }
    }

    fn retained(&self, table: &'static str, rows: i64) {
        self.retained.record(rows, &self.labels(table));
    }

    fn caught_up(&self, consumer: &'static str, milliseconds: i64) {
        let consumer = KeyValue::new("consumer", consumer);
        self.caught_up.record(milliseconds / 1000, &[consumer]);
    }

    fn pruned(&self, table: &'static str, rows: u64) {
        self.pruned.add(rows, &self.labels(table));
    }

    fn labels(&self, table: &'static str) -> [KeyValue; 2] {
        [self.service.clone(), KeyValue::new("table", table)]
    }
}
