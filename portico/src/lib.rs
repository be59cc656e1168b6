//! The one binary, `portico`, and what it is made of. Arrows run down this list and never up:
//!
//! - [`cli`]: the command line, a file for each subcommand
//! - [`demo`]: the portal with an identity provider, a gateway and a mail catcher around it
//! - [`run`]: starts services and the edge in one process or in several
//! - [`edge`]: what is public: REST, pages, server-sent events, gRPC
//! - [`client`]: a client of the public REST API

pub mod cli;
pub mod client;
pub mod demo;
pub mod edge;
pub mod run;
