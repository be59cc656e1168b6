//! Access requests with their timelines.

use async_trait::async_trait;
use portico_eventstore::{
    Aggregate as _, Cell, Change, Projection, ProjectionError, Row, StreamChange, Table, Tx, cells,
    rows::{ids, json},
    sqlx,
};
use portico_proto::{access::v1::AccessRequestStatus, rest::Enumeration as _};
use portico_runtime::lists::{ListQuery, Search, Select, SortColumn, SortColumns};
use sqlx::{AnyPool, AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::{
    rule,
    timeline::{self, Entry},
    timelines::Timelines,
};
use crate::access_request::{AccessRequest, Event, RequestedItem, Submission, request};

/// Statuses of requests that hold their application, product and client.
pub(crate) const LIVING: &str =
    "('pending', 'approved', 'provisioning', 'active', 'suspended', 'failed')";

/// Keeps the tables `access_requests` and `access_request_items`.
#[derive(Default)]
pub(crate) struct AccessRequests {
    timelines: Timelines,
}

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

const COLUMNS: &str = "id, name, state, timeline, version, created_at, updated_at";

/// With the application's present name.
const NAMED: &str =
    "access_requests JOIN application_names ON application = application_id WHERE true";

pub(super) const TABLE: Table = Table {
    name: "access_requests",
    key: "id",
    columns: "id status application_id products_lower requester_id \
        identity_provider_id client_type_id needs_redirect_urls activated stuck state timeline version \
        created_ms created_at updated_at",
    once: "application_id products_lower requester_id \
        identity_provider_id client_type_id needs_redirect_urls created_ms created_at",
};

const ITEMS: Table = Table {
    name: "access_request_items",
    key: "access_request_id product_id",
    columns: "access_request_id product_id plan_id",
    once: "plan_id",
};

pub(super) type RequestChange<'a> = StreamChange<'a, AccessRequest>;

#[async_trait]
impl Projection for AccessRequests {
    fn tables(&self) -> &'static [&'static str] {
        &["access_requests", "access_request_items"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        let requests = change.streams::<AccessRequest>(tx, &TABLE).await?;
        let mut timelines = self.timelines.before(tx, &requests).await?;
        let (mut rows, mut items) = (Vec::new(), Vec::new());
        for request in &requests {
            for submission in submitted(request) {
                if change.asks_rules() {
                    check(tx, submission).await?;
                }
                let item = |item: &RequestedItem| cells![request.id, item.product_id, item.plan_id];
                items.extend(submission.items.iter().map(item));
            }
            let mut timeline = timelines.remove(&request.id).unwrap_or_default();
            extend(&mut timeline, request);
            rows.push(row_of(request, &timeline)?);
            self.timelines.after(request, timeline);
        }
        TABLE.write(tx, rows).await?;
        ITEMS.write(tx, items).await?;
        Ok(())
    }
}

fn submitted<'r>(request: &'r RequestChange<'_>) -> impl Iterator<Item = &'r Submission> {
    request.events.iter().filter_map(|(_, event)| match event {
        Event::Request(request::Event::Submitted(submission)) => Some(submission),
        Event::Request(_) | Event::Access(_) | Event::Join(_) | Event::Credential(_) => None,
    })
}

fn extend(timeline: &mut Vec<Entry>, request: &RequestChange<'_>) {
    // An entry says how the request was at its event.
    let mut state = request.before.clone();
    for (event, change) in &request.events {
        state.evolve(change);
        if let Some(entry) = timeline::entry(change, event, &state) {
            timeline::insert(timeline, entry);
        }
    }
}

fn row_of(request: &RequestChange<'_>, timeline: &[Entry]) -> Result<Vec<Cell>, ProjectionError> {
    let state = &request.after;
    let submission = submitted(request).next().unwrap_or(&state.submission);
    let products = submission
        .items
        .iter()
        .map(|item| item.product_name.as_str());
    let products: Vec<&str> = products.collect();
    let client = submission.credential.oauth_client();
    let created = request.first.recorded_at;
    Ok(cells![
        request.id,
        status(state),
        submission.application_id,
        products.join("\n").to_lowercase(),
        submission.requester_id,
        client.map(|client| client.identity_provider_id),
        client.map(|client| client.client_type_id),
        client.is_some_and(|client| client.needs_redirect_urls),
        state.announced.activated > 0,
        state.failure().is_some(),
        serde_json::to_string(state)?,
        serde_json::to_string(timeline)?,
        request.last.version,
        created.as_millisecond(),
        created.to_string(),
        request.last.recorded_at.to_string(),
    ])
}

/// What a new request must agree on with the application and its other requests.
async fn check(tx: &mut Tx, submission: &Submission) -> Result<(), ProjectionError> {
    let application = submission.application_id;
    let is_gone = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM applications WHERE id = $1 AND status = 'active')";
    if tx.finds(is_gone, cells![application]).await? {
        return Err(ProjectionError::Refused(rule::APPLICATION_GONE));
    }
    // Requests for API keys have no provider in common, and are each other's.
    let others = format!(
        "SELECT 1 FROM access_requests r WHERE r.application_id = $1 \
         AND r.identity_provider_id IS NOT DISTINCT FROM $2 AND r.status IN {LIVING}"
    );
    let client = submission.credential.oauth_client();
    let provider = client.map(|client| client.identity_provider_id);
    let products = submission.items.iter().map(|item| item.product_id);
    let products: Vec<Cell> = products.map(Cell::from).collect();
    let places: Vec<String> = (3..products.len() + 3).map(|n| format!("${n}")).collect();
    let requested = format!(
        "{others} AND EXISTS (SELECT 1 FROM access_request_items p WHERE p.access_request_id = r.id \
         AND p.product_id IN ({}))",
        places.join(", ")
    );
    let mut values = cells![application, provider];
    values.extend(products);
    if tx.finds(requested, values).await? {
        return Err(ProjectionError::Refused(rule::ALREADY_REQUESTED));
    }
    let differs = format!("{others} AND r.client_type_id IS DISTINCT FROM $3");
    let client_type = client.map(|client| client.client_type_id);
    if tx
        .finds(differs, cells![application, provider, client_type])
        .await?
    {
        return Err(ProjectionError::Refused(rule::CLIENT_TYPE_DIFFERS));
    }
    Ok(())
}

fn status(state: &AccessRequest) -> String {
    let status = state.status().map(AccessRequestStatus::from);
    status.unwrap_or_default().as_word().to_owned()
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
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM {NAMED} AND id = $1"
    )))
    .bind(id.to_string())
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(read).transpose()
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
    let mut select = Select::new(COLUMNS, NAMED);
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
    select.and_found_in(&["name_lower", "products_lower"], &filter.search);
    let (rows, next) = select.page(pool, query).await?;
    let requests = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok((requests, next))
}
