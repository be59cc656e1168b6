//! The views `users` and `api_tokens`: the projection and the queries.

mod projection;
mod queries;

pub(crate) use projection::Users;
pub(crate) use queries::*;
