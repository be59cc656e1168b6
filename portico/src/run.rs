//! Starts Portico, whole or in parts.
//!
//! - [`wiring`]: puts together what services are given (bus, keys, channels) and opens their stores
//! - [`app`]: all services and the edge in one process
//! - [`apart`]: some of them in this process; the others are called over the network
//! - [`parts`]: which of them a process runs
//! - `certificates`: reads them again when their files change
//! - [`migrations`]: waits until somebody else has migrated the databases
//! - `listeners`, `probes`: addresses, connections, health

pub mod apart;
pub mod app;
pub(crate) mod certificates;
pub(crate) mod listeners;
pub mod migrations;
pub mod parts;
mod probes;
pub mod wiring;

pub use listeners::EdgeListeners;
