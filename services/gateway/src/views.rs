//! Tables that follow the log, and their queries.

pub(crate) mod entitlements;
pub(crate) mod gateways;
pub(crate) mod grants;
pub(crate) mod held_scopes;
pub(crate) mod measures;
pub(crate) mod providers;
