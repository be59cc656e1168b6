//! The tables `entitlements` and `api_keys`, and their queries. `grants` and `scope_claims` follow the same events.

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::rows::{id, ids, json};
use portico_eventstore::sqlx::{self, AnyConnection, AnyPool, Row as _};
use portico_eventstore::worker::Queue;
use portico_eventstore::{Aggregate as _, Change, Projection, ProjectionError, RecordedEvent, Row};
use uuid::Uuid;

use super::{grants, held_scopes};
use crate::entitlement::{Entitlement, Event, KeyEvent, Prospect};

pub(crate) struct Entitlements;

/// What the worker has to do.
pub(crate) const QUEUE: Queue = Queue {
    table: "entitlements",
    id: "request_id",
};

#[async_trait]
impl Projection for Entitlements {
    fn tables(&self) -> &'static [&'static str] {
        &["entitlements", "api_keys", "grants", "scope_claims"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        let Some(change) = event.decode::<Entitlement>()? else {
            return Ok(());
        };
        let before = state(tx, event.stream_id()).await?.unwrap_or_default();
        let mut after = before.clone();
        after.evolve(&change);
        follow(tx, &[(event, change)], (&before, &after)).await
    }

    async fn apply_all(
        &self,
        tx: &mut AnyConnection,
        change: &Change<'_>,
    ) -> Result<(), ProjectionError> {
        let Some(states) = change.states::<Entitlement>() else {
            for event in change.events {
                self.apply(tx, event).await?;
            }
            return Ok(());
        };
        follow(tx, &change.decoded::<Entitlement>()?, states).await
    }
}

async fn follow(
    tx: &mut AnyConnection,
    changes: &[(&RecordedEvent, Event)],
    (before, after): (&Entitlement, &Entitlement),
) -> Result<(), ProjectionError> {
    let Some((last, _)) = changes.last() else {
        return Ok(());
    };
    let request = last.stream_id();
    write(tx, last, after).await?;
    for (_, change) in changes {
        if let Event::Key(KeyEvent::Placed { places }) = change {
            for place in places {
                key(tx, request, place.key_id).await?;
            }
        }
    }
    grants::write(tx, request, (before, after)).await?;
    // Claims are held since the event that made them.
    let mut then = before.clone();
    for (event, change) in changes {
        let claims = then.claims.clone();
        then.evolve(change);
        if then.claims != claims {
            held_scopes::write(tx, event, &then).await?;
        }
    }
    Ok(())
}

async fn state(
    tx: &mut AnyConnection,
    request: Uuid,
) -> Result<Option<Entitlement>, ProjectionError> {
    let row = sqlx::query("SELECT state FROM entitlements WHERE request_id = $1")
        .bind(request.to_string())
        .fetch_optional(tx)
        .await?;
    match row {
        Some(row) => Ok(Some(serde_json::from_str(&row.try_get::<String, _>(0)?)?)),
        None => Ok(None),
    }
}

async fn write(
    tx: &mut AnyConnection,
    at: &RecordedEvent,
    entitlement: &Entitlement,
) -> Result<(), ProjectionError> {
    let delay = entitlement.delay.as_ref();
    let stuck = delay.is_some_and(|delay| delay.prospect == Prospect::Stuck);
    let stuck = stuck || entitlement.is_parked();
    let error = entitlement.last_error();
    sqlx::query(
        "INSERT INTO entitlements (request_id, application_id, identity_provider_id, status, due_at_ms, parked_at_ms, \
         error_code, last_error, state, version, created_at, updated_at, lacks_gateway) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12) ON CONFLICT (request_id) DO UPDATE SET \
         application_id = excluded.application_id, identity_provider_id = excluded.identity_provider_id, \
         status = excluded.status, due_at_ms = excluded.due_at_ms, \
         parked_at_ms = CASE WHEN excluded.parked_at_ms IS NULL THEN NULL \
         ELSE COALESCE(entitlements.parked_at_ms, excluded.parked_at_ms) END, error_code = excluded.error_code, \
         last_error = excluded.last_error, state = excluded.state, version = excluded.version, \
         updated_at = excluded.updated_at, lacks_gateway = excluded.lacks_gateway",
    )
    .bind(at.stream_id().to_string())
    .bind(entitlement.application_id().to_string())
    .bind(entitlement.identity_provider_id().map(|id| id.to_string()))
    .bind(entitlement.status().to_owned())
    .bind(entitlement.due().map(Timestamp::as_millisecond))
    .bind(stuck.then(|| at.recorded_at.as_millisecond()))
    .bind(error.map(|error| error.code.clone()))
    .bind(error.map(|error| error.message.clone()))
    .bind(serde_json::to_string(entitlement)?)
    .bind(at.version)
    .bind(at.recorded_at.to_string())
    .bind(i64::from(entitlement.lacks_gateway()))
    .execute(tx)
    .await?;
    Ok(())
}

async fn key(tx: &mut AnyConnection, request: Uuid, key: Uuid) -> Result<(), ProjectionError> {
    sqlx::query(
        "INSERT INTO api_keys (id, request_id) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
    )
    .bind(key.to_string())
    .bind(request.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

/// An entitlement as it is listed.
pub(crate) struct Listed {
    pub(crate) request_id: Uuid,
    pub(crate) entitlement: Entitlement,
    pub(crate) version: i64,
}

/// Those that no gateway could serve, as soon as there is one.
pub(crate) async fn servable(pool: &AnyPool) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT request_id FROM entitlements WHERE lacks_gateway = 1 \
         AND EXISTS (SELECT 1 FROM gateways WHERE status <> 'deleted') ORDER BY request_id LIMIT 100",
    )
    .fetch_all(pool)
    .await?;
    ids(&rows)
}

/// Those of an application, the oldest first.
pub(crate) async fn of_application(
    pool: &AnyPool,
    application: Uuid,
) -> Result<Vec<Listed>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT request_id, state, version FROM entitlements WHERE application_id = $1 ORDER BY created_at, request_id",
    )
    .bind(application.to_string())
    .fetch_all(pool)
    .await?;
    rows.iter().map(listed).collect()
}

/// The one that has a key.
pub(crate) async fn of_key(pool: &AnyPool, key: Uuid) -> Result<Option<Listed>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT e.request_id, e.state, e.version FROM entitlements e JOIN api_keys k ON k.request_id = e.request_id \
         WHERE k.id = $1",
    )
    .bind(key.to_string())
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(listed).transpose()
}

/// Those that have a product or a plan. The states are searched: it happens seldom.
pub(crate) async fn of_catalogue(pool: &AnyPool, subject: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT request_id FROM entitlements WHERE state LIKE $1 ORDER BY request_id")
            .bind(format!("%\"{subject}\"%"))
            .fetch_all(pool)
            .await?;
    ids(&rows)
}

/// Those at an identity provider whose last try failed with a code.
pub(crate) async fn waiting(
    pool: &AnyPool,
    identity_provider: Uuid,
    code: &'static str,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT request_id FROM entitlements WHERE error_code = $1 AND identity_provider_id = $2 ORDER BY request_id",
    )
    .bind(code)
    .bind(identity_provider.to_string())
    .fetch_all(pool)
    .await?;
    ids(&rows)
}

/// A key that should be at a gateway.
pub(crate) struct ExpectedKey {
    pub(crate) hash: String,
    pub(crate) product_name: String,
    pub(crate) application_name: String,
}

/// The keys that should be at a gateway.
pub(crate) async fn keys_at(
    pool: &AnyPool,
    gateway: Uuid,
) -> Result<Vec<ExpectedKey>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT request_id, state, version FROM entitlements WHERE identity_provider_id IS NULL AND state LIKE $1 \
         ORDER BY request_id",
    )
    .bind(format!("%\"{gateway}\"%"))
    .fetch_all(pool)
    .await?;
    let mut expected = Vec::new();
    for row in &rows {
        let entitlement = listed(row)?.entitlement;
        let here = entitlement.keys().values();
        let here = here.filter(|key| key.gateway_id == gateway);
        for (key, made) in here.filter_map(|key| Some((key, key.made()?))) {
            let item = entitlement.item(&key.product_id);
            expected.push(ExpectedKey {
                hash: made.hash.clone(),
                product_name: item.map_or_else(String::new, |item| item.product.name.clone()),
                application_name: entitlement.application.name.clone(),
            });
        }
    }
    Ok(expected)
}

fn listed(row: &Row) -> Result<Listed, sqlx::Error> {
    Ok(Listed {
        request_id: id(row)?,
        entitlement: json(row.try_get(1)?)?,
        version: row.try_get(2)?,
    })
}
