//! File descriptors: every connection takes one, and a process without any left answers nobody.

use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For stores, the bus, calls to the outside, and connections that are refused.
const OTHERS: u64 = 100;
/// A process has two listeners at most that many come to: those of the edge, or those of services.
const LISTENERS: u64 = 2;

/// The connections that one listener can have. The first call raises the process's limit as far as it may be.
pub(super) fn connections() -> usize {
    static CONNECTIONS: LazyLock<usize> = LazyLock::new(|| {
        let connections = raised().map_or(u64::MAX, |limit| limit / LISTENERS);
        usize::try_from(connections.saturating_sub(OTHERS).max(1)).unwrap_or(usize::MAX)
    });
    *CONNECTIONS
}

/// The limit as it is then; `None`: there is none.
fn raised() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // The lower one is for programs that cannot count beyond it.
    let wanted = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of file descriptors stays");
            current
        }
    }
}
