//! The one binary, `portico`, and what it is made of.

pub mod apart;
pub mod app;
pub mod at;
pub mod backup;
pub mod check_provider;
pub mod cli;
pub mod commands;
pub mod demo;
pub mod drift;
pub mod edge;
pub mod healthcheck;
mod listeners;
pub mod migrate;
pub mod names;
pub mod parked;
pub mod parts;
mod probes;
pub mod relay;
pub mod wiring;
