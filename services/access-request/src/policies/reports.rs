//! What registration and gateway report of access requests.

use jiff::Timestamp;
use portico_bus::Message;
use portico_eventstore::{Context, InboxEntry, consumer::PolicyError};
use portico_proto::{
    access::v1::{self as access, report::Outcome as Reported},
    gateway::v1::{self as gateway, api_key_changed::Change as KeyChange},
    registration::v1::{self as registration, client_changed::Change as ClientChange},
};
use portico_runtime::messages::{decode, header, id};
use uuid::Uuid;

use super::{Policies, poison};
use crate::access_request::{
    AccessRequest, Command, Half, Outcome, Report,
    credential::{Change, ChangeKind},
};

pub(super) fn of_registration(message: &Message) -> Result<(Uuid, Report), PolicyError> {
    let reported: registration::RegistrationReported = decode(message)?;
    let mut read = read(message, Half::Registration, reported.report)?;
    if let Outcome::Done {
        client_id,
        client_deleted,
    } = &mut read.1.outcome
    {
        *client_id = reported.client_id;
        *client_deleted = reported.client_deleted;
    }
    read.1.neighbour = Some(reported.identity_provider_name);
    Ok(read)
}

pub(super) fn of_gateway(message: &Message) -> Result<(Uuid, Report), PolicyError> {
    let reported: gateway::GatewayReported = decode(message)?;
    let mut read = read(message, Half::Gateway, reported.report)?;
    read.1.neighbour = reported.gateway_name;
    Ok(read)
}

fn read(
    message: &Message,
    half: Half,
    report: Option<access::Report>,
) -> Result<(Uuid, Report), PolicyError> {
    let report = report.ok_or_else(|| poison("the report is missing"))?;
    let given = report
        .outcome
        .ok_or_else(|| poison("the outcome is missing or unknown"))?;
    let read = Report {
        half,
        revision: report.revision,
        position: header(message, "position")?,
        at: header(message, "recorded-at")?,
        neighbour: None,
        outcome: outcome(given)?,
    };
    Ok((id("request_id", &report.request_id)?, read))
}

fn outcome(given: Reported) -> Result<Outcome, PolicyError> {
    Ok(match given {
        Reported::Started(_) => Outcome::Started,
        Reported::Done(_) => Outcome::Done {
            client_id: None,
            client_deleted: false,
        },
        Reported::NothingToDo(_) => Outcome::NothingToDo,
        Reported::Delayed(delayed) => Outcome::Delayed {
            reason: Some(delayed.reason)
                .filter(|reason| !reason.is_empty())
                .unwrap_or(delayed.code),
            next_try_at: delayed
                .next_try_at
                .map(|at| Timestamp::new(at.seconds, at.nanos))
                .transpose()
                .map_err(poison)?,
        },
        Reported::Failed(failed) => Outcome::Failed {
            code: failed.code,
            reason: failed.reason,
        },
    })
}

/// Which requests a change of a client is about: sorted and once each, so that a redelivery goes the same way.
pub(super) fn of_client(message: &Message) -> Result<(Vec<Uuid>, Change), PolicyError> {
    let changed: registration::ClientChanged = decode(message)?;
    let kind = match changed.change() {
        ClientChange::Suspended => ChangeKind::ClientSuspended,
        ClientChange::Resumed => ChangeKind::ClientResumed,
        ClientChange::Replaced => ChangeKind::ClientReplaced,
        ClientChange::Missing => ChangeKind::ClientMissing,
        ClientChange::Edited => ChangeKind::ClientEdited,
        ClientChange::Adopted => ChangeKind::ClientAdopted,
        ClientChange::SecretRotated => ChangeKind::SecretRotated,
        // A newer registration service's.
        ClientChange::Unspecified => ChangeKind::ClientChanged,
    };
    let requests: Result<std::collections::BTreeSet<Uuid>, _> = changed
        .request_ids
        .iter()
        .map(|request| id("request_ids", request))
        .collect();
    let change = Change {
        half: Half::Registration,
        position: header(message, "position")?,
        at: header(message, "recorded-at")?,
        change: kind,
        detail: changed.detail.unwrap_or_default(),
        by: changed.by,
    };
    Ok((requests?.into_iter().collect(), change))
}

pub(super) fn of_api_key(message: &Message) -> Result<(Uuid, Change), PolicyError> {
    let changed: gateway::ApiKeyChanged = decode(message)?;
    let kind = match changed.change() {
        KeyChange::Created => ChangeKind::KeyCreated,
        KeyChange::Replaced => ChangeKind::KeyReplaced,
        KeyChange::Revealed => ChangeKind::KeyRevealed,
        KeyChange::Deleted => ChangeKind::KeyDeleted,
        // A newer gateway service's.
        KeyChange::Unspecified => ChangeKind::ClientChanged,
    };
    let change = Change {
        half: Half::Gateway,
        position: header(message, "position")?,
        at: header(message, "recorded-at")?,
        change: kind,
        detail: changed.product_name,
        by: changed.by,
    };
    Ok((id("request_id", &changed.request_id)?, change))
}

impl Policies {
    /// Takes a report in, and in the same transaction what it decides.
    pub(super) async fn when_reported(
        &self,
        request: Uuid,
        report: Report,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        self.store
            .execute_once::<AccessRequest>(request, &Command::Join(report), context, entry)
            .await
            .map(drop)
            .map_err(PolicyError::from)
    }

    /// Puts a change of a client or key into the timelines of the requests that it serves.
    pub(super) async fn when_credential_changed(
        &self,
        requests: &[Uuid],
        change: &Change,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let command = Command::Credential(change.clone());
        // One message is marked in one append. The requests before the last one are safe without: their event
        // ids come from the message, so a redelivery appends nothing.
        let Some((last, before)) = requests.split_last() else {
            return Ok(());
        };
        for request in before {
            self.store
                .execute::<AccessRequest>(*request, &command, context)
                .await?;
        }
        self.store
            .execute_once::<AccessRequest>(*last, &command, context, entry)
            .await
            .map(drop)
            .map_err(PolicyError::from)
    }
}
