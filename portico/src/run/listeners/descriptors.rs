//! File descriptors: every connection takes one, and a process without any left answers nobody.

use portico_eventstore::PoolSettings;
use portico_runtime::{Config, ServiceName};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::places;

/// A process that runs services and the edge: two of the edge, calls from other services, probes.
const LISTENERS: u64 = 4;
/// A SQLite connection: the database, its log, and the log's index.
const FILES: u64 = 3;
/// Neighbours at which something is done at the same time: identity providers, gateways, mail servers.
const NEIGHBOURS: u64 = 3;
/// The bus, calls to other services, two for each of their replicas, and what the runtime has itself.
const OTHERS: u64 = 100;

/// The connections that one listener can have. The first call raises the process's limit as far as it may be.
pub(super) fn connections(config: &Config) -> usize {
    let files = u64::from(PoolSettings::TO_A_FILE) * FILES;
    let stores =
        files.max(config.database_pool.max_connections.into()) * ServiceName::ALL.len() as u64;
    // Each may keep a connection for the next call.
    let outside = NEIGHBOURS * 2 * u64::from(config.work_at_once);
    share(raised(), stores + outside + OTHERS)
}

/// What is left for one listener of a limit; none is no limit.
fn share(limit: Option<u64>, others: u64) -> usize {
    let refused = places::APART as u64;
    let connections = limit.map_or(u64::MAX, |limit| limit.saturating_sub(others) / LISTENERS);
    usize::try_from(connections.saturating_sub(refused).max(1)).unwrap_or(usize::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_listeners_and_everything_else_fit_into_the_limit() {
        for (limit, others) in [(1024, 300), (4096, 500), (1 << 20, 500)] {
            let each = share(Some(limit), others) as u64 + places::APART as u64;
            assert!(each * LISTENERS + others <= limit, "{limit}");
            assert!((each + 1) * LISTENERS + others > limit, "{limit}");
        }
        assert_eq!(share(None, 500), usize::MAX - places::APART);
        assert_eq!(share(Some(64), 500), 1, "some connection, whatever comes");
    }
}
