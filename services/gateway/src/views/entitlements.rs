//! The tables `entitlements` and `api_keys`, and their queries. `grants` and `scope_claims` follow the same events.

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::rows::{found, found_ids, id, json};
use portico_eventstore::sqlx::{self, AnyPool, Row as _};
use portico_eventstore::worker::Queue;
use portico_eventstore::{
    Aggregate as _, Cell, Change, Projection, ProjectionError, Row, StreamChange, Table, Tx, cells,
};
use uuid::Uuid;

use super::{grants, held_scopes};
use crate::entitlement::{Entitlement, Event, KeyEvent, KeyPlace, Prospect};

pub(crate) struct Entitlements;

/// What the worker has to do.
pub(crate) const QUEUE: Queue = Queue {
    table: "entitlements",
    id: "request_id",
};

const TABLE: Table = Table {
    name: "entitlements",
    key: "request_id",
    columns: "request_id application_id identity_provider_id status due_at_ms parked_at_ms error_code \
        last_error state version created_at updated_at lacks_gateway",
    once: "created_at",
};

/// For one that is stuck since before the change.
const STILL_STUCK: Table = Table {
    once: "created_at parked_at_ms",
    ..TABLE
};

const KEYS: Table = Table {
    name: "api_keys",
    key: "id",
    columns: "id request_id",
    once: "request_id",
};

pub(super) type EntitlementChange<'a> = StreamChange<'a, Entitlement>;

#[async_trait]
impl Projection for Entitlements {
    fn tables(&self) -> &'static [&'static str] {
        &["entitlements", "api_keys", "grants", "scope_claims"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        let entitlements = change.streams::<Entitlement>(tx, &TABLE).await?;
        let (mut rows, mut still_stuck, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for entitlement in &entitlements {
            match parked(entitlement) {
                Parked::StillStuck => still_stuck.push(row_of(entitlement, Some(0))?),
                Parked::Since(since) => rows.push(row_of(entitlement, since)?),
            }
            for (_, event) in &entitlement.events {
                if let Event::Key(KeyEvent::Placed { places }) = event {
                    let row = |place: &KeyPlace| cells![place.key_id, entitlement.id];
                    keys.extend(places.iter().map(row));
                }
            }
        }
        TABLE.write(tx, rows).await?;
        STILL_STUCK.write(tx, still_stuck).await?;
        KEYS.write(tx, keys).await?;
        grants::follow(tx, &entitlements).await?;
        held_scopes::follow(tx, &entitlements).await
    }
}

enum Parked {
    /// Through all of the events.
    StillStuck,
    /// In milliseconds; none: it is not.
    Since(Option<i64>),
}

fn parked(entitlement: &EntitlementChange<'_>) -> Parked {
    let mut state = entitlement.before.clone();
    let mut parked = match is_stuck(&state) {
        true => Parked::StillStuck,
        false => Parked::Since(None),
    };
    for (at, event) in &entitlement.events {
        state.evolve(event);
        parked = match (is_stuck(&state), parked) {
            (false, _) => Parked::Since(None),
            (true, Parked::Since(None)) => Parked::Since(Some(at.recorded_at.as_millisecond())),
            (true, parked) => parked,
        };
    }
    parked
}

fn is_stuck(entitlement: &Entitlement) -> bool {
    let delay = entitlement.delay.as_ref();
    let stuck = delay.is_some_and(|delay| delay.prospect == Prospect::Stuck);
    stuck || entitlement.is_parked()
}

fn row_of(
    change: &EntitlementChange<'_>,
    parked_at_ms: Option<i64>,
) -> Result<Vec<Cell>, ProjectionError> {
    let entitlement = &change.after;
    let error = entitlement.last_error();
    Ok(cells![
        change.id,
        entitlement.application_id(),
        entitlement.identity_provider_id(),
        entitlement.status(),
        entitlement.due().map(Timestamp::as_millisecond),
        parked_at_ms,
        error.map(|error| error.code.clone()),
        error.map(|error| error.message.clone()),
        serde_json::to_string(entitlement)?,
        change.last.version,
        change.first.recorded_at.to_string(),
        change.last.recorded_at.to_string(),
        entitlement.lacks_gateway(),
    ])
}

/// An entitlement as it is listed.
pub(crate) struct Listed {
    pub(crate) request_id: Uuid,
    pub(crate) entitlement: Entitlement,
    pub(crate) version: i64,
}

/// Those that no gateway could serve, as soon as there is one.
pub(crate) async fn servable(pool: &AnyPool) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = "SELECT request_id FROM entitlements WHERE lacks_gateway = 1 \
               AND EXISTS (SELECT 1 FROM gateways WHERE status <> 'deleted') ORDER BY request_id LIMIT 100";
    found_ids(pool, sql, []).await
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
    let sql = "SELECT e.request_id, e.state, e.version FROM entitlements e \
               JOIN api_keys k ON k.request_id = e.request_id WHERE k.id = $1";
    found(pool, sql, key, listed).await
}

/// Those that have a product or a plan. The states are searched: it happens seldom.
pub(crate) async fn of_catalogue(pool: &AnyPool, subject: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = "SELECT request_id FROM entitlements WHERE state LIKE $1 ORDER BY request_id";
    found_ids(pool, sql, [format!("%\"{subject}\"%")]).await
}

/// Those at an identity provider whose last try failed with a code.
pub(crate) async fn waiting(
    pool: &AnyPool,
    identity_provider: Uuid,
    code: &'static str,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = "SELECT request_id FROM entitlements WHERE error_code = $1 AND identity_provider_id = $2 \
               ORDER BY request_id";
    let values = [code.to_owned(), identity_provider.to_string()];
    found_ids(pool, sql, values).await
}

/// A key that should be at a gateway.
pub(crate) struct ExpectedKey {
    pub(crate) hash: String,
    pub(crate) product_name: String,
    pub(crate) application_id: Uuid,
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
                application_id: entitlement.application_id(),
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
