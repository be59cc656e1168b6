//! portico-registration

pub mod gateways;
pub mod providers;
