//! Lag of a service's relay and consumers, its parked messages, and its database connections.

use portico_bus::{BusError, ConsumerSpec, SharedBus};
use portico_eventstore::{
    Database,
    consumer::parked,
    sqlx::{self, AnyPool, Row as _},
};

use super::gauges::{self, Gauge, Reading};
use crate::ServiceName;

const POSITION: Gauge = Gauge {
    name: "portico_events_position",
    help: "Position of the last event in a service's log, which is the number of its events.",
};
const RELAY_LAG: Gauge = Gauge {
    name: "portico_relay_lag_events",
    help: "Events of a service that the relay has not brought to the bus yet.",
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
    help: "Connections of a service to its database, by whether they are in use.",
};

/// Registers these gauges. Views have no lag: they are written with the events.
pub(crate) fn observe(
    service: ServiceName,
    database: &Database,
    bus: &SharedBus,
    consumers: &[ConsumerSpec],
) {
    let database = database.clone();
    let name = service.as_str();
    let names: Vec<&'static str> = consumers.iter().map(|consumer| consumer.name).collect();
    gauges::register(
        format!("{name} store"),
        &[POSITION, RELAY_LAG, PARKED, CONNECTIONS],
        move || read(name, database.clone(), names.clone()),
    );
    let (bus, consumers) = (bus.clone(), consumers.to_vec());
    gauges::register(format!("{name} bus"), &[BACKLOG], move || {
        backlogs(bus.clone(), consumers.clone())
    });
}

async fn backlogs(bus: SharedBus, consumers: Vec<ConsumerSpec>) -> Result<Vec<Reading>, BusError> {
    let mut readings = Vec::new();
    for consumer in &consumers {
        let backlog = i64::try_from(bus.backlog(consumer).await?).unwrap_or(i64::MAX);
        readings.push(Reading::new(BACKLOG, backlog).label("consumer", consumer.name));
    }
    Ok(readings)
}

async fn read(
    service: &'static str,
    database: Database,
    consumers: Vec<&'static str>,
) -> Result<Vec<Reading>, portico_eventstore::StoreError> {
    let pool = database.pool();
    let idle = i64::try_from(pool.num_idle()).unwrap_or_default();
    let used = i64::from(pool.size()) - idle;
    let of = |gauge, value| Reading::new(gauge, value).label("service", service);
    let mut readings = vec![
        of(CONNECTIONS, idle).label("state", "idle"),
        of(CONNECTIONS, used.max(0)).label("state", "used"),
    ];
    let (head, relayed) = positions(pool).await?;
    readings.push(of(POSITION, head));
    readings.push(of(RELAY_LAG, (head - relayed).max(0)));
    for consumer in consumers {
        let parked = parked(&database, consumer).await?;
        readings.push(of(PARKED, parked).label("consumer", consumer));
    }
    Ok(readings)
}

/// Of the log and of the relay.
async fn positions(pool: &AnyPool) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query(
        "SELECT (SELECT COALESCE(MAX(position), 0) FROM events), \
         (SELECT COALESCE(MAX(position), 0) FROM checkpoints WHERE name = 'relay' OR name LIKE 'relay:%')",
    )
    .fetch_one(pool)
    .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
