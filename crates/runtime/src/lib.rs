//! portico-runtime

pub mod clock;
pub mod outgoing;
pub mod shutdown;
