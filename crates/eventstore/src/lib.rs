//! Event sourcing for SQLite and PostgreSQL, with the SQL written once.
//!
//! | module | inside |
//! |---|---|
//! | [`Aggregate`] | `decide` and `evolve`, pure; upcasters of old events |
//! | [`Newest`] | the newest that another service said of one of its things |
//! | [`EventStore`] | `load`, `execute`, `read` by position; views ([`Projection`]) in the append's transaction |
//! | [`Database`] | a SQLite file or a PostgreSQL schema, its migrations and [`backup`] |
//! | [`relay`] | position -> bus -> checkpoint; the event table is the outbox |
//! | [`consumer`] | bus -> effect, once -> ack; parks what cannot be handled |
//! | [`retention`] | deletes in small steps what need not be kept |
//! | [`worker`] | what is due -> [`Lease`] -> steps outside -> outcome recorded |
//! | [`clock`] | time, waiting and new ids; times that a clock wrote that ran ahead |
//! | [`trace`] | joins the log lines and spans of everything that one request from outside causes |
//! | [`fault`], [`testing`] | kill points; given / when / then for deciders |

mod aggregate;
pub mod clock;
pub mod consumer;
mod database;
pub mod fault;
mod nested;
mod newest;
pub mod relay;
pub mod retention;
mod store;
pub mod testing;
pub mod trace;
pub mod worker;

pub use aggregate::{Aggregate, Upcaster};
#[doc(hidden)]
pub use database::migrator;
pub use database::{Database, DatabaseError, Migrations, NotReady, PoolSettings, backup};
#[doc(hidden)]
pub use nested::is_of_another_subject;
pub use newest::{Fact, Newest, Noted};
pub use store::{
    Append, Appended, Beside, Cell, Change, Context, EventStore, ExecuteError, InboxEntry, Loaded,
    Metadata, NewEvent, Outcome, Payload, Projection, ProjectionError, RecordedEvent, Result, Row,
    StoreError, Stream, StreamChange, Table, Tx, rows,
};
pub use worker::{Held, Lease, LeaseLost};

/// Re-exported so that services name one version.
pub use sqlx;
/// For [`nested_events`].
#[doc(hidden)]
pub use {serde, serde_json};
