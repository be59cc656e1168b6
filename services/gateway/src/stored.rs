//! Events as earlier versions stored them, in `tests/fixtures`; here, because no aggregate is public.

use portico_eventstore::testing::reread;

use crate::entitlement::Entitlement;
use crate::gateway::Gateway;
use crate::known::{KnownApplication, KnownClient, KnownEntry, KnownProvider};
use crate::mapping::ApiMapping;

#[test]
fn stored_events_are_read() {
    let fixture = include_str!("../tests/fixtures/events.jsonl");
    reread::<Entitlement>(fixture);
    reread::<Gateway>(fixture);
    reread::<ApiMapping>(fixture);
    reread::<KnownApplication>(fixture);
    reread::<KnownEntry>(fixture);
    reread::<KnownClient>(fixture);
    reread::<KnownProvider>(fixture);
}
