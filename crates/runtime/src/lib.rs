//! What every service of Portico runs on: configuration, clock, telemetry, shutdown, who calls, how services
//! reach each other, and the one client for calls to addresses that people enter.

pub mod authorization;
mod channel;
pub mod config;
mod context;
mod data_folder;
pub mod health;
pub mod identity;
pub mod methods;
pub mod metrics;
mod operations;
pub mod outgoing;
mod page;
mod service;
pub mod shutdown;
pub mod telemetry;

pub use channel::{Channels, Remote, SERVICE, ServiceChannel, ServiceName, service_unavailable};
pub use config::Config;
pub use context::{
    Call, IDEMPOTENCY_KEY, Problems, REQUEST_ID, TRACEPARENT, TRACESTATE, parse_id, query_error,
    refuse, store_error,
};
pub use data_folder::DataFolder;
pub use health::Health;
pub use identity::{Caller, IdentityKey, Role};
pub use page::{DEFAULT_LIMIT, MAX_LIMIT, Page};
pub use outgoing::Outgoing;
pub use portico_eventstore::{
    clock::{self, Clock},
    fault,
};
pub use service::{Deps, Service, StartError};
