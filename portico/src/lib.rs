//! The one binary, `portico`, and what it is made of.

pub mod app;
pub mod commands;
pub mod demo;
pub mod drift;
pub mod edge;
pub mod wiring;
