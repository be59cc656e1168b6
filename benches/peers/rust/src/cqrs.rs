//! cqrs-es with `postgres-es` or `sqlite-es`. Appends go to the repository, past the framework, which would load the
//! aggregate first; the view is kept by the framework, as its guide says.

use std::{collections::HashMap, convert::Infallible, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use cqrs_es::{
    Aggregate, CqrsFramework, DomainEvent, EventEnvelope, View,
    event_sink::EventSink,
    persist::{
        GenericQuery, PersistedEventRepository, PersistedEventStore, SerializedEvent,
        ViewRepository,
    },
};
use postgres_es::{
    PostgresEventRepository, PostgresViewRepository, default_postgress_pool, postgres_cqrs,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlite_es::{SqliteEventRepository, SqliteViewRepository, sqlite_cqrs};
use sqlx::{
    AnyPool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use crate::{
    Failure,
    work::{Store, TEXT},
};

#[derive(Default, Serialize, Deserialize)]
struct Note;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum NoteEvent {
    Written { text: String, subject: Uuid },
}

impl NoteEvent {
    fn new() -> Self {
        Self::Written {
            text: TEXT.to_owned(),
            subject: Uuid::now_v7(),
        }
    }
}

impl DomainEvent for NoteEvent {
    fn event_type(&self) -> String {
        "written".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl Aggregate for Note {
    const TYPE: &'static str = "note";
    type Command = ();
    type Event = NoteEvent;
    type Error = Infallible;
    type Services = ();

    async fn handle(&mut self, (): (), _: &(), sink: &EventSink<Self>) -> Result<(), Infallible> {
        sink.write(NoteEvent::new(), self).await;
        Ok(())
    }

    fn apply(&mut self, _: NoteEvent) {}
}

/// The row of a stream.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Notes {
    text: String,
    written: i64,
}

impl View<Note> for Notes {
    fn update(&mut self, event: &EventEnvelope<Note>) {
        let NoteEvent::Written { text, .. } = &event.payload;
        self.text.clone_from(text);
        self.written += 1;
    }
}

/// A repository, and the framework with the view.
pub struct Cqrs<R: PersistedEventRepository, V> {
    repository: R,
    framework: CqrsFramework<Note, PersistedEventStore<R, Note>>,
    pool: AnyPool,
    _view: PhantomData<V>,
}

/// With the pool of ten connections that the crate's own function makes.
pub async fn postgres(url: &str) -> Result<impl Store + use<>, Failure> {
    let pool = default_postgress_pool(url).await;
    sqlx::raw_sql(
        "CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL,
           sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL,
           payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence));
         CREATE TABLE notes (view_id text NOT NULL, version bigint CHECK (version >= 0) NOT NULL,
           payload json NOT NULL, PRIMARY KEY (view_id));",
    )
    .execute(&pool)
    .await?;
    let view = PostgresViewRepository::<Notes, Note>::new("notes", pool.clone());
    let query = GenericQuery::new(Arc::new(view));
    store::<_, PostgresViewRepository<Notes, Note>>(
        url,
        PostgresEventRepository::new(pool.clone()),
        postgres_cqrs(pool, vec![Box::new(query)], ()),
    )
    .await
}

/// As `default_sqlite_pool` makes it, but with `synchronous=FULL`: what is acknowledged is on the disk, as with us.
pub async fn sqlite(url: &str) -> Result<impl Store + use<>, Failure> {
    let options = url
        .parse::<SqliteConnectOptions>()?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(10)
        .connect_with(options)
        .await?;
    sqlx::raw_sql(
        "CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL,
           sequence integer CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL,
           payload text NOT NULL, metadata text NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence)) STRICT;
         CREATE TABLE notes (view_id text NOT NULL, version integer CHECK (version >= 0) NOT NULL,
           payload text NOT NULL, PRIMARY KEY (view_id)) STRICT;",
    )
    .execute(&pool)
    .await?;
    let view = SqliteViewRepository::<Notes, Note>::new("notes", pool.clone());
    let query = GenericQuery::new(Arc::new(view));
    store::<_, SqliteViewRepository<Notes, Note>>(
        url,
        SqliteEventRepository::new(pool.clone()),
        sqlite_cqrs(pool, vec![Box::new(query)], ()),
    )
    .await
}

async fn store<R: PersistedEventRepository, V: ViewRepository<Notes, Note>>(
    url: &str,
    repository: R,
    framework: CqrsFramework<Note, PersistedEventStore<R, Note>>,
) -> Result<Cqrs<R, V>, Failure> {
    sqlx::any::install_default_drivers();
    Ok(Cqrs {
        repository,
        framework,
        pool: AnyPool::connect(url).await?,
        _view: PhantomData,
    })
}

#[async_trait]
impl<R: PersistedEventRepository, V: ViewRepository<Notes, Note>> Store for Cqrs<R, V> {
    async fn append(&self, stream: &str, last: i64, count: usize) -> Result<Option<i64>, Failure> {
        let first = usize::try_from(last)?;
        let events: Result<Vec<_>, Failure> = (1..=count)
            .map(|number| {
                let id = Uuid::now_v7();
                let metadata = json!({ "actor": id, "correlation": id, "causation": null });
                Ok(SerializedEvent::new(
                    stream.to_owned(),
                    first + number,
                    Note::TYPE.to_owned(),
                    "written".to_owned(),
                    "1".to_owned(),
                    serde_json::to_value(NoteEvent::new())?,
                    metadata,
                ))
            })
            .collect();
        self.repository.persist::<Note>(&events?, None).await?;
        Ok(Some(i64::try_from(first + count)?))
    }

    async fn load(&self, stream: &str) -> Result<usize, Failure> {
        Ok(self.repository.get_events::<Note>(stream).await?.len())
    }

    async fn read(&self) -> Result<usize, Failure> {
        Err("has no order of all events".into())
    }

    async fn start_view(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn append_viewed(&self, stream: &str) -> Result<(), Failure> {
        let id = Uuid::now_v7().to_string();
        let metadata =
            HashMap::from(["actor", "correlation"].map(|name| (name.to_owned(), id.clone())));
        Ok(self
            .framework
            .execute_with_metadata(stream, (), metadata)
            .await?)
    }

    async fn viewed(&self) -> Result<i64, Failure> {
        Ok(sqlx::query_scalar("SELECT COUNT(*) FROM notes")
            .fetch_one(&self.pool)
            .await?)
    }
}
