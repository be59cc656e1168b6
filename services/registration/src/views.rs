//! Tables that follow the log, and their queries.

pub(crate) mod client_types;
pub(crate) mod identity_providers;
pub(crate) mod providers;
