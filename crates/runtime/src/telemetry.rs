//! Logging, and the id and span of every request.
//!
//! Rules: a field for every identifier, units in names (`duration_ms`), a
//! failure is logged once, at the boundary; no secret, personal datum, header,
//! body or query ever. What is logged goes to standard error, so that commands
//! have standard output for their results.

use std::io::{self, IsTerminal as _};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use tracing::{Instrument as _, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, registry};
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::{Log, LogFormat};

/// Carries the id of a request, in both directions.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is no filter. A checked configuration has none of these.
    #[error("log.level: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// It was started already.
    #[error("logging: {0}")]
    Started(#[from] TryInitError),
}

/// Starts logging for this process. Once.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let color = io::stderr().is_terminal();
    subscriber(log, color, io::stderr)?.try_init()?;
    Ok(())
}

/// Layers side by side: one that sends spans elsewhere has its place here.
fn subscriber<W>(
    log: &Log,
    color: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(color).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    };
    let filter = EnvFilter::try_new(&log.level)?;
    Ok(registry().with(filter).with(lines))
}

/// The id under which a request is logged: the one that came with it, if it is a
/// UUID, so that nobody writes what they like into our logs; otherwise a new one.
#[must_use]
pub fn request_id(given: Option<&str>, clock: &Clock) -> Uuid {
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| clock.new_id())
}

/// Middleware: gives a request its id, puts all that is logged for it into one
/// span, and logs its end. Handlers find the id in the header `x-request-id` of
/// the request; the caller, in that of the response.
///
/// The route is logged as it is declared (`/applications/{id}`), since a path
/// may hold a token.
pub async fn trace(State(clock): State<Clock>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID);
    let id = request_id(given.and_then(|id| id.to_str().ok()), &clock);
    let header = HeaderValue::from_str(&id.to_string()).ok();
    if let Some(header) = &header {
        request.headers_mut().insert(REQUEST_ID, header.clone());
    }
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        method = %request.method(),
        route = route.as_ref().map_or("none", MatchedPath::as_str),
    );
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    span.in_scope(|| tracing::info!(status, duration_ms, "answered {status}"));
    if let Some(header) = header {
        response.headers_mut().insert(REQUEST_ID, header);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use std::sync::{Arc, Mutex};
    use tower::ServiceExt as _;
    use tracing::instrument::WithSubscriber as _;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        fn subscriber(&self, format: LogFormat) -> impl Subscriber + Send + Sync + use<> {
            let log = Log {
                level: "info".to_owned(),
                format,
            };
            let lines = self.clone();
            subscriber(&log, false, move || lines.clone()).unwrap()
        }
    }

    async fn answer(lines: &Lines, format: LogFormat, id: Option<&str>) -> Response {
        let routes = Router::new()
            .route(
                "/reset/{token}",
                get(async || {
                    tracing::info!("inside");
                    tracing::debug!("too fine");
                }),
            )
            .layer(axum::middleware::from_fn_with_state(Clock::system(), trace));
        let mut request = Request::get("/reset/canary?q=canary");
        if let Some(id) = id {
            request = request.header(REQUEST_ID, id);
        }
        routes
            .oneshot(request.body(Body::empty()).unwrap())
            .with_subscriber(lines.subscriber(format))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn what_is_logged_for_a_request_has_its_id_and_no_path() {
        let lines = Lines::default();
        let id = "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e";
        let response = answer(&lines, LogFormat::Json, Some(id)).await;
        assert_eq!(response.headers()[REQUEST_ID], id);
        let text = lines.text();
        let logged: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(logged.len(), 2);
        assert_eq!(logged[0]["message"], "inside");
        assert_eq!(logged[1]["status"], 200);
        for line in &logged {
            assert_eq!(line["span"]["request_id"], id);
            assert_eq!(line["span"]["route"], "/reset/{token}");
        }
        assert!(!text.contains("canary"));
    }

    #[tokio::test]
    async fn an_id_that_is_none_is_replaced() {
        let lines = Lines::default();
        for id in [None, Some("canary"), Some("")] {
            let response = answer(&lines, LogFormat::Text, id).await;
            let answered = response.headers()[REQUEST_ID].to_str().unwrap();
            assert_eq!(answered.parse::<Uuid>().unwrap().get_version_num(), 7);
            assert!(lines.text().contains(answered));
        }
        assert!(!lines.text().contains("canary"));
    }
}
