//! portico-runtime

pub mod clock;
pub mod config;
pub mod outgoing;
pub mod shutdown;
pub mod telemetry;

pub use clock::Clock;
pub use config::Config;
pub use outgoing::Outgoing;
