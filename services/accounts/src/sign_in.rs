//! Signing in and staying signed in.
//!
//! * [`password`]: hashes and verifies passwords
//! * [`limits`]: how often signing in may fail
//! * [`token`]: session and API tokens
//! * [`sessions`]: the sessions table, and authentication by a token

pub(crate) mod limits;
pub(crate) mod password;
pub(crate) mod sessions;
pub(crate) mod token;
