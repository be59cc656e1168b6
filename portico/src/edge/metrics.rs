//! `/metrics`: numbers in the text format of Prometheus.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, header};
use portico_runtime::Clock;

use super::Edge;

/// Upper bounds of the histogram, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Counts requests by route, method and status: all three from small sets, whatever callers send.
#[derive(Clone)]
pub(super) struct Metrics {
    requests: Arc<Mutex<BTreeMap<Key, Count>>>,
    /// Seconds since 1970.
    started: i64,
}

type Key = (String, &'static str, u16);

#[derive(Default)]
struct Count {
    number: u64,
    seconds: f64,
    within: [u64; BOUNDS.len()],
}

impl Metrics {
    /// Begins to count.
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            requests: Arc::default(),
            started: clock.now().as_second(),
        }
    }

    fn count(&self, key: Key, seconds: f64) {
        let mut all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(key).or_default();
        count.number += 1;
        count.seconds += seconds;
        for (bound, within) in BOUNDS.iter().zip(&mut count.within) {
            *within += u64::from(seconds <= *bound);
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let name = "portico_http_request_duration_seconds";
        line(
            &mut text,
            format_args!("# HELP {name} Time until the answer began, by route, method and status."),
        );
        line(&mut text, format_args!("# TYPE {name} histogram"));
        let all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((route, method, status), count) in all.iter() {
            let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
            for (bound, within) in BOUNDS.iter().zip(count.within) {
                line(
                    &mut text,
                    format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {within}"),
                );
            }
            line(
                &mut text,
                format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {}", count.number),
            );
            line(
                &mut text,
                format_args!("{name}_sum{{{labels}}} {}", count.seconds),
            );
            line(
                &mut text,
                format_args!("{name}_count{{{labels}}} {}", count.number),
            );
        }
        drop(all);
        line(
            &mut text,
            format_args!("# HELP process_start_time_seconds When the process began, since 1970."),
        );
        line(
            &mut text,
            format_args!("# TYPE process_start_time_seconds gauge"),
        );
        line(
            &mut text,
            format_args!("process_start_time_seconds {}", self.started),
        );
        if let Some(bytes) = resident_bytes() {
            line(
                &mut text,
                format_args!("# HELP process_resident_memory_bytes Memory in use."),
            );
            line(
                &mut text,
                format_args!("# TYPE process_resident_memory_bytes gauge"),
            );
            line(
                &mut text,
                format_args!("process_resident_memory_bytes {bytes}"),
            );
        }
        line(
            &mut text,
            format_args!("# HELP portico_build_info The version that runs."),
        );
        line(&mut text, format_args!("# TYPE portico_build_info gauge"));
        line(
            &mut text,
            format_args!(
                "portico_build_info{{version=\"{}\"}} 1",
                env!("CARGO_PKG_VERSION")
            ),
        );
        text
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// Linux tells it in kB; elsewhere it is left out.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Middleware: counts a request when its answer begins.
pub(super) async fn count(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let method = label(request.method());
    let began = Instant::now();
    let response = next.run(request).await;
    metrics.count(
        (route, method, response.status().as_u16()),
        began.elapsed().as_secs_f64(),
    );
    response
}

/// A caller can make methods up; labels must not grow with them.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// `GET /metrics`.
pub(super) async fn show(State(edge): State<Edge>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        edge.metrics.text(),
    )
}
