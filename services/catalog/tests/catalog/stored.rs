//! Events as earlier versions stored them.

use portico_catalog::{plan::Plan, product::Product};
use portico_eventstore::testing::reread;

#[test]
fn stored_events_are_read() {
    let fixture = include_str!("../fixtures/events.jsonl");
    reread::<Product>(fixture);
    reread::<Plan>(fixture);
}
