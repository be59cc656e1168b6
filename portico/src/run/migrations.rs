//! Waiting until somebody else has migrated the databases.

use std::{net::SocketAddr, time::Duration};

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use portico_eventstore::{Database, DatabaseError};
use portico_runtime::{Config, ServiceName, config::Migrate, shutdown::Shutdown};
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    listeners::{Server, listen},
    wiring::migrations,
};

/// How often to look whether the migrations have run.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where migrations are left to somebody else: waits until they have run, answering probes meanwhile. False where the
/// process is to end before that.
///
/// # Errors
/// The database is of a version that this program cannot work with, or the address is taken.
pub async fn wait(
    config: &Config,
    services: &[ServiceName],
    probes: SocketAddr,
    shutdown: &Shutdown,
) -> Result<bool, String> {
    if config.migrate == Migrate::Auto {
        return Ok(true);
    }
    let shutdown = shutdown.token();
    let mut missing = missing(config, services).await?;
    if missing.is_empty() {
        return Ok(true);
    }
    say(&missing);
    let (told, parts) = watch::channel(missing.clone());
    let (serving, done) = (TaskTracker::new(), CancellationToken::new());
    let server = Server::new(config, serving.clone(), done.clone());
    server.serve(listen(probes)?, None, router(parts));
    while !missing.is_empty() {
        if *told.borrow() != missing {
            say(&missing);
            told.send_replace(missing);
        }
        if shutdown
            .run_until_cancelled(sleep(LOOK_AGAIN))
            .await
            .is_none()
        {
            break;
        }
        missing = self::missing(config, services).await?;
    }
    done.cancel();
    serving.close();
    // The address is free again when this has ended.
    serving.wait().await;
    Ok(!shutdown.is_cancelled())
}

fn say(missing: &[Value]) {
    for part in missing {
        tracing::warn!(service = %part["part"], reason = %part["reason"], pending = %part["pending"],
            "not ready: waiting for the database");
    }
}

fn router(parts: watch::Receiver<Vec<Value>>) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({ "alive": true }))))
        .route("/readyz", get(not_ready))
        .with_state(parts)
}

async fn not_ready(State(parts): State<watch::Receiver<Vec<Value>>>) -> impl IntoResponse {
    let body = json!({ "ready": false, "parts": *parts.borrow() });
    let retry = [(header::RETRY_AFTER, "2")];
    (StatusCode::SERVICE_UNAVAILABLE, retry, Json(body))
}

/// The services whose database is not up to date, with what is missing, as readiness tells it.
async fn missing(config: &Config, services: &[ServiceName]) -> Result<Vec<Value>, String> {
    let mut missing = Vec::new();
    for service in services {
        let name = service.as_str();
        let url = config.database_of(*service);
        let (migrations, pool) = (migrations(*service), config.database_pool);
        let opened = Database::open_as_it_is(url.expose(), name, &migrations, pool).await;
        let (reason, pending) = match opened {
            Ok(database) => {
                database.pool().close().await;
                continue;
            }
            Err(DatabaseError::Pending { pending, .. }) => ("migrations_pending", pending),
            Err(DatabaseError::Sqlx(error)) => {
                tracing::warn!(service = name, %error, "the database does not answer");
                ("database_unavailable", Vec::new())
            }
            Err(error) => return Err(with_service(name, &error)),
        };
        missing.push(json!({ "part": name, "ready": false, "reason": reason, "pending": pending }));
    }
    Ok(missing)
}

/// The error's text, beginning with the service's name; some errors have it already.
pub(crate) fn with_service(service: &str, error: &DatabaseError) -> String {
    let words = error.to_string();
    if words.starts_with(service) {
        words
    } else {
        format!("{service}: {words}")
    }
}
