//! The views `users` and `api_tokens`: how they follow the log, and what is asked of them.

mod projection;
mod queries;

pub(crate) use projection::Users;
pub(crate) use queries::*;
