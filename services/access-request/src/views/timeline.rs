//! Every step of a request, in the order of time, whatever order the steps became known in.

use jiff::Timestamp;
use portico_eventstore::RecordedEvent;
use portico_proto::access::v1::TimelineStep as Step;
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

use crate::access_request::{
    AccessRequest, Credential, Event, Half, Outcome, Report, Wanted, access, credential, join,
    request,
};

/// A neighbour that is away for days would fill the timeline: only the latest delays are kept.
const DELAYS: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(with = "word")]
    pub(crate) step: Step,
    pub(crate) at: Timestamp,
    /// Whose log it comes from, and its position there, for steps of the same time.
    #[serde(default)]
    source: (Source, i64),
    pub(crate) by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
    /// What a person wrote about it; in the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<VaultRef>,
}

/// In the order of cause and effect: what people decide, what the halves report of it, what follows from both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    #[default]
    People,
    Registration,
    Gateway,
    Join,
}

impl From<Half> for Source {
    fn from(half: Half) -> Self {
        match half {
            Half::Registration => Self::Registration,
            Half::Gateway => Self::Gateway,
        }
    }
}

impl Source {
    fn service(self) -> &'static str {
        match self {
            Self::People | Self::Join => "service:access-request",
            Self::Registration => "service:registration",
            Self::Gateway => "service:gateway",
        }
    }
}

/// The entry of an event, with the request as it is after it; `None` where it is nobody's news.
pub(crate) fn entry(
    event: &Event,
    recorded: &RecordedEvent,
    request: &AccessRequest,
) -> Option<Entry> {
    match event {
        Event::Request(event) => {
            let (step, text) = of_request(event);
            Some(of_people(step, text, recorded))
        }
        Event::Access(event) => {
            let (step, text) = of_access(event)?;
            Some(of_people(step, text, recorded))
        }
        Event::Join(event) => of_join(event, request),
        Event::Credential(credential::Event::CredentialChanged(change)) => {
            Some(of_credential(change))
        }
    }
}

fn of_people(step: Step, text: Option<VaultRef>, recorded: &RecordedEvent) -> Entry {
    Entry {
        step,
        at: recorded.recorded_at,
        source: (Source::People, 0),
        by: recorded.metadata.actor.clone(),
        detail: String::new(),
        text,
    }
}

fn of_request(event: &request::Event) -> (Step, Option<VaultRef>) {
    match event {
        request::Event::Submitted(_) => (Step::Submitted, None),
        request::Event::Approved { note, .. } => (Step::Approved, *note),
        request::Event::Rejected { reason } => (Step::Rejected, Some(*reason)),
        request::Event::Withdrawn { reason } => (Step::Withdrawn, *reason),
    }
}

fn of_access(event: &access::Event) -> Option<(Step, Option<VaultRef>)> {
    Some(match event {
        access::Event::Suspended { reason } => (Step::Suspended, *reason),
        access::Event::Resumed => (Step::Resumed, None),
        access::Event::AccountSuspended => (Step::AccountSuspended, None),
        access::Event::AccountActivated => (Step::AccountActivated, None),
        access::Event::Revoked { reason } => (Step::Revoked, *reason),
        access::Event::Retried => (Step::Retried, None),
        // The developer sees what the halves make of it.
        access::Event::ScopesChanged { .. } => return None,
    })
}

fn of_join(event: &join::Event, request: &AccessRequest) -> Option<Entry> {
    let (step, at, detail) = match event {
        join::Event::Reported(report) => return of_report(report, request),
        join::Event::Activated(announced) => (Step::Provisioned, announced.at, ""),
        // The report that it follows from stands there already.
        join::Event::Failed(_) => return None,
        join::Event::Ended(announced) => {
            let detail = match request.submission.credential {
                Credential::OauthClient(_) if request.client_deleted() => "client_deleted",
                Credential::OauthClient(_) => "scopes_removed",
                Credential::ApiKey => "",
            };
            (Step::Deprovisioned, announced.at, detail)
        }
    };
    let source = Source::Join;
    Some(Entry {
        step,
        at,
        source: (source, 0),
        by: source.service().to_owned(),
        detail: detail.to_owned(),
        text: None,
    })
}

/// Depends on nothing that a later report or command changes, so that every order of arrival gives the same timeline.
pub(crate) fn of_report(report: &Report, request: &AccessRequest) -> Option<Entry> {
    let keys = request.submission.credential == Credential::ApiKey;
    let granted = request.wanted_at(report.revision) == Some(Wanted::Granted);
    let (step, detail) = match (&report.outcome, report.half) {
        (Outcome::Started, Half::Registration) => (Step::Registering, String::new()),
        (Outcome::Started, Half::Gateway) if keys => (Step::Registering, String::new()),
        (Outcome::Done { client_id, .. }, Half::Registration) if granted => {
            (Step::Registered, client_id.clone().unwrap_or_default())
        }
        (Outcome::Done { .. }, Half::Gateway) if granted && !keys => (Step::Mapped, String::new()),
        (Outcome::Delayed { reason, .. }, _) => (Step::Delayed, reason.clone()),
        (Outcome::Failed { code, reason }, _) => (Step::Failed, failure(code, reason)),
        (Outcome::Started | Outcome::Done { .. } | Outcome::NothingToDo, _) => return None,
    };
    let source = Source::from(report.half);
    Some(Entry {
        step,
        at: report.at,
        source: (source, report.position),
        by: source.service().to_owned(),
        detail,
        text: None,
    })
}

fn of_credential(change: &credential::Change) -> Entry {
    let source = Source::from(change.half);
    let by = match change.by.as_str() {
        "" => source.service(),
        by => by,
    };
    Entry {
        step: change.change.into(),
        at: change.at,
        source: (source, change.position),
        by: by.to_owned(),
        detail: change.detail.clone(),
        text: None,
    }
}

/// Steps are stored as words, which stay when the numbers of the contract do not.
mod word {
    use portico_proto::rest::Enumeration as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Step;

    pub(super) fn serialize<S: Serializer>(step: &Step, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(step.as_word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Step, D::Error> {
        let word = String::deserialize(from)?;
        Ok(Step::from_word(&word).unwrap_or_default())
    }
}

/// A failure in one line: its code and, where there are any, the neighbour's words.
pub(crate) fn failure(code: &str, reason: &str) -> String {
    match (code.is_empty(), reason.is_empty()) {
        (false, false) => format!("{code}: {reason}"),
        (false, true) => code.to_owned(),
        (true, _) => reason.to_owned(),
    }
}

/// Puts an entry in its place.
pub(crate) fn insert(entries: &mut Vec<Entry>, entry: Entry) {
    let place = |entry: &Entry| (entry.at, entry.source);
    let at = entries.partition_point(|e| place(e) <= place(&entry));
    let is_delay = |entry: &Entry| entry.step == Step::Delayed;
    let delayed = is_delay(&entry);
    entries.insert(at, entry);
    if delayed && entries.iter().filter(|e| is_delay(e)).count() > DELAYS {
        // The first one is the oldest, whatever order they came in.
        if let Some(oldest) = entries.iter().position(is_delay) {
            entries.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delayed(position: i64) -> Entry {
        let report = Report {
            half: Half::Registration,
            revision: 1,
            position,
            at: Timestamp::from_second(position).unwrap(),
            neighbour: None,
            outcome: Outcome::Delayed {
                reason: "503".into(),
                next_try_at: None,
            },
        };
        of_report(&report, &AccessRequest::default()).unwrap()
    }

    #[test]
    fn the_latest_delays_are_kept_in_order() {
        let mut entries = Vec::new();
        for position in (1..=15).chain((16..=30).rev()) {
            insert(&mut entries, delayed(position));
        }
        let positions: Vec<i64> = entries.iter().map(|e| e.source.1).collect();
        assert_eq!(positions, (11..=30).collect::<Vec<i64>>());
    }
}
