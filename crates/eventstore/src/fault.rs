//! What a fault test sets: points at which the process ends, a clock that is off, leases that last shorter. Only in
//! builds with debug assertions; nothing in a release.
//!
//! | variable | what |
//! |---|---|
//! | `FAULT_ABORT_AT` | `point`, or `point:n` for the n-th time that it is reached; `point@what` only for that type of event or message |
//! | `FAULT_CLOCK_OFFSET_SECONDS` | how far the clock is off; negative: it is late |
//! | `FAULT_LEASE_MS` | how long a lease lasts, so that the work of a killed process goes on sooner |

use std::time::Duration;

/// Every point: before and after whatever must not be done twice, nor get lost. A test reaches each of them.
pub const POINTS: [&str; 46] = [
    // The writer: some append is about to be committed; is committed.
    "appending",
    "appended",
    "approving",
    "approved",
    // The relay and a consumer.
    "publishing",
    "published",
    "checkpointing",
    "checkpointed",
    "acking",
    "acked",
    // What has ended is about to be deleted, a step of it.
    "pruning",
    // A registration: intent, request, answer, outcome.
    "intending",
    "intent",
    "posting",
    "answer_unspooled",
    "answer_received",
    "registering",
    "registered",
    // An API key, the same way.
    "key_intending",
    "key_intent",
    "key_answer_unspooled",
    "key_answer_received",
    "key_registered",
    // What is written to a gateway.
    "gateway_intent",
    "gateway_written",
    // A mail: queued, and taken by the mail server (250).
    "mail_queueing",
    "mail_queued",
    "mail_sending",
    "mail_sent",
    // `portico rewrap`, before each service and after it.
    "rewrapping",
    "rewrapped",
    // A new secret of a client was intended; nothing was asked of the provider.
    "rotating",
    // What the two halves report of an access request, on its way to the join: published, taken in, acknowledged.
    "publishing@portico.registration.registration_reported",
    "published@portico.registration.registration_reported",
    "handling@portico.registration.registration_reported",
    "acking@portico.registration.registration_reported",
    "publishing@portico.gateway.gateway_reported",
    "published@portico.gateway.gateway_reported",
    "handling@portico.gateway.gateway_reported",
    "acking@portico.gateway.gateway_reported",
    // The join itself: the transaction that takes in the deciding report.
    "appending@access_request.activated",
    "appended@access_request.activated",
    "appending@access_request.failed",
    "appended@access_request.failed",
    "appending@access_request.ended",
    "appended@access_request.ended",
];

macro_rules! steps {
    ($($event:literal),+ $(,)?) => {
        [$(concat!("appending@", $event), concat!("appended@", $event)),+]
    };
}

/// Before and after each commit of an access request, from its submission to the mail that it is active. A test reaches
/// each of them.
pub const STEPS: [&str; 30] = steps![
    "application.created",
    "access_request.submitted",
    "access_request.approved",
    "access_request.reported",
    "oauth_client.wanted",
    "oauth_client.registration_intended",
    "oauth_client.registered",
    "oauth_client.update_intended",
    "oauth_client.updated",
    "oauth_client.activated",
    "entitlement.wanted",
    "client_scopes.noted",
    "delivery.queued",
    "delivery.sending_started",
    "delivery.sent",
];

/// Ends the process at once, as `kill -9` would, where `FAULT_ABORT_AT` names this point.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    debug_assert!(
        POINTS.contains(&name),
        "{name} is not in the list of points"
    );
    reach(|wanted| wanted == name);
}

/// As [`point`], where it is named together with the type of the event or the subject of the message: `name@of`.
#[cfg(debug_assertions)]
pub fn point_of(name: &str, of: &str) {
    reach(|wanted| wanted.split_once('@') == Some((name, of)));
}

#[cfg(debug_assertions)]
fn reach(is: impl Fn(&str) -> bool) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    };
    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static REACHED: AtomicU32 = AtomicU32::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("FAULT_ABORT_AT").ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), times.parse().unwrap_or(1)))
    });
    if let Some((point, times)) = wanted
        && is(point)
        && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *times
    {
        // No destructor, no flush: what is not committed is lost.
        std::process::abort();
    }
}

/// Nothing, in a release.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_name: &str) {}

/// Nothing, in a release.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point_of(_name: &str, _of: &str) {}

/// How far the clock is off, in seconds.
#[cfg(debug_assertions)]
pub fn clock_offset_seconds() -> i64 {
    static OFFSET: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *OFFSET.get_or_init(|| number("FAULT_CLOCK_OFFSET_SECONDS").unwrap_or(0))
}

/// Not at all, in a release.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn clock_offset_seconds() -> i64 {
    0
}

/// How long a lease lasts: as given, unless a test says otherwise.
#[cfg(debug_assertions)]
pub fn lease_time(given: Duration) -> Duration {
    static TIME: std::sync::OnceLock<Option<u64>> = std::sync::OnceLock::new();
    TIME.get_or_init(|| number("FAULT_LEASE_MS"))
        .map_or(given, Duration::from_millis)
}

/// As given, in a release.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn lease_time(given: Duration) -> Duration {
    given
}

#[cfg(debug_assertions)]
fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}
