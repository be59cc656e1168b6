//! Events as earlier versions stored them.

use portico_accounts::{security::Security, user::User};
use portico_eventstore::testing::reread;

#[test]
fn stored_events_are_read() {
    reread::<User>(include_str!("fixtures/events.jsonl"));
    reread::<Security>(include_str!("fixtures/security.jsonl"));
}
