//! The contract of the event store, the same on SQLite and PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a failure is the end of the test")]

mod server;
