//! Small servers that stand in for what Portico needs around it, for `portico demo` and for tests. Every one listens on
//! 127.0.0.1, on a given or a free port, speaks its real protocol, and lets a test look at its state.
//!
//! | module | what it is |
//! |---|---|
//! | [`identity_provider`] | an OAuth 2.0 provider: RFC 7591 and 7592, client credentials, JWKS |
//! | [`doubles`] | **doubles** of Okta, Auth0, Gluu and Curity, never the real ones |
//! | [`gateway`] | a **double** of the Tyk open-source gateway, never the real one |
//! | [`echo`] | an upstream API behind the gateway |
//! | [`mail`] | an SMTP catcher with a page |
//!
//! None of it is fit for production: secrets are kept in clear, in memory or in the data file that the caller names.

pub mod clock;
pub mod doubles;
pub mod echo;
pub mod gateway;
pub mod identity_provider;
pub mod jws;
pub mod mail;
pub mod outgoing;
mod secret;
pub mod server;
mod store;

pub use server::StartError;
