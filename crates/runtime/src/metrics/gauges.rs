//! Gauges that are read on collection: depth and age of queues, lag.
//!
//! A part of the process registers a probe under a name. Probes query databases, so they run before `/metrics` is
//! rendered and before an export, at most once a second. A probe that fails leaves its gauges out, rather than
//! repeating old values.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::future::{BoxFuture, FutureExt as _, join_all};
use opentelemetry::{KeyValue, metrics::MeterProvider as _};

use super::{METER, provider};

/// Timeout of a probe.
const PATIENCE: Duration = Duration::from_secs(2);
/// Readings that are this recent are not read again.
const FRESH: Duration = Duration::from_secs(1);

/// One gauge: its name and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gauge {
    /// As exposed to Prometheus.
    pub name: &'static str,
    /// Help text of the metric.
    pub help: &'static str,
}

/// What a probe has read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    gauge: Gauge,
    labels: Vec<KeyValue>,
    value: f64,
}

impl Reading {
    /// Without labels.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "nobody counts beyond 2^53, and a gauge is a float"
    )]
    pub fn new(gauge: Gauge, value: i64) -> Self {
        Self {
            gauge,
            labels: Vec::new(),
            value: value as f64,
        }
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(gauge: Gauge, value: f64) -> Self {
        Self {
            gauge,
            labels: Vec::new(),
            value,
        }
    }

    /// With a label more; its values must be from a small set.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push(KeyValue::new(name, value.into()));
        self
    }
}

type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<Reading>, String>> + Send + Sync>;

#[derive(Default)]
struct State {
    probes: BTreeMap<String, Probe>,
    readings: BTreeMap<&'static str, Vec<Reading>>,
    /// Gauges that are registered with the meter provider.
    known: BTreeSet<&'static str>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);
static LOOKED: LazyLock<tokio::sync::Mutex<Option<Instant>>> =
    LazyLock::new(tokio::sync::Mutex::default);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers a probe; one of the same name is replaced.
pub fn register<E, F>(
    name: impl Into<String>,
    gauges: &[Gauge],
    probe: impl Fn() -> F + Send + Sync + 'static,
) where
    E: std::fmt::Display,
    F: Future<Output = Result<Vec<Reading>, E>> + Send + 'static,
{
    let probe: Probe = Arc::new(move || {
        probe()
            .map(|read| read.map_err(|error| error.to_string()))
            .boxed()
    });
    let mut new = gauges.to_vec();
    {
        let mut state = state();
        state.probes.insert(name.into(), probe);
        new.retain(|gauge| state.known.insert(gauge.name));
    }
    let meter = provider().meter(METER);
    for gauge in new {
        meter
            .f64_observable_gauge(gauge.name)
            .with_description(gauge.help)
            .with_callback(move |observer| {
                for reading in state().readings.get(gauge.name).into_iter().flatten() {
                    observer.observe(reading.value, &reading.labels);
                }
            })
            .build();
    }
}

/// Runs every probe, unless that was done a moment ago.
pub async fn refresh() {
    let mut looked = LOOKED.lock().await;
    if looked.is_some_and(|at| at.elapsed() < FRESH) {
        return;
    }
    let probes: Vec<(String, Probe)> = state()
        .probes
        .iter()
        .map(|(name, probe)| (name.clone(), Arc::clone(probe)))
        .collect();
    let asked = probes.into_iter().map(|(name, probe)| async move {
        match tokio::time::timeout(PATIENCE, probe()).await {
            Ok(Ok(readings)) => readings,
            Ok(Err(error)) => {
                tracing::debug!(probe = name, error, "nothing read");
                Vec::new()
            }
            Err(_) => {
                tracing::debug!(probe = name, "nothing read in time");
                Vec::new()
            }
        }
    });
    let mut readings: BTreeMap<&'static str, Vec<Reading>> = BTreeMap::new();
    for reading in join_all(asked).await.into_iter().flatten() {
        readings
            .entry(reading.gauge.name)
            .or_default()
            .push(reading);
    }
    state().readings = readings;
    *looked = Some(Instant::now());
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTH: Gauge = Gauge {
        name: "test_depth",
        help: "Of a test.",
    };

    #[tokio::test]
    async fn what_cannot_be_read_is_missing() {
        let tells = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let told = Arc::clone(&tells);
        register("test", &[DEPTH], move || {
            let told = Arc::clone(&told);
            async move {
                if told.load(std::sync::atomic::Ordering::SeqCst) {
                    Ok(vec![Reading::new(DEPTH, 7).label("queue", "a")])
                } else {
                    Err("away")
                }
            }
        });
        let look = async || {
            *LOOKED.lock().await = None;
            refresh().await;
            super::super::text().unwrap()
        };
        let text = look().await;
        assert!(text.contains("test_depth{queue=\"a\"} 7\n"), "{text}");
        tells.store(false, std::sync::atomic::Ordering::SeqCst);
        let text = look().await;
        assert!(!text.contains("test_depth{"), "{text}");
    }
}
