//! The whole service against the double of a gateway, fed with the messages of its neighbours.

mod flow;
mod join;
mod trouble;
pub(crate) mod world;
