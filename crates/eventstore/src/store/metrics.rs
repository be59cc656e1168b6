//! Metrics of the store, by service. They are no-ops without a global OpenTelemetry meter provider.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Histogram},
};

use crate::RecordedEvent;

pub(crate) struct StoreMetrics {
    service: KeyValue,
    events: Counter<u64>,
    batch: Histogram<u64>,
    commit: Histogram<f64>,
}

impl StoreMetrics {
    pub(crate) fn new(service: &str) -> Self {
        let meter = global::meter("portico");
        Self {
            service: KeyValue::new("service", service.to_owned()),
            events: meter
                .u64_counter("portico_events_appended_total")
                .with_description("Events appended by this process, by service and type.")
                .build(),
            batch: meter
                .u64_histogram("portico_store_batch_appends")
                .with_description("Appends that shared a transaction, by service.")
                .with_boundaries(vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0])
                .build(),
            commit: meter
                .f64_histogram("portico_store_commit_duration_seconds")
                .with_description(
                    "Time of a transaction of appends, from its connection to its commit.",
                )
                .with_unit("s")
                .with_boundaries(vec![
                    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
                    10.0,
                ])
                .build(),
        }
    }

    /// After a commit.
    pub(crate) fn committed<'a>(
        &self,
        appends: usize,
        events: impl Iterator<Item = &'a RecordedEvent>,
        took: Duration,
    ) {
        let service = std::slice::from_ref(&self.service);
        self.batch.record(appends as u64, service);
        self.commit.record(took.as_secs_f64(), service);
        let mut types: BTreeMap<&str, u64> = BTreeMap::new();
        for event in events {
            *types.entry(&event.event_type).or_default() += 1;
        }
        for (event_type, count) in types {
            let event_type = KeyValue::new("type", event_type.to_owned());
            self.events.add(count, &[self.service.clone(), event_type]);
        }
    }
}
