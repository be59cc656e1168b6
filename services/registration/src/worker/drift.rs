//! Compares a client with its provider: is it as Portico left it? Nothing is changed there; the repair is what the
//! worker does after it was recorded what was found.

use std::collections::BTreeSet;

use portico_eventstore::trace;
use portico_vault::Changes;
use tracing::Instrument as _;
use uuid::Uuid;

use super::answer::owner;
use super::spool::AnswerSpool;
use super::texts::unquoted;
use super::{Job, WorkError, Worker};
use crate::client_metadata::{ClientRequest, Difference, Metadata, SECRET_CHANGED, WantedClient};
use crate::oauth_client::{Answered, Command, DriftCommand, Live};
use crate::providers::{Access, Disposition, Failure, KnownClient};

/// A member that is not RFC 7591's: whether the client may have tokens at all. Drivers give it that can switch it.
const ENABLED: &str = "enabled";
/// Answers to a read are spooled under this, which no attempt has.
const READ: u32 = u32::MAX;

/// How a client at its provider compares with what Portico left there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DriftResult {
    /// It is as it was left.
    Unchanged,
    /// It is not there any more.
    Missing { client_id: String },
    /// Somebody else changed it.
    Changed {
        client_id: String,
        members: Vec<Edited>,
    },
    /// Nothing is registered, or it is being changed right now.
    Busy,
    /// It cannot be read, and why.
    NotReadable { client_id: String, reason: String },
}

/// A member of a client's metadata that somebody else changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edited {
    /// RFC 7591 section 2.
    pub(crate) member: String,
    /// As Portico left it.
    pub(crate) wanted: String,
    pub(crate) found: String,
    /// What is only added is not Portico's to take away.
    pub(crate) repairable: bool,
}

impl DriftResult {
    /// Names what was found, so that it is known again.
    pub(crate) fn digest(&self) -> String {
        let text = match self {
            Self::Unchanged | Self::Busy | Self::NotReadable { .. } => return String::new(),
            Self::Missing { client_id } => format!("missing {client_id}"),
            Self::Changed { client_id, members } => {
                let members = members
                    .iter()
                    .map(|one| format!("{}={}", one.member, one.found));
                format!(
                    "changed {client_id} {}",
                    members.collect::<Vec<_>>().join(" ")
                )
            }
        };
        Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes())
            .simple()
            .to_string()
    }

    /// Whether it is what a plan has shown.
    fn is(&self, plan: &str) -> bool {
        let digest = self.digest();
        !digest.is_empty() && plan.split('.').any(|shown| shown == digest)
    }
}

impl Worker {
    /// Compares a client. Changes nothing at the provider.
    pub(crate) async fn compare(&self, id: Uuid) -> Result<DriftResult, WorkError> {
        Ok(self.read_at_provider(id).await?.0)
    }

    /// Compares a client; gives its metadata too, where they could be read. Changes nothing at the provider.
    pub(crate) async fn read_at_provider(
        &self,
        id: Uuid,
    ) -> Result<(DriftResult, Option<Metadata>), WorkError> {
        let work = async move |worker: Self| worker.compare_alone(id).await;
        let compared = self.alone_with(id, work).await?;
        Ok(compared.unwrap_or((DriftResult::Busy, None)))
    }

    /// A new registration access token in place of one that got lost. Gives why there is none.
    pub(crate) async fn reissue(&self, id: Uuid) -> Result<Result<(), Failure>, WorkError> {
        let work = async move |worker: Self| {
            let job = worker.jobs.load(id).await?;
            let Some(live) = job.state.live().filter(|live| live.operation.is_none()) else {
                return Ok(Err(under_way()));
            };
            let Some(provider) = worker.provider(&job).await? else {
                return Ok(Err(under_way()));
            };
            let mut known = worker.known(&job, live).await?;
            let spool = AnswerSpool::new(&worker.vault, id, READ);
            let session = provider.access.session(&spool).about(&known);
            let reissued = provider.access.driver().reissue(&session, &known).await;
            worker
                .keep_token(&job, live, &provider.access, &mut known)
                .await?;
            Ok(reissued.map(drop))
        };
        Ok(self
            .alone_with(id, work)
            .await?
            .unwrap_or_else(|| Err(under_way())))
    }

    /// Compares a client, and has the worker repair what is found; where `only` is given, only if it is that. Gives
    /// what was found.
    pub(crate) async fn repair(
        &self,
        id: Uuid,
        only: Option<&str>,
    ) -> Result<DriftResult, WorkError> {
        let only = only.map(str::to_owned);
        let work = async move |worker: Self| {
            let (result, _) = worker.compare_alone(id).await?;
            if only.is_none_or(|only| result.is(&only)) {
                worker.record_drift(id, &result).await?;
            }
            Ok(result)
        };
        Ok(self
            .alone_with(id, work)
            .await?
            .unwrap_or(DriftResult::Busy))
    }

    /// Nobody else works on it meanwhile, for a read may replace the registration access token; and it goes on where
    /// nobody waits for it any more, or that token would get lost with the answer. `None` where somebody else does.
    pub(super) async fn alone_with<T, F>(
        &self,
        id: Uuid,
        work: impl FnOnce(Self) -> F,
    ) -> Result<Option<T>, WorkError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, WorkError>> + Send + 'static,
    {
        let Some(mark) = self.jobs.begin(id) else {
            return Ok(None);
        };
        let (worker, work) = (self.clone(), work(self.clone()));
        let alone = async move {
            let done = worker.jobs.alone(id, work).await;
            drop(mark);
            done
        };
        let alone = alone.in_current_span();
        let task = match trace::correlation() {
            Some(request_id) => self.deps.tasks.spawn(trace::correlated(request_id, alone)),
            None => self.deps.tasks.spawn(alone),
        };
        task.await
            .unwrap_or_else(|error| Err(WorkError::Other(error.to_string())))
    }

    async fn compare_alone(&self, id: Uuid) -> Result<(DriftResult, Option<Metadata>), WorkError> {
        let job = self.jobs.load(id).await?;
        let Some(live) = job.state.live().filter(|live| live.operation.is_none()) else {
            return Ok((DriftResult::Busy, None));
        };
        if job.state.wanted().is_none() || live.drifted {
            return Ok((DriftResult::Busy, None));
        }
        let client_id = live.answer.client_id.clone();
        let not_readable = |reason: &str| {
            let result = DriftResult::NotReadable {
                client_id: client_id.clone(),
                reason: reason.to_owned(),
            };
            (result, None)
        };
        let Ok(access) = self.access(&job).await? else {
            return Ok(not_readable("the identity provider was deleted"));
        };
        let Some(sent) = self.sent(&job, live).await? else {
            return Ok(not_readable("its client type was deleted"));
        };
        let mut known = self.known(&job, live).await?;
        // Of a read that was broken off.
        self.keep_token(&job, live, &access, &mut known).await?;
        let spool = AnswerSpool::new(&self.vault, job.id, READ);
        let session = access.session(&spool).about(&known);
        if !access.driver().can_manage(&session, &known) {
            return Ok(not_readable("nothing at hand allows to read it"));
        }
        let read = access.driver().read(&session, &known).await;
        self.keep_token(&job, live, &access, &mut known).await?;
        Ok(match read {
            Ok(found) => {
                let differences = access.driver().differences(&sent, &found.granted);
                let (before, _) = self.whole(job.state.application_id, &live.answer).await?;
                let members = edited(live, &before, &sent, differences, &found.granted);
                let result = match members.is_empty() {
                    true => DriftResult::Unchanged,
                    false => DriftResult::Changed { client_id, members },
                };
                (result, Some(found.granted))
            }
            Err(failure) if failure.disposition == Disposition::Gone => {
                (DriftResult::Missing { client_id }, None)
            }
            Err(failure) => not_readable(&unquoted(failure, &known, Some(&sent)).description),
        })
    }

    /// What Portico made it. `None` where a client type is gone.
    pub(super) async fn sent(
        &self,
        job: &Job,
        live: &Live,
    ) -> Result<Option<WantedClient>, WorkError> {
        let Some(sent) = self.request_sent(job, live).await? else {
            return Ok(None);
        };
        let texts = self.texts_of(job.state.application_id, sent.profile).await;
        let texts = texts.map_err(|error| WorkError::Other(error.to_string()))?;
        Ok(Some(sent.named(&texts)))
    }

    /// As [`Worker::sent`], less what people wrote.
    pub(super) async fn request_sent(
        &self,
        job: &Job,
        live: &Live,
    ) -> Result<Option<ClientRequest>, WorkError> {
        let wanted = &live.applied;
        let profile = self.profile_of(wanted, live.client_type_id).await?;
        Ok(profile.map(|profile| job.state.sent(wanted, &profile, job.state.attempt)))
    }

    /// A provider may give a new registration access token with every answer; the old one is void then.
    async fn keep_token(
        &self,
        job: &Job,
        live: &Live,
        access: &Access,
        known: &mut KnownClient,
    ) -> Result<(), WorkError> {
        let spool = AnswerSpool::new(&self.vault, job.id, READ);
        let endpoints = &access.settings.location.endpoints;
        let mut token = None;
        for answer in spool.load().await? {
            if let Ok(read) = access.driver().parse(endpoints, &answer)
                && read.client_id == live.answer.client_id
            {
                token = read.registration_access_token.or(token);
            }
        }
        if let Some(token) =
            token.filter(|new| known.registration_access_token.as_ref() != Some(new))
        {
            let mut changes = Changes::default();
            let rat_ref = changes.put(&owner(job.id), &token);
            changes.delete(live.answer.rat_ref);
            let command = Command::Drift(DriftCommand::KeepToken {
                client_id: live.answer.client_id.clone(),
                rat_ref,
            });
            self.record_with(job, &command, changes).await?;
            known.registration_access_token = Some(token);
        }
        Ok(spool.clear().await?)
    }

    async fn record_drift(&self, id: Uuid, result: &DriftResult) -> Result<(), WorkError> {
        let job = self.jobs.load(id).await?;
        let Some(live) = job.state.live() else {
            return Ok(());
        };
        match result {
            DriftResult::Missing { client_id } => {
                let command = Command::Drift(DriftCommand::Missing {
                    client_id: client_id.clone(),
                });
                if self.record(&job, &command).await?.is_some() {
                    // Not all of the client's: new ones may be on their way already.
                    for old in [live.answer.secret_ref, live.answer.rat_ref]
                        .into_iter()
                        .flatten()
                    {
                        self.vault.delete(&old).await?;
                    }
                }
            }
            DriftResult::Changed { client_id, members } => {
                let members: Vec<String> = members
                    .iter()
                    .filter(|one| one.repairable)
                    .map(|one| one.member.clone())
                    .collect();
                if !members.is_empty() {
                    let client_id = client_id.clone();
                    let command = DriftCommand::Changed { client_id, members };
                    self.record(&job, &Command::Drift(command)).await?;
                }
            }
            DriftResult::Unchanged | DriftResult::Busy | DriftResult::NotReadable { .. } => {}
        }
        Ok(())
    }
}

/// Members changed since our last write. What the provider granted differently from the start is no drift.
fn edited(
    live: &Live,
    before: &Answered,
    sent: &WantedClient,
    differences: Vec<Difference>,
    found: &Metadata,
) -> Vec<Edited> {
    let mut edited: Vec<Edited> = differences
        .into_iter()
        .filter(|one| one.member != "client_secret_expires_at")
        .filter(|one| {
            let mut known = before.differences.iter();
            !known.any(|known| known.member == one.member && known.granted == one.granted)
        })
        .map(|one| {
            let added = one.member == "scope" && only_added(&sent.scopes, found);
            Edited {
                member: one.member,
                wanted: one.asked,
                found: one.granted,
                repairable: !added,
            }
        })
        .collect();
    // Some providers keep the marker in the name, so what counts is what they said before.
    let name = |metadata: &Metadata| metadata.text("client_name").map(str::to_owned);
    if let (Some(before), Some(now)) = (name(&before.granted), name(found))
        && before != now
        && now != sent.client_name()
    {
        edited.push(Edited {
            member: "client_name".to_owned(),
            wanted: before,
            found: now,
            repairable: true,
        });
    }
    edited.extend(switched(live, found));
    edited.extend(reissued(found));
    edited
}

/// Somebody has disabled the client, or enabled it again although it is suspended.
fn switched(live: &Live, found: &Metadata) -> Option<Edited> {
    let enabled = found.members().get(ENABLED)?.as_bool()?;
    let suspended = live.applied.suspended;
    (enabled == suspended).then(|| Edited {
        member: ENABLED.to_owned(),
        wanted: (!suspended).to_string(),
        found: enabled.to_string(),
        repairable: true,
    })
}

/// Somebody has given the client another secret, of which its developer knows nothing.
fn reissued(found: &Metadata) -> Option<Edited> {
    let changed = found.members().get(SECRET_CHANGED)?.as_bool()?;
    changed.then(|| Edited {
        member: "client_secret".to_owned(),
        wanted: "the one that its developer has".to_owned(),
        found: "another".to_owned(),
        repairable: true,
    })
}

fn under_way() -> Failure {
    Failure::new(
        Disposition::Retry,
        "client_busy",
        "nothing is registered, or it is being changed right now",
    )
}

fn only_added(wanted: &BTreeSet<String>, found: &Metadata) -> bool {
    found.scopes().is_some_and(|found| wanted.is_subset(&found))
}
