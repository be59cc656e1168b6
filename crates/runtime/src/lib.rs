//! portico-runtime

pub mod clock;
pub mod config;
pub mod outgoing;
pub mod shutdown;
pub mod telemetry;
