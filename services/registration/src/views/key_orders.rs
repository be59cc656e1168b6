//! The tables `key_orders`, `api_keys` and `key_grants`, and their queries.

mod grants;

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::sqlx::{self, AnyConnection, AnyPool, Row as _};
use portico_eventstore::{Aggregate as _, Projection, ProjectionError, RecordedEvent, Row};
use uuid::Uuid;

use super::oauth_clients::Due;
use crate::key_order::{Event, KeyOrder};

/// The projection.
pub(crate) struct KeyOrders;

#[async_trait]
impl Projection for KeyOrders {
    fn tables(&self) -> &'static [&'static str] {
        &["key_orders", "api_keys", "key_grants"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        let Some(change) = event.decode::<KeyOrder>()? else {
            return Ok(());
        };
        let id = event.stream_id();
        let mut order = state(tx, id).await?.unwrap_or_default();
        order.evolve(&change);
        write(tx, event, &order).await?;
        if let Event::Placed { places } = &change {
            for place in places {
                key(tx, id, place.key_id).await?;
            }
        }
        grants::write(tx, id, &order).await
    }
}

async fn state(tx: &mut AnyConnection, id: Uuid) -> Result<Option<KeyOrder>, ProjectionError> {
    let row = sqlx::query("SELECT state FROM key_orders WHERE id = $1")
        .bind(id.to_string())
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
    order: &KeyOrder,
) -> Result<(), ProjectionError> {
    sqlx::query(
        "INSERT INTO key_orders (id, application_id, due_at_ms, parked_at_ms, state, version, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (id) DO UPDATE SET \
         application_id = excluded.application_id, due_at_ms = excluded.due_at_ms, \
         parked_at_ms = CASE WHEN excluded.parked_at_ms IS NULL THEN NULL \
         ELSE COALESCE(key_orders.parked_at_ms, excluded.parked_at_ms) END, \
         state = excluded.state, version = excluded.version, updated_at = excluded.updated_at",
    )
    .bind(at.stream_id().to_string())
    .bind(order.application_id.to_string())
    .bind(order.due().map(|due| due.as_millisecond()))
    .bind(order.is_parked().then(|| at.recorded_at.as_millisecond()))
    .bind(serde_json::to_string(order)?)
    .bind(at.version)
    .bind(at.recorded_at.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

async fn key(tx: &mut AnyConnection, order: Uuid, key: Uuid) -> Result<(), ProjectionError> {
    sqlx::query("INSERT INTO api_keys (id, order_id) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
        .bind(key.to_string())
        .bind(order.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

/// The keys of an access request, as they are listed.
pub(crate) struct ListedOrder {
    pub(crate) id: Uuid,
    pub(crate) order: KeyOrder,
    pub(crate) version: i64,
}

/// Orders with something to do, at most so many of them.
pub(crate) async fn due(pool: &AnyPool, now: Timestamp, limit: i64) -> Result<Due, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, due_at_ms FROM key_orders WHERE due_at_ms IS NOT NULL ORDER BY due_at_ms, updated_at, id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let mut due = Due::default();
    for row in &rows {
        let at: i64 = row.try_get("due_at_ms")?;
        if at <= now.as_millisecond() {
            due.now.push(id(row)?);
        } else {
            due.next = Timestamp::from_millisecond(at).ok();
            break;
        }
    }
    Ok(due)
}

/// Those of an application, the oldest first.
pub(crate) async fn of_application(
    pool: &AnyPool,
    application: Uuid,
) -> Result<Vec<ListedOrder>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, state, version FROM key_orders WHERE application_id = $1 ORDER BY created_at, id",
    )
    .bind(application.to_string())
    .fetch_all(pool)
    .await?;
    rows.iter().map(listed).collect()
}

/// The one that has a key.
pub(crate) async fn of_key(pool: &AnyPool, key: Uuid) -> Result<Option<ListedOrder>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT o.id, o.state, o.version FROM key_orders o JOIN api_keys k ON k.order_id = o.id WHERE k.id = $1",
    )
    .bind(key.to_string())
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(listed).transpose()
}

/// Those that have a product or a plan. As with OAuth clients the states are searched: it happens seldom.
pub(crate) async fn of_catalogue(pool: &AnyPool, subject: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows = sqlx::query("SELECT id FROM key_orders WHERE state LIKE $1 ORDER BY id")
        .bind(format!("%\"{subject}\"%"))
        .fetch_all(pool)
        .await?;
    rows.iter().map(id).collect()
}

/// A key that should be at a gateway.
pub(crate) struct Expected {
    pub(crate) hash: String,
    pub(crate) product_name: String,
    pub(crate) application_name: String,
}

/// The keys that should be at a gateway.
pub(crate) async fn expected_at(
    pool: &AnyPool,
    gateway: Uuid,
) -> Result<Vec<Expected>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT id, state, version FROM key_orders WHERE state LIKE $1 ORDER BY id")
            .bind(format!("%\"{gateway}\"%"))
            .fetch_all(pool)
            .await?;
    let mut expected = Vec::new();
    for row in &rows {
        let order = listed(row)?.order;
        let here = order.keys.values().filter(|key| key.gateway_id == gateway);
        for (key, made) in here.filter_map(|key| Some((key, key.made()?))) {
            let item = order.item(&key.product_id);
            expected.push(Expected {
                hash: made.hash.clone(),
                product_name: item.map_or_else(String::new, |item| item.product_name.clone()),
                application_name: order.application.name.clone(),
            });
        }
    }
    Ok(expected)
}

/// The name of a gateway, also of one that was deleted.
pub(crate) async fn gateway_name(pool: &AnyPool, gateway: Uuid) -> Result<String, sqlx::Error> {
    let row = sqlx::query("SELECT name FROM gateways WHERE id = $1")
        .bind(gateway.to_string())
        .fetch_optional(pool)
        .await?;
    row.map_or(Ok(String::new()), |row| row.try_get(0))
}

fn listed(row: &Row) -> Result<ListedOrder, sqlx::Error> {
    let state: String = row.try_get("state")?;
    Ok(ListedOrder {
        id: id(row)?,
        order: serde_json::from_str(&state).map_err(|error| sqlx::Error::Decode(error.into()))?,
        version: row.try_get("version")?,
    })
}

fn id(row: &Row) -> Result<Uuid, sqlx::Error> {
    let text: String = row.try_get("id")?;
    text.parse()
        .map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))
}
