//! The protocol that all drivers share.
//!
//! - [`session`]: the calls, their deadline and where tokens may be sent; `tokens`: where tokens come from
//! - [`answer`]: an answer as it came, `received`: its secrets; [`client`]: what is sent, stored and said of a client
//! - [`failure`]: what went wrong and what to do about it; `message`: the provider's message about it, without anything
//!   that looks like a token
//! - [`listing`]: the clients that a provider lists, and those with a marker of Portico's
//! - `credentials`: what an answer brings of a client, checked and without its secrets
//! - `rfc7591`: RFC 7591 and RFC 7592, the default bodies of a driver; [`site`]: a provider without its secrets

pub mod answer;
pub mod client;
pub(crate) mod credentials;
pub mod failure;
pub mod listing;
pub(crate) mod message;
mod received;
pub(crate) mod rfc7591;
pub mod session;
pub mod site;
pub(crate) mod tokens;
