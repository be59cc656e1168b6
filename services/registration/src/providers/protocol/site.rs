//! A provider as a driver needs to know it to say what it would send. No secret.

use crate::identity_provider::{Endpoints, Method, Options, Settings};

/// A provider without its secrets.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// From the verified well-known document.
    pub endpoints: &'a Endpoints,
    /// How the portal authorizes itself.
    pub method: Method,
    /// What the admin said beyond that.
    pub options: &'a Options,
    /// Whether registrations carry a software statement (RFC 7591 section 2.3).
    pub software_statement: bool,
}

impl<'a> Site<'a> {
    /// The provider with these settings, where the portal authorizes itself by `method`.
    #[must_use]
    pub fn new(settings: &'a Settings, method: Method) -> Self {
        Self {
            endpoints: &settings.location.endpoints,
            method,
            options: &settings.options,
            software_statement: settings.software_statement.is_some(),
        }
    }
}
