//! The one binary, `portico`, and what it is made of.

pub mod apart;
pub mod app;
pub mod at;
pub mod commands;
pub mod demo;
pub mod drift;
pub mod edge;
mod listeners;
pub mod parts;
mod probes;
pub mod parked;
pub mod wiring;
