//! From the provider's answer to what is recorded of it: the secrets go into the vault.

use portico_runtime::config::Retry;
use portico_vault::{Changes, Owner, Secret, VaultRef};
use uuid::Uuid;

use super::failure::lacking;
use super::spool::AnswerSpool;
use super::usable::{EXPIRES, unusable};
use super::{Job, WorkError, Worker};
use crate::client_metadata::{Echo, Profile, WantedClient};
use crate::client_type::ClientType;
use crate::identity_provider::{IdentityProvider, Rejection, Status};
use crate::oauth_client::{
    Answered, ClientProfile, Command, Live, OWNER, OldSecret, OperationKind, Rotated,
    RotationCommand, Succeeded, UpdateCommand, Wanted,
};
use crate::providers::access::{self, Access, AccessError};
use crate::providers::{Driver, KnownClient, RegisteredClient, Step, driver_for, other::Other};

/// A provider, and whether it takes registrations.
pub(super) struct Provider {
    pub(super) access: Access,
    /// The provider's own message, where it takes none.
    pub(super) paused: Option<String>,
}

/// What the spool held of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovered {
    /// Nothing new.
    Nothing,
    /// A new registration access token.
    Token,
    /// An outcome, which was recorded, or is once the application's name can be had.
    Outcome,
}

impl Worker {
    /// The provider of a client. `None` where it is gone: that was recorded.
    pub(super) async fn provider(&self, job: &Job) -> Result<Option<Provider>, WorkError> {
        let id = job.state.identity_provider_id;
        let provider = self.store.recent::<IdentityProvider>(id).await?;
        let provider = &provider.state;
        let paused = match &provider.status {
            Status::Paused { reason } => Some(reason.clone()),
            _ => None,
        };
        match access::open(&self.deps, &self.vault, id, provider).await {
            Ok(access) => Ok(Some(Provider { access, paused })),
            Err(AccessError::Vault(error)) => Err(error.into()),
            Err(AccessError::Rejected(_)) => {
                let gone = lacking(
                    "identity_provider_not_found",
                    "the identity provider was deleted",
                );
                self.refuse(job, gone).await?;
                Ok(None)
            }
        }
    }

    /// The provider of a client as it is at this moment; the rejection where it is gone.
    pub(super) async fn access(&self, job: &Job) -> Result<Result<Access, Rejection>, WorkError> {
        let id = job.state.identity_provider_id;
        let provider = self.store.load::<IdentityProvider>(id).await?.state;
        match access::open(&self.deps, &self.vault, id, &provider).await {
            Ok(access) => Ok(Ok(access)),
            Err(AccessError::Rejected(rejection)) => Ok(Err(rejection)),
            Err(AccessError::Vault(error)) => Err(error.into()),
        }
    }

    /// What the client types make the client. `None` where one is gone: that was recorded.
    pub(super) async fn profile(
        &self,
        job: &Job,
        wanted: &Wanted,
        first: Uuid,
    ) -> Result<Option<ClientProfile>, WorkError> {
        let profile = self.profile_of(wanted, first).await?;
        if profile.is_none() {
            let gone = lacking("client_type_not_found", "the client type is not there");
            self.refuse(job, gone).await?;
        }
        Ok(profile)
    }

    /// `first` decides how the client authenticates. `None` where a client type is gone.
    pub(super) async fn profile_of(
        &self,
        wanted: &Wanted,
        first: Uuid,
    ) -> Result<Option<ClientProfile>, WorkError> {
        let mut profile = ClientProfile::default();
        let types = wanted.client_type_ids.iter().copied();
        for id in std::iter::once(first).chain(types) {
            let client_type = self.store.recent::<ClientType>(id).await?;
            let Some(definition) = client_type.state.definition.clone() else {
                return Ok(None);
            };
            profile.grant_types.extend(definition.grant_types);
            profile.response_types.extend(definition.response_types);
            if id == first {
                profile.token_endpoint_auth_method = definition.token_endpoint_auth_method;
                profile.okta_application_type = definition.okta_application_type;
            }
        }
        Ok(Some(profile))
    }

    /// A registered client with its secrets.
    pub(super) async fn known(&self, job: &Job, live: &Live) -> Result<KnownClient, WorkError> {
        let [client_secret, registration_access_token] = self.secrets(job, live).await?;
        Ok(KnownClient {
            client_id: live.answer.client_id.clone(),
            client_secret,
            registration_access_token,
            registration_client_uri: live.answer.registration_client_uri.clone(),
            granted: self
                .whole(job.state.application_id, &live.answer)
                .await?
                .0
                .granted,
            scopes: live.own_scopes(),
        })
    }

    /// Of the provider's type. A deleted provider's answers are read as those of any.
    async fn driver(&self, job: &Job) -> Result<&'static dyn Driver, WorkError> {
        let id = job.state.identity_provider_id;
        let provider = self.store.recent::<IdentityProvider>(id).await?;
        Ok(match &provider.state.settings {
            Some(settings) => driver_for(&settings.kind),
            None => &Other,
        })
    }

    /// What is recorded of an answer, and what changes in the vault by it. Nothing stored is lost where the answer brings
    /// none. `sent`: what was asked for; `None` where it was a secret and nothing else, so that nothing can differ.
    pub(super) async fn answered(
        &self,
        job: &Job,
        registered: RegisteredClient,
        before: &Before,
        sent: Option<&WantedClient>,
        changes: &mut Changes,
    ) -> Result<Answered, WorkError> {
        let [secret_ref, rat_ref] = kept(job.id, &registered, before, changes);
        let known = before.answer.as_ref();
        let says_expiry = registered.granted.members().contains_key(EXPIRES);
        let mut answer = Answered {
            client_id: registered.client_id,
            secret_ref,
            rat_ref,
            registration_client_uri: registered
                .registration_client_uri
                .or_else(|| known?.registration_client_uri.clone()),
            secret_expires_at: match known {
                Some(known) if !says_expiry => known.secret_expires_at,
                _ => registered.client_secret_expires_at,
            },
            granted: registered.granted,
            warnings: registered.warnings,
            ..Answered::default()
        };
        match sent {
            Some(sent) => {
                let driver = self.driver(job).await?;
                answer.differences = driver.differences(sent, &answer.granted);
                Self::keep_echo(job, sent, &mut answer, changes)?;
                changes.delete(known.and_then(|known| known.echo_ref));
            }
            None => as_before(known, &mut answer),
        }
        Ok(answer)
    }

    /// Before an operation goes on, and after it failed: records what the spool holds of it.
    pub(super) async fn recovered(
        &self,
        job: &Job,
        live: &Live,
        access: &Access,
    ) -> Result<Recovered, WorkError> {
        let Some(operation) = &live.operation else {
            return Ok(Recovered::Nothing);
        };
        let spool = AnswerSpool::new(&self.vault, job.id, operation.attempt);
        let endpoints = &access.settings.location.endpoints;
        let (mut outcome, mut token) = (None, None);
        for answer in spool.load().await? {
            let Ok(registered) = access.driver().parse(endpoints, &answer) else {
                continue;
            };
            if registered.client_id != live.answer.client_id {
                continue;
            }
            token = registered.registration_access_token.clone().or(token);
            let is_outcome = matches!(
                (&operation.kind, answer.step),
                // What is to be disabled after the update is done once more as a whole.
                (OperationKind::Update { wanted, .. }, Step::Update) if !wanted.suspended
            ) || matches!(
                (&operation.kind, answer.step),
                (OperationKind::Rotate { .. }, Step::Rotate)
            );
            if is_outcome {
                outcome = Some(registered);
            }
        }
        let known = self.secret(job.id, live.answer.rat_ref).await?;
        let (command, mut changes, recovered) = if let Some(mut registered) = outcome {
            registered.registration_access_token = token;
            let Some((command, changes)) = self.completed(job, live, registered).await? else {
                return Ok(Recovered::Outcome);
            };
            (command, changes, Recovered::Outcome)
        } else if let Some(token) = token.filter(|token| known.as_ref() != Some(token)) {
            let mut changes = Changes::default();
            let command = UpdateCommand::ReplaceToken {
                attempt: operation.attempt,
                rat_ref: changes.put(&owner(job.id), &token),
            };
            changes.delete(live.answer.rat_ref);
            (Command::Update(command), changes, Recovered::Token)
        } else {
            return Ok(Recovered::Nothing);
        };
        changes.delete(spool.kept());
        self.record_with(job, &command, changes).await?;
        Ok(recovered)
    }

    /// The outcome of an operation that succeeded, and what changes in the vault by it. `None` where access-request does not
    /// tell what was sent: the client waits for it, and the answer in the spool.
    pub(super) async fn completed(
        &self,
        job: &Job,
        live: &Live,
        registered: RegisteredClient,
    ) -> Result<Option<(Command, Changes)>, WorkError> {
        let (mut changes, now) = (Changes::default(), self.deps.clock.now());
        let operation = live.operation.as_ref();
        let attempt = operation.map_or(0, |operation| operation.attempt);
        let mut before = self.before(job, live).await?;
        let command = match operation.map(|operation| &operation.kind) {
            Some(OperationKind::Rotate { secret_ref }) => {
                if let Some(chosen) = self.secret(job.id, Some(*secret_ref)).await? {
                    before.secrets.push((*secret_ref, chosen));
                }
                let old_secret = registered.keeps_old_secret.then(|| {
                    let lifetime = self.deps.config.old_secret_lifetime;
                    OldSecret::until(Retry::after(now, lifetime))
                });
                let mut answer = self
                    .answered(job, registered, &before, None, &mut changes)
                    .await?;
                let sent = self.request_sent(job, live).await?;
                let sent = sent.filter(|_| !live.applied.suspended);
                // Whether it can get a token does not depend on names.
                let sent = sent.map(|sent| sent.named(&Profile::default()));
                answer.unusable = sent.and_then(|sent| unusable(&sent, &answer, now));
                Command::Rotation(RotationCommand::Complete(Rotated {
                    attempt,
                    answer: Box::new(answer),
                    old_secret,
                }))
            }
            Some(OperationKind::Update { wanted, client }) => {
                let Some(texts) = self.texts(job, client.profile).await? else {
                    return Ok(None);
                };
                let client = &client.named(&texts);
                let mut answer = self
                    .answered(job, registered, &before, Some(client), &mut changes)
                    .await?;
                // That nobody gets a token is what a suspension is for, and some providers do it by the grant types.
                if !wanted.suspended {
                    answer.unusable = unusable(client, &answer, now);
                }
                Command::Update(UpdateCommand::Complete(Succeeded { attempt, answer }))
            }
            Some(OperationKind::Delete) | None => {
                let why = "nothing was under way that could be completed";
                return Err(WorkError::Other(why.into()));
            }
        };
        Ok(Some((command, changes)))
    }

    async fn before(&self, job: &Job, live: &Live) -> Result<Before, WorkError> {
        let places = [live.answer.secret_ref, live.answer.rat_ref];
        let secrets = places.into_iter().zip(self.secrets(job, live).await?);
        Ok(Before {
            answer: Some(live.answer.clone()),
            secrets: secrets
                .filter_map(|(place, secret)| place.zip(secret))
                .collect(),
        })
    }

    /// A client's secret and its registration access token.
    async fn secrets(&self, job: &Job, live: &Live) -> Result<[Option<Secret>; 2], WorkError> {
        let places = [live.answer.secret_ref, live.answer.rat_ref].map(|place| {
            let place = place?;
            Some((owner(job.id), place))
        });
        let wanted: Vec<_> = places.into_iter().flatten().collect();
        let mut found = self.vault.get_many(&wanted).await?.into_iter();
        Ok(places.map(|place| place.and_then(|_| found.next().flatten())))
    }

    pub(super) async fn secret(
        &self,
        id: Uuid,
        reference: Option<VaultRef>,
    ) -> Result<Option<Secret>, WorkError> {
        match reference {
            Some(reference) => Ok(self.vault.get(&owner(id), &reference).await?),
            None => Ok(None),
        }
    }

    /// Erases every secret of a client that is gone.
    pub(super) async fn forget(&self, id: Uuid) -> Result<(), WorkError> {
        Ok(self.vault.erase(&owner(id)).await?)
    }
}

/// What was known before an answer.
#[derive(Default)]
pub(super) struct Before {
    /// None before the first answer.
    pub(super) answer: Option<Answered>,
    /// Secrets that are in the vault already.
    pub(super) secrets: Vec<(VaultRef, Secret)>,
}

impl Before {
    fn place_of(&self, secret: &Secret) -> Option<VaultRef> {
        let known = self.secrets.iter().find(|(_, known)| known == secret);
        known.map(|(reference, _)| *reference)
    }
}

/// Where a client's secret and its registration access token are after an answer: at their places where they are known,
/// otherwise at new ones. What they replace is deleted.
fn kept(
    id: Uuid,
    registered: &RegisteredClient,
    before: &Before,
    changes: &mut Changes,
) -> [Option<VaultRef>; 2] {
    let known = before.answer.as_ref();
    let mut keep = |secret: Option<&Secret>, known: Option<VaultRef>| match secret {
        Some(secret) => before
            .place_of(secret)
            .or_else(|| Some(changes.put(&owner(id), secret))),
        None => known,
    };
    let secret = registered.client_secret.as_ref();
    let token = registered.registration_access_token.as_ref();
    let places = [
        keep(secret, known.and_then(|known| known.secret_ref)),
        keep(token, known.and_then(|known| known.rat_ref)),
    ];
    let replaced = known.map_or([None; 2], |known| [known.secret_ref, known.rat_ref]);
    let replaced = replaced.into_iter().flatten();
    changes.delete(replaced.filter(|old| !places.contains(&Some(*old))));
    places
}

/// Nothing was asked for but a secret, so differences and echo are those of the answer before. What a provider repeats
/// beside the secret is personal all the same.
fn as_before(known: Option<&Answered>, answer: &mut Answered) {
    drop(Echo::taken_from(
        &WantedClient::default(),
        &mut answer.granted,
        &mut Vec::new(),
    ));
    if let Some(known) = known {
        answer.differences.clone_from(&known.differences);
        answer.echo_ref = known.echo_ref;
    }
}

/// Has a secret kept with what is recorded, where there is one.
pub(super) fn keep(
    owner: &Owner,
    secret: Option<&Secret>,
    changes: &mut Changes,
) -> Option<VaultRef> {
    secret.map(|secret| changes.put(owner, secret))
}

/// The vault owner of a client's secrets.
pub(super) fn owner(id: Uuid) -> Owner {
    Owner::new(OWNER, id)
}
