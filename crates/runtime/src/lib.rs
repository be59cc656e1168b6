//! What every service of Portico runs on. Arrows run down this list and never up:
//!
//! | room | inside |
//! |---|---|
//! | [`service`] | what a service is given at its start and gives back; health, the methods that all services have |
//! | `call`, [`lists`], [`texts`] | a gRPC call: who calls, whether they may, its context; lists and texts in requests |
//! | [`security`] | the security log |
//! | [`telemetry`] | log lines and traces, of HTTP requests and gRPC calls |
//! | [`address`] | network addresses of callers |
//! | [`config`] | the configuration, read and checked |
//! | [`outgoing`] | the one client for calls to addresses that people enter |
//! | [`metrics`] | numbers for `/metrics` and for a collector |
//! | `channel` | names and methods of the services, and how they reach each other |
//! | [`tls`] | certificates of listeners and of calls, read again when they change |
//! | `process` | the data folder's lock, signals, lines that are written seldom |
//!
//! The clock is the event store's, which needs it too.

pub mod address;
mod call;
mod channel;
pub mod config;
pub mod lists;
pub mod metrics;
pub mod outgoing;
mod process;
pub mod security;
pub mod service;
pub mod settings;
pub mod telemetry;
pub mod texts;
pub mod tls;

pub use call::{
    Call, Caller, IdentityKey, Problems, Role, authorization, concurrent_change, deadline,
    identity, name_taken, parse_id, query_error, refuse, refuse_at, require, store_error,
    vault_error,
};
pub use channel::{
    Channels, IDEMPOTENCY_KEY, REQUEST_ID, Remote, SERVICE, ServiceChannel, ServiceName,
    TRACEPARENT, TRACESTATE, methods, service_unavailable,
};
pub use config::Config;
pub use lists::{DEFAULT_LIMIT, MAX_LIMIT, Page};
pub use outgoing::Outgoing;
pub use portico_eventstore::{
    clock::{self, Clock},
    fault,
};
pub use process::{DataFolder, Seldom, hangup, shutdown};
pub use service::{
    Deps, Service, StartError, WorkError,
    health::{self, Health},
    messages, seal_in_append,
};
