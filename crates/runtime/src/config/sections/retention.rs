//! What is deleted because of its age.

use std::time::Duration;

use portico_eventstore::retention;

use super::super::reader::Reader;

/// A day longer than the bus keeps messages: a message may be under way when the bus deletes it.
const LEAST_BEYOND_BUS: Duration = Duration::from_hours(24);

/// How long what ends is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Messages that were handled or dropped, and how rows are deleted.
    pub store: retention::Retention,
    /// E-mails that were sent or given up, in the list of deliveries.
    pub deliveries: Duration,
}

impl Retention {
    pub(in crate::config) fn read(reader: &mut Reader, bus_max_age: Duration) -> Self {
        let store = retention::Retention {
            messages: reader.duration("retention.messages"),
            // Half of it: what is younger was not deleted because of its age.
            bus: bus_max_age / 2,
            every: reader.duration("retention.every"),
            rows: reader.number("retention.rows"),
            pause: reader.duration("retention.pause"),
        };
        if store.messages < bus_max_age + LEAST_BEYOND_BUS {
            let message = "must be at least a day longer than nats.max_age";
            reader.problem("retention.messages", message);
        }
        Self {
            store,
            deliveries: reader.duration("retention.deliveries"),
        }
    }
}
