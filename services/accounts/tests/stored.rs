//! Events as earlier versions stored them.

use portico_accounts::user::User;
use portico_eventstore::testing::reread;

#[test]
fn stored_events_are_read() {
    reread::<User>(include_str!("fixtures/events.jsonl"));
}
