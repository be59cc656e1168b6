//! Gauges of the queue for `/metrics`.

use portico_eventstore::Database;
use portico_runtime::{
    Deps,
    metrics::{
        gauges::{self, Gauge},
        queue::Queue,
    },
};

static MAILS: Queue = Queue {
    length: Gauge {
        name: "portico_mail_queue",
        help: "Mails that are due now, wait for their next try, are being sent, or have failed.",
    },
    oldest: Gauge {
        name: "portico_mail_queue_oldest_age_seconds",
        help: "How long the mail that is due the longest has been so; 0 where there is none.",
    },
    states: &[
        (
            "due",
            "SELECT COUNT(*), MIN(due_ms) FROM deliveries WHERE status = 'queued' AND due_ms <= $1",
        ),
        (
            "waiting",
            "SELECT COUNT(*) FROM deliveries WHERE status = 'queued' AND due_ms > $1",
        ),
        (
            "sending",
            "SELECT COUNT(*) FROM deliveries WHERE status = 'sending' AND $1 > 0",
        ),
        (
            "failed",
            "SELECT COUNT(*) FROM deliveries WHERE status = 'failed' AND $1 > 0",
        ),
    ],
};

/// Registers these gauges.
pub(crate) fn observe(deps: &Deps, database: &Database) {
    let (clock, database) = (deps.clock.clone(), database.clone());
    gauges::register("notification", &[MAILS.length, MAILS.oldest], move || {
        let (now, database) = (clock.now(), database.clone());
        async move { MAILS.read(database.pool(), now).await }
    });
}
