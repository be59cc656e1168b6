//! Events as earlier versions stored them.

use portico_access_request::{access_request::AccessRequest, application::Application, cart::Cart};
use portico_eventstore::testing::reread;

#[test]
fn stored_events_are_read() {
    let fixture = include_str!("../fixtures/events.jsonl");
    reread::<Application>(fixture);
    reread::<Cart>(fixture);
    reread::<AccessRequest>(fixture);
}
