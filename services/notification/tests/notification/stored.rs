//! Events as earlier versions stored them.

use portico_eventstore::testing::reread;
use portico_notification::delivery::Delivery;

#[test]
fn stored_events_are_read() {
    reread::<Delivery>(include_str!("../fixtures/events.jsonl"));
}
