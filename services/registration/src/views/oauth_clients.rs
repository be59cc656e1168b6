//! The tables `oauth_clients` and `orphans`, and their queries.

mod anothers;
mod orphans;
mod queries;

use async_trait::async_trait;
use portico_eventstore::sqlx::{self, AnyConnection, Row as _};
use portico_eventstore::worker::Queue;
use portico_eventstore::{Aggregate as _, Change, Projection, ProjectionError, RecordedEvent};
use uuid::Uuid;

use crate::oauth_client::{AccessEvent, Event, OauthClient, RegistrationEvent};

pub(crate) use anothers::is_anothers;
pub(crate) use orphans::{ListedOrphan, orphan, orphans};
pub(crate) use queries::{
    Listed, Registered, by_id, differences, manages, of_application, old_secret_valid_until,
    registered, resumable, streams_of_application, streams_of_type, waiting_at,
};

pub(crate) struct OauthClients;

/// What the worker has to do.
pub(crate) const QUEUE: Queue = Queue {
    table: "oauth_clients",
    id: "id",
};

#[async_trait]
impl Projection for OauthClients {
    fn tables(&self) -> &'static [&'static str] {
        &["oauth_clients", "orphans"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        let Some(change) = event.decode::<OauthClient>()? else {
            return Ok(());
        };
        let mut client = state(tx, event.stream_id()).await?.unwrap_or_default();
        client.evolve(&change);
        follow(tx, &[(event, change)], &client).await
    }

    async fn apply_all(
        &self,
        tx: &mut AnyConnection,
        change: &Change<'_>,
    ) -> Result<(), ProjectionError> {
        let Some((_, client)) = change.states::<OauthClient>() else {
            for event in change.events {
                self.apply(tx, event).await?;
            }
            return Ok(());
        };
        follow(tx, &change.decoded::<OauthClient>()?, client).await
    }
}

/// `client`: after the changes.
async fn follow(
    tx: &mut AnyConnection,
    changes: &[(&RecordedEvent, Event)],
    client: &OauthClient,
) -> Result<(), ProjectionError> {
    // Changes nothing that anybody could see here.
    let mut visible = changes
        .iter()
        .filter(|(_, change)| *change != Event::Access(AccessEvent::CredentialsRevealed));
    let Some((last, _)) = visible.next_back() else {
        return Ok(());
    };
    for (event, change) in changes {
        if let Event::Registration(RegistrationEvent::Registered { answer, .. }) = change {
            let (id, provider) = (event.stream_id(), client.identity_provider_id);
            anothers::refuse(tx, id, provider, &answer.client_id).await?;
        }
    }
    let is_new = changes.first().is_some_and(|(first, _)| first.version == 1);
    write(tx, last, client, !is_new).await?;
    for (event, change) in changes {
        orphans::follow(tx, event, change, client).await?;
    }
    Ok(())
}

async fn state(tx: &mut AnyConnection, id: Uuid) -> Result<Option<OauthClient>, ProjectionError> {
    let row = sqlx::query("SELECT state FROM oauth_clients WHERE id = $1")
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
    client: &OauthClient,
    known: bool,
) -> Result<(), ProjectionError> {
    let sql = if known {
        "UPDATE oauth_clients SET client_type_id = $2, client_id = $3, status = $4, live = $5, manageable = $6, \
         paused = $7, due_at_ms = $8, parked_at_ms = $9, wanted_scopes = $10, scopes = $11, differences = $12, \
         last_error = $13, next_try_at = $14, state = $15, updated_at = $16, application_id = $17, \
         identity_provider_id = $18 WHERE id = $1"
    } else {
        "INSERT INTO oauth_clients (id, client_type_id, client_id, status, live, manageable, paused, due_at_ms, \
         parked_at_ms, wanted_scopes, scopes, differences, last_error, next_try_at, state, created_at, updated_at, \
         application_id, identity_provider_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, $17, $18)"
    };
    let live = client.live();
    let answer = live.map(|live| &live.answer);
    let client_type = live
        .map(|live| live.client_type_id)
        .or_else(|| client.intended().map(|intended| intended.client_type_id))
        .or_else(|| client.first_client_type());
    let manageable =
        answer.is_some_and(|a| a.rat_ref.is_some() && a.registration_client_uri.is_some());
    let wanted = client.wanted().unwrap_or_default();
    let parked = client.refused.as_ref().filter(|_| client.is_parked());
    let stuck = client.delay.as_ref().and_then(|delay| delay.stuck_since);
    let parked = parked.map(|refused| refused.at).or(stuck);
    let next_try = client.delay.as_ref().map(|delay| delay.next_try_at);
    let error = client.last_error().map(|problem| problem.reason.clone());
    sqlx::query(sql)
        .bind(at.stream_id().to_string())
        .bind(client_type.map(|id| id.to_string()).unwrap_or_default())
        .bind(answer.map(|a| a.client_id.clone()).unwrap_or_default())
        .bind(client.status().to_owned())
        .bind(i64::from(live.is_some() || client.intended().is_some()))
        .bind(i64::from(manageable))
        .bind(i64::from(client.paused.is_some()))
        .bind(client.due().map(|due| due.as_millisecond()))
        .bind(parked.map(|at| at.as_millisecond()))
        .bind(serde_json::to_string(&wanted.scopes)?)
        .bind(serde_json::to_string(&client.scopes())?)
        .bind(serde_json::to_string(
            &answer
                .map(|a| &a.differences)
                .into_iter()
                .flatten()
                .collect::<Vec<_>>(),
        )?)
        .bind(error.unwrap_or_default())
        .bind(next_try.map(|at| at.to_string()).unwrap_or_default())
        .bind(serde_json::to_string(client)?)
        .bind(at.recorded_at.to_string())
        .bind(client.application_id.to_string())
        .bind(client.identity_provider_id.to_string())
        .execute(tx)
        .await?;
    Ok(())
}
