//! Questions to other services. Their answers are used at once and never stored.

pub(crate) mod access_requests;
pub(crate) mod client_types;
pub(crate) mod gateways;
