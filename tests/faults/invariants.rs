//! The six invariants, each a function over the stores, the provider and the mail catcher. A violation panics with
//! what was found.

mod clients;
mod log;
mod mails;
mod secrets;
mod states;
mod views;

pub use views::equal_a_rebuild;

use crate::{
    settle::settle,
    world::{Portal, World},
};

/// Checks I1 to I6 of a portal that has come to rest; Portico is not running afterwards.
pub async fn check(world: &mut World, portal: &Portal) {
    settle(world, portal).await;
    clients::at_most_one_for_each_application(world, portal).await;
    clients::credentials_work(world, portal).await;
    world.stop().await;
    log::acknowledged_events_are_there(world, portal).await;
    states::one_final_state(world, portal).await;
    mails::one_for_each_fact(world, portal).await;
    views::equal_a_rebuild(world).await;
    secrets::in_no_log_event_or_message(world, portal).await;
}
