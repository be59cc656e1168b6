//! `disintegrate-postgres`: a decision's query takes the place of a stream, the last event's id that of a version.

use std::time::Duration;

use async_trait::async_trait;
use disintegrate::{
    Event, EventListener, EventStore as _, PersistedEvent, StreamItem, StreamQuery, query,
    serde::json::Json,
};
use disintegrate_postgres::{
    Error, PgEventId, PgEventListener, PgEventListenerConfig, PgEventStore,
};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::{
    Failure,
    work::{READ, Store, TEXT},
};

#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
enum NoteEvent {
    Written {
        #[id]
        note_id: String,
        text: String,
        subject: Uuid,
        actor: Uuid,
        correlation: Uuid,
    },
}

/// The store with sqlx's pool of ten connections, as its examples have it.
pub struct Disintegrate {
    pool: PgPool,
    store: PgEventStore<NoteEvent, Json<NoteEvent>>,
}

/// Opens the store on an empty database.
pub async fn open(url: &str) -> Result<impl Store + use<>, Failure> {
    // One of its functions has a hexadecimal number, which PostgreSQL knows from version 16 on. Before that it is created
    // unread and then replaced by one with the same number in decimal.
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPool::connect_with(options.options([("check_function_bodies", "off")])).await?;
    let store = PgEventStore::try_new(pool.clone(), Json::default()).await?;
    sqlx::raw_sql(BEGIN_EPOCH).execute(&pool).await?;
    Ok(Disintegrate { pool, store })
}

const BEGIN_EPOCH: &str = "CREATE OR REPLACE FUNCTION event_store_begin_epoch() RETURNS void AS $$
DECLARE
    id BIGINT;
    db_id INT;
BEGIN
    SELECT last_value INTO id FROM seq_event_event_id;
    SELECT oid INTO db_id FROM pg_database WHERE datname = current_database();
    PERFORM pg_try_advisory_xact_lock_shared(db_id, 0);
    PERFORM pg_try_advisory_xact_lock_shared(1, (id & 4294967295)::bit(32)::integer);
    PERFORM pg_try_advisory_xact_lock_shared(2, (id >> 32)::bit(32)::integer);
END;
$$ LANGUAGE plpgsql;";

fn stream_query(stream: &str) -> StreamQuery<PgEventId, NoteEvent> {
    query!(NoteEvent; note_id == stream.to_owned())
}

#[async_trait]
impl Store for Disintegrate {
    async fn append(&self, stream: &str, last: i64, count: usize) -> Result<Option<i64>, Failure> {
        let events = (0..count).map(|_| NoteEvent::Written {
            note_id: stream.to_owned(),
            text: TEXT.to_owned(),
            subject: Uuid::now_v7(),
            actor: Uuid::now_v7(),
            correlation: Uuid::now_v7(),
        });
        match self
            .store
            .append(events.collect(), stream_query(stream), last)
            .await
        {
            Ok(appended) => Ok(appended.last().map(PersistedEvent::id)),
            // Serializable transactions fail without a conflict of ours; the library leaves the repetition to its user.
            Err(Error::Concurrency) => Ok(None),
            Err(Error::Database(error)) if is_serialization_failure(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn load(&self, stream: &str) -> Result<usize, Failure> {
        let query = stream_query(stream);
        let items = self.store.stream(&query);
        let events =
            items.filter(|item| std::future::ready(matches!(item, Ok(StreamItem::Event(_)))));
        Ok(events.count().await)
    }

    async fn read(&self) -> Result<usize, Failure> {
        let query = query!(NoteEvent).change_origin(1);
        let items = self.store.stream(&query);
        let events =
            items.filter(|item| std::future::ready(matches!(item, Ok(StreamItem::Event(_)))));
        Ok(events.take(READ).count().await)
    }

    async fn start_view(&self) -> Result<(), Failure> {
        let table =
            "CREATE TABLE notes (id TEXT PRIMARY KEY, text TEXT NOT NULL, written BIGINT NOT NULL)";
        sqlx::query(table).execute(&self.pool).await?;
        let notes = Notes {
            pool: self.pool.clone(),
            query: query!(NoteEvent).change_origin(self.head().await?),
        };
        let config = PgEventListenerConfig::poller(Duration::from_secs(5)).with_notifier();
        let listener =
            PgEventListener::builder(self.store.clone()).register_listener(notes, config);
        tokio::spawn(listener.start());
        Ok(())
    }

    async fn viewed(&self) -> Result<i64, Failure> {
        Ok(sqlx::query_scalar("SELECT COUNT(*) FROM notes")
            .fetch_one(&self.pool)
            .await?)
    }
}

impl Disintegrate {
    async fn head(&self) -> Result<i64, Failure> {
        let head = sqlx::query_scalar("SELECT COALESCE(MAX(event_id), 0) FROM event");
        Ok(head.fetch_one(&self.pool).await?)
    }
}

fn is_serialization_failure(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .as_deref()
        == Some("40001")
}

struct Notes {
    pool: PgPool,
    query: StreamQuery<PgEventId, NoteEvent>,
}

#[async_trait]
impl EventListener<PgEventId, NoteEvent> for Notes {
    type Error = sqlx::Error;

    fn id(&self) -> &'static str {
        "notes"
    }

    fn query(&self) -> &StreamQuery<PgEventId, NoteEvent> {
        &self.query
    }

    async fn handle(&self, event: PersistedEvent<PgEventId, NoteEvent>) -> Result<(), sqlx::Error> {
        let NoteEvent::Written { note_id, text, .. } = event.into_inner();
        let upsert = "INSERT INTO notes (id, text, written) VALUES ($1, $2, 1) \
                      ON CONFLICT (id) DO UPDATE SET text = excluded.text, written = notes.written + 1";
        sqlx::query(upsert)
            .bind(note_id)
            .bind(text)
            .execute(&self.pool)
            .await
            .map(drop)
    }
}
