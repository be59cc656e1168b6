//! Lag of a service's relay and consumers and the age of what waits for them, its parked messages, and its database
//! connections.

use futures::future::join_all;
use jiff::Timestamp;
use portico_bus::{BusError, ConsumerSpec, SharedBus};
use portico_eventstore::{
    Database,
    consumer::parked,
    sqlx::{self, AnyPool, Row as _},
};

use super::gauges::{self, Gauge, Reading};
use crate::{Clock, ServiceName};

const POSITION: Gauge = Gauge {
    name: "portico_events_position",
    help: "Position of the last event in a service's log, which is the number of its events.",
};
const RELAY_LAG: Gauge = Gauge {
    name: "portico_relay_lag_events",
    help: "Events of a service that the relay has not brought to the bus yet.",
};
const UNPUBLISHED: Gauge = Gauge {
    name: "portico_oldest_unpublished_seconds",
    help: "How long ago the oldest event was recorded that the relay has not brought to the bus yet; 0: there is none.",
};
const UNCONSUMED: Gauge = Gauge {
    name: "portico_oldest_unconsumed_seconds",
    help: "For how long the oldest message has waited for a consumer, as seen by this process; 0: there is none. Where the \
           bus does not tell, for how long it has not.",
};
const BACKLOG: Gauge = Gauge {
    name: "portico_consumer_backlog_messages",
    help: "Messages on the bus that a consumer has not acknowledged yet.",
};
const PARKED: Gauge = Gauge {
    name: "portico_parked_messages",
    help: "Messages that a consumer could not handle and that wait for an admin.",
};
const CONNECTIONS: Gauge = Gauge {
    name: "portico_database_connections",
    help: "Connections of a service to its database: in use, idle, and spare, which are not open yet.",
};

/// Registers these gauges. Views have no lag: they are written with the events.
pub(crate) fn observe(
    service: ServiceName,
    database: &Database,
    bus: &SharedBus,
    consumers: &[ConsumerSpec],
    clock: &Clock,
) {
    let (pool, database, clock) = (database.pool().clone(), database.clone(), clock.clone());
    let name = service.as_str();
    let names: Vec<&'static str> = consumers.iter().map(|consumer| consumer.name).collect();
    gauges::register(
        format!("{name} store"),
        &[POSITION, RELAY_LAG, UNPUBLISHED, PARKED],
        move || read(name, database.clone(), names.clone(), clock.now()),
    );
    // Apart from what needs one: all in use is what there is to tell.
    gauges::register(format!("{name} connections"), &[CONNECTIONS], move || {
        std::future::ready(Ok::<_, String>(connections(name, &pool)))
    });
    let (bus, consumers) = (bus.clone(), consumers.to_vec());
    gauges::register(format!("{name} bus"), &[BACKLOG, UNCONSUMED], move || {
        waiting(bus.clone(), consumers.clone())
    });
}

async fn waiting(bus: SharedBus, consumers: Vec<ConsumerSpec>) -> Result<Vec<Reading>, BusError> {
    let mut readings = Vec::new();
    let all = join_all(consumers.iter().map(|one| bus.waiting(one))).await;
    for (consumer, waiting) in consumers.iter().zip(all) {
        let of = |reading: Reading| reading.label("consumer", consumer.name);
        let waiting = waiting?;
        let known: Option<u64> = waiting.iter().map(|one| one.messages).sum();
        if let Some(known) = known {
            let backlog = i64::try_from(known).unwrap_or(i64::MAX);
            readings.push(of(Reading::new(BACKLOG, backlog)));
        }
        for one in waiting {
            let event = one.subject.trim_start_matches("portico.");
            let age = Reading::seconds(UNCONSUMED, one.oldest.as_secs_f64());
            readings.push(of(age).label("event", event));
        }
    }
    Ok(readings)
}

async fn read(
    service: &'static str,
    database: Database,
    consumers: Vec<&'static str>,
    now: Timestamp,
) -> Result<Vec<Reading>, portico_eventstore::StoreError> {
    let of = |reading: Reading| reading.label("service", service);
    let log = Log::read(database.pool()).await?;
    let unpublished = log.unpublished;
    let age = unpublished.map_or(0.0, |at| now.duration_since(at).as_secs_f64());
    let mut readings = vec![
        of(Reading::new(POSITION, log.head)),
        of(Reading::new(RELAY_LAG, (log.head - log.relayed).max(0))),
        of(Reading::seconds(UNPUBLISHED, age.max(0.0))),
    ];
    for consumer in consumers {
        let parked = parked(&database, consumer).await?;
        readings.push(of(Reading::new(PARKED, parked)).label("consumer", consumer));
    }
    Ok(readings)
}

fn connections(service: &'static str, pool: &AnyPool) -> Vec<Reading> {
    let idle = i64::try_from(pool.num_idle()).unwrap_or_default();
    let (open, most) = (
        i64::from(pool.size()),
        i64::from(pool.options().get_max_connections()),
    );
    let states = [
        ("idle", idle),
        ("used", open - idle),
        ("spare", most - open),
    ];
    let reading = |(state, count): (&'static str, i64)| {
        let reading = Reading::new(CONNECTIONS, count.max(0)).label("service", service);
        reading.label("state", state)
    };
    states.map(reading).into()
}

/// How far the log has got, and the relay.
struct Log {
    head: i64,
    relayed: i64,
    /// When the oldest event was recorded that is not published.
    unpublished: Option<Timestamp>,
}

impl Log {
    async fn read(pool: &AnyPool) -> sqlx::Result<Self> {
        // Where a bus has incarnations, a checkpoint without one is from another bus.
        let row = sqlx::query(
            "SELECT (SELECT COALESCE(MAX(position), 0) FROM events), relayed, \
             (SELECT recorded_at FROM events WHERE position > relayed ORDER BY position LIMIT 1) \
             FROM (SELECT COALESCE((SELECT position FROM checkpoints WHERE name = 'relay' OR name LIKE 'relay:%' \
             ORDER BY name DESC LIMIT 1), 0) AS relayed) AS relay",
        )
        .fetch_one(pool)
        .await?;
        let unpublished: Option<String> = row.try_get(2)?;
        Ok(Self {
            head: row.try_get(0)?,
            relayed: row.try_get(1)?,
            unpublished: unpublished.and_then(|at| at.parse().ok()),
        })
    }
}
