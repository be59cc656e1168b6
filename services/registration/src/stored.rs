//! Events as earlier versions stored them, in `tests/fixtures`; here, because not every aggregate is public.

use portico_eventstore::testing::reread;

use crate::application::KnownApplication;
use crate::client_type::ClientType;
use crate::conformance::ConformanceCheck;
use crate::identity_provider::{IdentityProvider, ProviderKeys};
use crate::oauth_client::OauthClient;

#[test]
fn stored_events_are_read() {
    let fixture = include_str!("../tests/fixtures/events.jsonl");
    reread::<OauthClient>(fixture);
    reread::<ClientType>(fixture);
    reread::<IdentityProvider>(fixture);
    reread::<ProviderKeys>(fixture);
    reread::<KnownApplication>(fixture);
    reread::<ConformanceCheck>(fixture);
}
