//! Clients that are, or may be, at a provider without being in use here.

use portico_eventstore::sqlx::{self, AnyConnection, AnyPool, Row as _};
use portico_eventstore::{ProjectionError, RecordedEvent, Row};
use portico_proto::{registration::v1 as api, time};
use portico_runtime::Page;
use portico_vault::VaultRef;
use uuid::Uuid;

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

/// Brings the row of an orphan to what the client's state says.
pub(super) async fn follow(
    tx: &mut AnyConnection,
    at: &RecordedEvent,
    event: &Event,
    client: &OauthClient,
) -> Result<(), ProjectionError> {
    let marker = match event {
        Event::Registration(RegistrationEvent::OrphanSuspected { marker, .. })
        | Event::Deletion(DeletionEvent::Refused { marker, .. })
        | Event::Orphan(
            OrphanEvent::OrphanFound { marker, .. }
            | OrphanEvent::OrphanClaimed { marker, .. }
            | OrphanEvent::OrphanResolved { marker, .. }
            | OrphanEvent::Adopted { marker, .. },
        ) => marker,
        _ => return Ok(()),
    };
    let Some(orphan) = client.orphans.get(marker) else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO orphans (marker, identity_provider_id, application_id, suspected_at, oauth_client_id, reason, \
         detail, client_id, powerless, manageable) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (marker) DO UPDATE SET detail = excluded.detail, client_id = excluded.client_id, \
         powerless = excluded.powerless, manageable = excluded.manageable, \
         oauth_client_id = excluded.oauth_client_id",
    )
    .bind(marker.clone())
    .bind(client.identity_provider_id.to_string())
    .bind(client.application_id.to_string())
    .bind(at.recorded_at.to_string())
    .bind(at.stream_id().to_string())
    .bind(orphan.reason.as_str().to_owned())
    .bind(orphan.detail.clone())
    .bind(orphan.client_id.clone())
    .bind(i64::from(orphan.powerless))
    .bind(i64::from(orphan.rat_ref.is_some()))
    .execute(&mut *tx)
    .await?;
    let Some(resolution) = orphan.resolution else {
        return Ok(());
    };
    let note = match event {
        Event::Orphan(OrphanEvent::OrphanResolved { note, .. }) => *note,
        _ => None,
    };
    sqlx::query(
        "UPDATE orphans SET status = $2, resolved_at = $3, resolved_by = $4, note = $5 WHERE marker = $1",
    )
    .bind(marker.clone())
    .bind(resolution.as_str().to_owned())
    .bind(at.recorded_at.to_string())
    .bind(at.metadata.actor.clone())
    .bind(note.map_or_else(String::new, |note| note.0.to_string()))
    .execute(tx)
    .await?;
    Ok(())
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
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(marker.to_owned())
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<ListedOrphan, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let flag = |column: &str| row.try_get::<i64, _>(column).map(|value| value != 0);
    let suspected_at = text("suspected_at")?;
    Ok(ListedOrphan {
        orphan: api::Orphan {
            identity_provider_id: text("identity_provider_id")?,
            marker: text("marker")?,
            suspected_at: time::parse(&suspected_at),
            application_id: text("application_id")?,
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
