//! Metrics of the process itself, under the names of Prometheus' own client libraries.

use opentelemetry::{KeyValue, global};

use super::METER;

/// Registers these metrics.
#[expect(
    clippy::disallowed_methods,
    reason = "when the process began is a fact about it, not a decision of it"
)]
pub(super) fn observe() {
    let meter = global::meter(METER);
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    meter
        .u64_observable_gauge("process_start_time_seconds")
        .with_description("When the process began, in seconds since 1970.")
        .with_callback(move |gauge| gauge.observe(started, &[]))
        .build();
    meter
        .u64_observable_gauge("process_resident_memory_bytes")
        .with_description("Memory in use.")
        .with_callback(|gauge| {
            if let Some(bytes) = status("VmRSS:") {
                gauge.observe(bytes * 1024, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process_threads")
        .with_description("Threads.")
        .with_callback(|gauge| {
            if let Some(threads) = status("Threads:") {
                gauge.observe(threads, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("portico_build_info")
        .with_description("The version that runs; the value is always 1.")
        .with_callback(|gauge| {
            gauge.observe(1, &[KeyValue::new("version", env!("CARGO_PKG_VERSION"))]);
        })
        .build();
}

/// From `/proc`; only on Linux.
fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
