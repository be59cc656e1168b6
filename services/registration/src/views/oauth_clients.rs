//! The tables `oauth_clients` and `orphans`, and their queries.

mod anothers;
mod orphans;
mod queries;
mod unknown;

use async_trait::async_trait;
use portico_eventstore::worker::Queue;
use portico_eventstore::{
    Cell, Change, Projection, ProjectionError, RecordedEvent, StreamChange, Table, Tx, cells,
};

use crate::oauth_client::{AccessEvent, Event, OauthClient, RegistrationEvent, Succeeded};

pub(crate) use anothers::is_anothers;
pub(crate) use orphans::{ListedOrphan, orphan, orphans};
pub(crate) use queries::{
    Listed, Registered, by_id, differences, manages, of_application, old_secret_valid_until,
    registered, resumable, streams_of_application, streams_of_type, waiting_at,
};
pub(crate) use unknown::known_of;

pub(crate) struct OauthClients;

/// What the worker has to do.
pub(crate) const QUEUE: Queue = Queue {
    table: "oauth_clients",
    id: "id",
};

const TABLE: Table = Table {
    name: "oauth_clients",
    key: "id",
    columns: "id application_id identity_provider_id client_type_id client_id status live manageable paused \
        due_at_ms parked_at_ms wanted_scopes scopes differences last_error next_try_at state created_at \
        updated_at",
    once: "created_at",
};

type ClientChange<'a> = StreamChange<'a, OauthClient>;

#[async_trait]
impl Projection for OauthClients {
    fn tables(&self) -> &'static [&'static str] {
        &["oauth_clients", "orphans"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        let clients = change.streams::<OauthClient>(tx, &TABLE).await?;
        let mut rows = Vec::new();
        for client in &clients {
            if change.asks_rules() {
                refuse_anothers(tx, client).await?;
            }
            // The others change nothing that anybody could see here.
            let mut visible = client
                .events
                .iter()
                .filter(|(_, event)| *event != Event::Access(AccessEvent::CredentialsRevealed));
            if let Some((last, _)) = visible.next_back() {
                rows.push(row_of(client, last)?);
            }
        }
        TABLE.write(tx, rows).await?;
        orphans::follow(tx, &clients).await
    }
}

async fn refuse_anothers(tx: &mut Tx, client: &ClientChange<'_>) -> Result<(), ProjectionError> {
    for (_, event) in &client.events {
        if let Event::Registration(RegistrationEvent::Registered(Succeeded { answer, .. })) = event
        {
            let provider = client.after.identity_provider_id;
            anothers::refuse(tx, client.id, provider, &answer.client_id).await?;
        }
    }
    Ok(())
}

fn row_of(change: &ClientChange<'_>, last: &RecordedEvent) -> Result<Vec<Cell>, ProjectionError> {
    let client = &change.after;
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
    let differences = answer.map(|a| &a.differences).into_iter().flatten();
    Ok(cells![
        change.id,
        client.application_id,
        client.identity_provider_id,
        client_type.map(|id| id.to_string()).unwrap_or_default(),
        answer.map(|a| a.client_id.clone()).unwrap_or_default(),
        client.status(),
        live.is_some() || client.intended().is_some(),
        manageable,
        client.paused.is_some(),
        client.due().map(|due| due.as_millisecond()),
        parked.map(|at| at.as_millisecond()),
        serde_json::to_string(&wanted.scopes)?,
        serde_json::to_string(&client.scopes())?,
        serde_json::to_string(&differences.collect::<Vec<_>>())?,
        error.unwrap_or_default(),
        next_try.map(|at| at.to_string()).unwrap_or_default(),
        serde_json::to_string(client)?,
        change.first.recorded_at.to_string(),
        last.recorded_at.to_string(),
    ])
}
