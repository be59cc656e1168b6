//! The one binary, `portico`, and what it is made of.

pub mod apart;
pub mod app;
pub mod commands;
pub mod demo;
pub mod drift;
pub mod edge;
mod listeners;
pub mod parts;
mod probes;
pub mod wiring;
