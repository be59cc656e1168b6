//! Points at which a fault test ends the process. Only in builds with debug assertions; nothing in a release.

/// Ends the process at once, as `kill -9` would, where `FAULT_ABORT_AT` names this point. `FAULT_ABORT_AT` may
/// be `point` or `point:n` for the n-th time that it is reached.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
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
        && point == name
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
