//! Access requests with their timelines.

use async_trait::async_trait;
use portico_eventstore::{
    Aggregate as _, Change, Projection, ProjectionError, RecordedEvent, Row,
    rows::{ids, json},
    sqlx,
};
use portico_proto::{access::v1::AccessRequestStatus, rest::Enumeration as _};
use portico_runtime::lists::{ListQuery, Search, Select, SortColumn, SortColumns};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::{
    rule,
    timeline::{self, Entry},
};
use crate::{
    access_request::{AccessRequest, Event, OauthClient, Submission, request},
    application::{self, Application},
};

/// Statuses of requests that hold their application, product and client.
pub(crate) const LIVING: &str =
    "('pending', 'approved', 'provisioning', 'active', 'suspended', 'failed')";

/// Keeps the tables `access_requests` and `access_request_items`.
pub(crate) struct AccessRequests;

/// An access request as the view has it.
pub(crate) struct AccessRequestRow {
    pub(crate) id: String,
    pub(crate) application_name: String,
    pub(crate) state: AccessRequest,
    pub(crate) timeline: Vec<Entry>,
    pub(crate) version: i64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// What a list is to hold; empty texts mean any, and so does a status that is not said.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) requester_id: String,
    pub(crate) status: AccessRequestStatus,
    pub(crate) application_id: String,
    pub(crate) product_id: String,
    pub(crate) plan_id: String,
    pub(crate) search: Search,
}

const COLUMNS: &str = "id, application_name, state, timeline, version, created_at, updated_at";

#[async_trait]
impl Projection for AccessRequests {
    fn tables(&self) -> &'static [&'static str] {
        &["access_requests", "access_request_items"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        if let Some(application::Event::Updated(changes)) = event.decode::<Application>()?
            && let Some(name) = changes.name
        {
            rename(tx, event.stream_id(), &name).await?;
        }
        let Some(change) = event.decode::<AccessRequest>()? else {
            return Ok(());
        };
        match &change {
            Event::Request(request::Event::Submitted(submission)) => {
                submit(tx, event, &change, submission).await
            }
            Event::Request(_) | Event::Access(_) | Event::Join(_) | Event::Credential(_) => {
                update(tx, &[(event, change)]).await
            }
        }
    }

    async fn apply_all(
        &self,
        tx: &mut AnyConnection,
        change: &Change<'_>,
    ) -> Result<(), ProjectionError> {
        let mut changes = Vec::with_capacity(change.events.len());
        for event in change.events {
            match event.decode::<AccessRequest>()? {
                // The first event of a request makes its row.
                Some(change) if event.version > 1 => changes.push((event, change)),
                _ => self.apply(tx, event).await?,
            }
        }
        update(tx, &changes).await
    }
}

async fn rename(tx: &mut AnyConnection, application: Uuid, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE access_requests SET application_name = $1, application_lower = $2 WHERE application_id = $3",
    )
    .bind(name.to_owned())
    .bind(name.to_lowercase())
    .bind(application.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

async fn submit(
    tx: &mut AnyConnection,
    event: &RecordedEvent,
    change: &Event,
    submission: &Submission,
) -> Result<(), ProjectionError> {
    check(tx, submission).await?;
    let id = event.stream_id().to_string();
    let mut state = AccessRequest::default();
    state.evolve(change);
    let products: Vec<&str> = submission
        .items
        .iter()
        .map(|item| item.product_name.as_str())
        .collect();
    let at = event.recorded_at;
    let client = submission.credential.oauth_client();
    let timeline: Vec<Entry> = timeline::entry(change, event, &state).into_iter().collect();
    sqlx::query(
        "INSERT INTO access_requests (id, status, application_id, application_name, application_lower, \
         products_lower, requester_id, identity_provider_id, client_type_id, needs_redirect_urls, activated, stuck, state, \
         timeline, version, created_ms, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, $11, $12, $13, $14, $15, $16)",
    )
    .bind(id.clone())
    .bind(status(&state))
    .bind(submission.application_id.to_string())
    .bind(submission.application_name.clone())
    .bind(submission.application_name.to_lowercase())
    .bind(products.join("\n").to_lowercase())
    .bind(submission.requester_id.to_string())
    .bind(client.map(|client| client.identity_provider_id.to_string()))
    .bind(client.map(|client| client.client_type_id.to_string()))
    .bind(i64::from(client.is_some_and(|client| client.needs_redirect_urls)))
    .bind(serde_json::to_string(&state)?)
    .bind(serde_json::to_string(&timeline)?)
    .bind(event.version)
    .bind(at.as_millisecond())
    .bind(at.to_string())
    .bind(at.to_string())
    .execute(&mut *tx)
    .await?;
    add_items(tx, &id, submission).await
}

async fn add_items(
    tx: &mut AnyConnection,
    id: &str,
    submission: &Submission,
) -> Result<(), ProjectionError> {
    for item in &submission.items {
        sqlx::query(
            "INSERT INTO access_request_items (access_request_id, product_id, plan_id) VALUES ($1, $2, $3)",
        )
        .bind(id.to_owned())
        .bind(item.product_id.to_string())
        .bind(item.plan_id.to_string())
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// What a new request must agree on with the application and its other requests.
async fn check(tx: &mut AnyConnection, submission: &Submission) -> Result<(), ProjectionError> {
    let application = submission.application_id.to_string();
    let there = sqlx::query("SELECT 1 FROM applications WHERE id = $1 AND status = 'active'")
        .bind(application.clone())
        .fetch_optional(&mut *tx)
        .await?;
    if there.is_none() {
        return Err(ProjectionError::Refused(rule::APPLICATION_GONE));
    }
    // Requests for API keys have no provider in common, and are each other's.
    let statement = format!(
        "SELECT r.client_type_id, p.product_id FROM access_requests r \
         JOIN access_request_items p ON p.access_request_id = r.id \
         WHERE r.application_id = $1 AND r.identity_provider_id IS NOT DISTINCT FROM $2 \
         AND r.status IN {LIVING}"
    );
    let client = submission.credential.oauth_client();
    let text = |id: fn(&OauthClient) -> Uuid| client.map(|client| id(client).to_string());
    let others = sqlx::query(AssertSqlSafe(statement))
        .bind(application)
        .bind(text(|client| client.identity_provider_id))
        .fetch_all(&mut *tx)
        .await?;
    let client_type = text(|client| client.client_type_id);
    for other in &others {
        let product: String = other.try_get(1)?;
        let same =
            |item: &crate::access_request::RequestedItem| item.product_id.to_string() == product;
        if submission.items.iter().any(same) {
            return Err(ProjectionError::Refused(rule::ALREADY_REQUESTED));
        }
    }
    for other in &others {
        if other.try_get::<Option<String>, _>(0)? != client_type {
            return Err(ProjectionError::Refused(rule::CLIENT_TYPE_DIFFERS));
        }
    }
    Ok(())
}

async fn update(
    tx: &mut AnyConnection,
    changes: &[(&RecordedEvent, Event)],
) -> Result<(), ProjectionError> {
    let Some((event, _)) = changes.last() else {
        return Ok(());
    };
    let id = event.stream_id().to_string();
    let Some(mut row) = row(tx, &id).await? else {
        // Every stream begins with `Submitted`.
        return Ok(());
    };
    for (event, change) in changes {
        row.state.evolve(change);
        if let Some(entry) = timeline::entry(change, event, &row.state) {
            timeline::insert(&mut row.timeline, entry);
        }
    }
    sqlx::query(
        "UPDATE access_requests SET status = $1, activated = $2, stuck = $3, state = $4, timeline = $5, version = $6, \
         updated_at = $7 WHERE id = $8",
    )
    .bind(status(&row.state))
    .bind(i64::from(row.state.announced.activated > 0))
    .bind(i64::from(row.state.failure().is_some()))
    .bind(serde_json::to_string(&row.state)?)
    .bind(serde_json::to_string(&row.timeline)?)
    .bind(event.version)
    .bind(event.recorded_at.to_string())
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

fn status(state: &AccessRequest) -> String {
    let status = state.status().map(AccessRequestStatus::from);
    status.unwrap_or_default().as_word().to_owned()
}

async fn row(tx: &mut AnyConnection, id: &str) -> Result<Option<AccessRequestRow>, sqlx::Error> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM access_requests WHERE id = $1"
    )))
    .bind(id.to_owned())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<AccessRequestRow, sqlx::Error> {
    Ok(AccessRequestRow {
        id: row.try_get(0)?,
        application_name: row.try_get(1)?,
        state: json(row.try_get(2)?)?,
        timeline: json(row.try_get(3)?)?,
        version: row.try_get(4)?,
        created_at: row.try_get(5)?,
        updated_at: row.try_get(6)?,
    })
}

/// Granted requests for a product or plan of the catalogue.
pub(crate) async fn granted(pool: &AnyPool, entry: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT DISTINCT r.id FROM access_requests r JOIN access_request_items i ON i.access_request_id = r.id \
             WHERE (i.product_id = $1 OR i.plan_id = $1) \
             AND r.status IN ('approved', 'provisioning', 'active', 'suspended', 'failed') ORDER BY r.id",
    )
    .bind(entry.to_string())
    .fetch_all(pool)
    .await?;
    ids(&rows)
}

/// Whether an OAuth client serves a request that is active, or was before it was suspended. One that failed later, or is
/// under way again, says nothing: its client may be gone, and another one there that was never active.
pub(crate) async fn activated(
    pool: &AnyPool,
    application_id: Uuid,
    identity_provider_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query(
        "SELECT 1 FROM access_requests WHERE application_id = $1 AND identity_provider_id = $2 \
         AND activated = 1 AND status IN ('active', 'suspended') LIMIT 1",
    )
    .bind(application_id.to_string())
    .bind(identity_provider_id.to_string())
    .fetch_optional(pool)
    .await?;
    Ok(found.is_some())
}

/// Requests at an identity provider of which something waits for an admin, the oldest first, at most so many.
pub(crate) async fn stuck_at(
    pool: &AnyPool,
    identity_provider_id: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id FROM access_requests WHERE stuck = 1 AND identity_provider_id = $1 \
             ORDER BY created_ms, id LIMIT $2",
    )
    .bind(identity_provider_id.to_string())
    .bind(limit)
    .fetch_all(pool)
    .await?;
    ids(&rows)
}

/// All requests that a user has submitted.
pub(crate) async fn of_requester(pool: &AnyPool, user: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows = sqlx::query("SELECT id FROM access_requests WHERE requester_id = $1 ORDER BY id")
        .bind(user.to_string())
        .fetch_all(pool)
        .await?;
    ids(&rows)
}

pub(crate) async fn find(
    pool: &AnyPool,
    id: Uuid,
) -> Result<Option<AccessRequestRow>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    row(&mut connection, &id.to_string()).await
}

/// What the list can be sorted by; the newest first where the caller does not say.
pub(crate) const SORT: SortColumns = SortColumns {
    columns: &[("created_at", SortColumn::Number("created_ms"))],
    default: "-created_at",
    id: "id",
};

/// A page of access requests, and the cursor of the next one.
pub(crate) async fn list(
    pool: &AnyPool,
    filter: &Filter,
    query: &ListQuery,
) -> Result<(Vec<AccessRequestRow>, String), sqlx::Error> {
    let mut select = Select::new(COLUMNS, "access_requests WHERE true");
    select.and_given("requester_id = ?", &filter.requester_id);
    select.and_given("status = ?", filter.status.as_word());
    select.and_given("application_id = ?", &filter.application_id);
    select.and_given(
        "id IN (SELECT access_request_id FROM access_request_items WHERE product_id = ?)",
        &filter.product_id,
    );
    select.and_given(
        "id IN (SELECT access_request_id FROM access_request_items WHERE plan_id = ?)",
        &filter.plan_id,
    );
    select.and_found_in(&["application_lower", "products_lower"], &filter.search);
    let (rows, next) = select.page(pool, query).await?;
    let requests = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok((requests, next))
}
