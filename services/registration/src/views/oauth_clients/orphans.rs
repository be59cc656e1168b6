//! Clients that are, or may be, at a provider without being in use here.

use std::collections::BTreeMap;

use portico_eventstore::rows::found;
use portico_eventstore::sqlx::{self, AnyPool, Row as _};
use portico_eventstore::{
    Aggregate as _, Cell, ProjectionError, RecordedEvent, Row, Table, Tx, cells,
};
use portico_proto::{registration::v1 as api, time};
use portico_runtime::Page;
use portico_vault::VaultRef;
use uuid::Uuid;

use super::ClientChange;
use crate::oauth_client::{DeletionEvent, Event, OauthClient, OrphanEvent, RegistrationEvent};
use crate::wire::{self, given};

/// An orphan as the API has it, and where the note about it is.
pub(crate) struct ListedOrphan {
    pub(crate) orphan: api::Orphan,
    /// As the column has it, for the cursor.
    suspected_at: String,
    pub(crate) oauth_client_id: Option<Uuid>,
    pub(crate) note: Option<VaultRef>,
}

/// When and why it was suspected first stays.
const TABLE: Table = Table {
    name: "orphans",
    key: "marker",
    columns: "marker identity_provider_id application_id suspected_at reason oauth_client_id detail client_id powerless \
        manageable status resolved_at resolved_by note",
    once: "identity_provider_id application_id suspected_at reason",
};

/// Columns that an orphan's first event decides.
const FIRST: usize = 5;

/// Rows by marker.
type Orphans<'e> = BTreeMap<&'e str, Vec<Cell>>;

/// Brings the rows of orphans to what the states of their clients say.
pub(super) async fn follow(
    tx: &mut Tx,
    clients: &[ClientChange<'_>],
) -> Result<(), ProjectionError> {
    let mut orphans = Orphans::new();
    for change in clients {
        let mut client = change.before.clone();
        for (at, event) in &change.events {
            client.evolve(event);
            follow_event(&mut orphans, at, event, &client);
        }
    }
    TABLE.write(tx, orphans.into_values()).await?;
    Ok(())
}

/// `client`: after the event.
fn follow_event<'e>(
    orphans: &mut Orphans<'e>,
    at: &RecordedEvent,
    event: &'e Event,
    client: &OauthClient,
) {
    let Some(marker) = marker(event) else { return };
    let Some(orphan) = client.orphans.get(marker) else {
        return;
    };
    let (resolved_at, resolved_by) = match orphan.resolution {
        Some(_) => (at.recorded_at.to_string(), at.metadata.actor.clone()),
        None => Default::default(),
    };
    let note = match event {
        Event::Orphan(OrphanEvent::OrphanResolved(resolved)) => resolved.note,
        _ => None,
    };
    let known = cells![
        marker,
        client.identity_provider_id,
        client.application_id,
        at.recorded_at.to_string(),
        orphan.reason.as_str(),
        at.stream_id(),
        orphan.detail.clone(),
        orphan.client_id.clone(),
        orphan.powerless,
        orphan.rat_ref.is_some(),
        orphan.resolution.map_or("open", |how| how.as_str()),
        resolved_at,
        resolved_by,
        note.map_or_else(String::new, |note| note.0.to_string()),
    ];
    let row = orphans.entry(marker).or_insert_with(|| known.clone());
    row.splice(FIRST.., known.into_iter().skip(FIRST));
}

fn marker(event: &Event) -> Option<&str> {
    match event {
        Event::Deletion(DeletionEvent::Refused(refused)) => Some(&refused.marker),
        Event::Orphan(
            OrphanEvent::OrphanFound { client, .. } | OrphanEvent::OrphanClaimed(client),
        ) => Some(&client.marker),
        Event::Orphan(OrphanEvent::UnknownListed(unknown)) => Some(&unknown.marker),
        Event::Orphan(OrphanEvent::Adopted(adopted)) => Some(&adopted.marker),
        Event::Orphan(OrphanEvent::OrphanResolved(resolved)) => Some(&resolved.marker),
        Event::Registration(RegistrationEvent::OrphanSuspected { marker, .. }) => Some(marker),
        _ => None,
    }
}

const COLUMNS: &str = "SELECT marker, identity_provider_id, application_id, suspected_at, oauth_client_id, reason, \
                       detail, client_id, powerless, manageable, status, resolved_at, resolved_by, note FROM orphans";

/// Orphans, the oldest first, and the cursor of the next page. Empty texts: whatever they are.
pub(crate) async fn orphans(
    pool: &AnyPool,
    page: &Page,
    status: &str,
    provider: &str,
) -> Result<(Vec<ListedOrphan>, String), sqlx::Error> {
    let (at, marker) = page.after.clone().unwrap_or_default();
    let sql = format!(
        "{COLUMNS} WHERE (suspected_at, marker) > ($1, $2) AND ($3 = '' OR status = $3) \
         AND ($4 = '' OR identity_provider_id = $4) ORDER BY suspected_at, marker LIMIT $5"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(at)
        .bind(marker)
        .bind(status.to_owned())
        .bind(provider.to_owned())
        .bind(page.fetch())
        .fetch_all(pool)
        .await?;
    let orphans = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(page.cut(orphans, |one| {
        (one.suspected_at.clone(), one.orphan.marker.clone())
    }))
}

pub(crate) async fn orphan(
    pool: &AnyPool,
    marker: &str,
) -> Result<Option<ListedOrphan>, sqlx::Error> {
    let sql = format!("{COLUMNS} WHERE marker = $1");
    found(pool, sqlx::AssertSqlSafe(sql), marker, read).await
}

fn read(row: &Row) -> Result<ListedOrphan, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let flag = |column: &str| row.try_get::<i64, _>(column).map(|value| value != 0);
    let suspected_at = text("suspected_at")?;
    let nobody = Uuid::nil().to_string();
    Ok(ListedOrphan {
        orphan: api::Orphan {
            identity_provider_id: text("identity_provider_id")?,
            marker: text("marker")?,
            suspected_at: time::parse(&suspected_at),
            application_id: given(text("application_id")?).filter(|id| *id != nobody),
            reason: wire::word::<api::OrphanReason>(&text("reason")?),
            detail: given(text("detail")?),
            client_id: given(text("client_id")?),
            powerless: flag("powerless")?,
            status: wire::word::<api::OrphanStatus>(&text("status")?),
            resolved_at: time::parse(&text("resolved_at")?),
            resolved_by: given(text("resolved_by")?),
            note: None,
            manageable: flag("manageable")?,
        },
        suspected_at,
        oauth_client_id: text("oauth_client_id")?.parse().ok(),
        note: text("note")?.parse().ok().map(VaultRef),
    })
}
