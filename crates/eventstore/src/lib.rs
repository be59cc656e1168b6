//! Event sourcing for SQLite and PostgreSQL, with the SQL written once.
//!
//! * [`Aggregate`]: `decide` and `evolve`, pure.
//! * [`EventStore`]: `load`, `execute` (load, decide, append; again on a conflict), `read` by position.
//! * `writer`: gathers concurrent appends into one transaction; positions are commit order without gaps; views
//!   ([`Projection`]) and the inbox are written in the same transaction.
//! * [`relay`]: position -> bus -> checkpoint. The event table is the outbox.
//! * [`consumer`]: bus -> inbox -> effect -> ack; parks what cannot be handled.
//! * [`worker`]: what is due -> lease -> steps outside -> outcome recorded. [`Lease`] keeps replicas apart.
//! * [`clock`]: time, waiting and new ids; what a clock that ran ahead wrote.
//! * [`trace`]: what joins the log lines and spans of everything that one request from outside causes.
//! * [`backup`]: copies of SQLite databases as they were at one instant.
//! * [`testing`]: given / when / then for deciders.

mod aggregate;
pub mod backup;
pub mod clock;
pub mod consumer;
mod database;
mod error;
mod event;
mod execute;
pub mod fault;
mod lease;
mod metrics;
mod nested;
mod projection;
pub mod relay;
mod store;
pub mod testing;
pub mod trace;
pub mod worker;
mod writer;

pub use aggregate::{Aggregate, Upcaster};
pub use database::{Database, DatabaseError};
pub use error::StoreError;
pub use event::{Context, Metadata, NewEvent, RecordedEvent, Stream};
pub use execute::{ExecuteError, Outcome};
pub use lease::{Held, Lease, LeaseLost};
#[doc(hidden)]
pub use nested::is_of_another_subject;
pub use projection::{Projection, ProjectionError, Row};
pub use store::{EventStore, Loaded};
pub use writer::{Append, Appended, InboxEntry};

/// Re-exported so that services name one version.
pub use sqlx;
/// For [`nested_events`].
#[doc(hidden)]
pub use {serde, serde_json};
