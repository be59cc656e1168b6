//! Every step of a request, in the order of time, whatever order the steps became known in.

use jiff::Timestamp;
use portico_eventstore::RecordedEvent;
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

use crate::access_request::{Event, Fact, Report};

/// Who reports of the registration.
const REGISTRATION: &str = "service:registration";
/// A provider that is away for days would fill the timeline: only the latest delays are kept.
const DELAYS: usize = 20;
const DELAYED: &str = "delayed";
/// Detail of what was taken away while the client stays.
pub(crate) const SCOPES_REMOVED: &str = "scopes_removed";

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) step: String,
    pub(crate) at: Timestamp,
    /// Place in the reporting service's log; 0 for our own steps.
    #[serde(default)]
    order: i64,
    pub(crate) by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
    /// What a person wrote about it; in the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<VaultRef>,
}

/// The step that an event is.
pub(crate) fn step(event: &Event) -> &'static str {
    match event {
        Event::Submitted(_) => "submitted",
        Event::Approved { .. } => "approved",
        Event::Rejected { .. } => "rejected",
        Event::Withdrawn { .. } => "withdrawn",
        Event::Revoked { .. } => "revoked",
        Event::Retried => "retried",
        Event::Suspended { .. } => "suspended",
        Event::Resumed => "resumed",
        Event::Reported(report) => step_of(&report.fact),
    }
}

fn step_of(fact: &Fact) -> &'static str {
    match fact {
        Fact::Started => "registering",
        Fact::ClientRegistered { .. } => "registered",
        Fact::GatewayMapped => "mapped",
        Fact::Provisioned => "provisioned",
        Fact::Delayed { .. } => DELAYED,
        Fact::Failed { .. } => "failed",
        Fact::Deprovisioned { .. } => "deprovisioned",
        Fact::ClientChanged { change, .. } => change.as_str(),
    }
}

/// The entry of an event.
pub(crate) fn of_event(event: &Event, recorded: &RecordedEvent) -> Entry {
    let text = match event {
        Event::Reported(report) => return of_report(report),
        Event::Submitted(_) | Event::Retried | Event::Resumed => None,
        Event::Approved { note, .. } => *note,
        Event::Rejected { reason } => Some(*reason),
        Event::Withdrawn { reason } | Event::Revoked { reason } | Event::Suspended { reason } => {
            *reason
        }
    };
    Entry {
        step: step(event).to_owned(),
        at: recorded.recorded_at,
        order: 0,
        by: recorded.metadata.actor.clone(),
        detail: String::new(),
        text,
    }
}

/// The entry of a report.
pub(crate) fn of_report(report: &Report) -> Entry {
    let detail = match &report.fact {
        Fact::Started | Fact::GatewayMapped | Fact::Provisioned => String::new(),
        Fact::ClientRegistered { client_id } => client_id.clone(),
        Fact::Delayed { reason, .. } => reason.clone(),
        Fact::Failed { code, reason } => failure(code, reason),
        Fact::Deprovisioned { client_deleted } => {
            if *client_deleted {
                "client_deleted".to_owned()
            } else {
                SCOPES_REMOVED.to_owned()
            }
        }
        Fact::ClientChanged { detail, .. } => detail.clone(),
    };
    let by = match &report.fact {
        Fact::ClientChanged { by, .. } if !by.is_empty() => by.clone(),
        _ => REGISTRATION.to_owned(),
    };
    Entry {
        step: step_of(&report.fact).to_owned(),
        at: report.at,
        order: report.order,
        by,
        detail,
        text: None,
    }
}

/// A failure in one line: its code and, where there are any, the provider's words.
pub(crate) fn failure(code: &str, reason: &str) -> String {
    match (code.is_empty(), reason.is_empty()) {
        (false, false) => format!("{code}: {reason}"),
        (false, true) => code.to_owned(),
        (true, _) => reason.to_owned(),
    }
}

/// Puts an entry in its place.
pub(crate) fn insert(entries: &mut Vec<Entry>, entry: Entry) {
    let place = entries.partition_point(|e| (e.at, e.order) <= (entry.at, entry.order));
    let delayed = entry.step == DELAYED;
    entries.insert(place, entry);
    if delayed && entries.iter().filter(|e| e.step == DELAYED).count() > DELAYS {
        // The first one is the oldest, whatever came when.
        if let Some(oldest) = entries.iter().position(|e| e.step == DELAYED) {
            entries.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delayed(order: i64) -> Entry {
        of_report(&Report {
            order,
            at: Timestamp::from_second(order).unwrap(),
            fact: Fact::Delayed {
                reason: "503".into(),
                next_try_at: String::new(),
            },
        })
    }

    #[test]
    fn the_latest_delays_are_kept_in_order() {
        let mut entries = Vec::new();
        for order in (1..=15).chain((16..=30).rev()) {
            insert(&mut entries, delayed(order));
        }
        let orders: Vec<i64> = entries.iter().map(|e| e.order).collect();
        assert_eq!(orders, (11..=30).collect::<Vec<i64>>());
    }
}
