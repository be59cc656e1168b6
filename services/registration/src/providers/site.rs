//! A provider as a driver needs to know it to say what it would send. No secret.

use super::authorization::{Method, Options};
use super::discovery::Endpoints;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// From the verified well-known document.
    pub endpoints: &'a Endpoints,
    /// How the portal authorises itself.
    pub method: Method,
    /// What the admin said beyond that.
    pub options: &'a Options,
    /// Whether registrations carry a software statement (RFC 7591 section 2.3).
    pub software_statement: bool,
}
