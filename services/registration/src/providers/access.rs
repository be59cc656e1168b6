//! A provider with its tokens out of the vault, ready to be talked to.

use std::time::Duration;

use async_trait::async_trait;
use portico_eventstore::{Context, EventStore, ExecuteError};
use portico_runtime::{Deps, Outgoing, outgoing::Peer};
use portico_vault::{Owner, Secret, Vault, VaultError, VaultRef};
use uuid::Uuid;

use super::requirements::{self, MissingSetting};
use super::session::Fetch;
use super::{
    Driver, Management, Method, RawAnswer, Session, Site, Spool, SpoolError, driver_for, entry,
};
use crate::identity_provider::{Command, IdentityProvider, OWNER, Rejection, Settings};

/// Everything that a [`Session`] borrows. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Access {
    /// Id of the provider.
    pub id: Uuid,
    /// Stored settings of the provider.
    pub settings: Settings,
    /// Which initial access token or API token this is; goes into [`pause`].
    pub token: Option<VaultRef>,
    method: Method,
    secret: Option<Secret>,
    software_statement: Option<Secret>,
    management: Option<Management>,
    outgoing: Outgoing,
    /// The hard deadline of each single call to a provider.
    deadline: Duration,
}

/// Why a provider cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It was never there, or is deleted.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Takes a provider's tokens out of the vault. One that was replaced meanwhile is missing; the caller's next try
/// loads the new one.
///
/// # Errors
/// The provider is not there, or the vault failed.
pub async fn open(
    deps: &Deps,
    vault: &Vault,
    id: Uuid,
    provider: &IdentityProvider,
) -> Result<Access, AccessError> {
    let settings = provider.present()?.clone();
    let owner = Owner::new(OWNER, id);
    let secret = match &provider.initial_access_token {
        Some(token) => vault.get(&owner, token).await?,
        None => None,
    };
    let software_statement = match &settings.software_statement {
        Some(statement) => vault.get(&owner, statement).await?,
        None => None,
    };
    let management = match &settings.management {
        Some(stored) => vault
            .get(&owner, &stored.client_secret)
            .await?
            .map(|client_secret| Management {
                client_id: stored.client_id.clone(),
                client_secret,
            }),
        None => None,
    };
    let (kind, _) = entry(&settings.kind);
    Ok(Access {
        id,
        method: requirements::method(&settings, provider.initial_access_token.is_some()),
        settings,
        token: provider.initial_access_token,
        secret,
        software_statement,
        management,
        outgoing: deps.outgoing.to(Peer::Provider(kind)),
        deadline: deps.config.outgoing.timeout,
    })
}

/// Secrets that are in no vault yet.
#[derive(Debug)]
pub struct Unsaved {
    /// The initial access token, or the API token.
    pub token: Option<Secret>,
    /// Secret of the management client.
    pub management_secret: Option<Secret>,
    /// RFC 7591 section 2.3.
    pub software_statement: Option<Secret>,
}

/// For calls that bring nothing to keep.
#[derive(Debug, Clone, Copy)]
pub struct NoSpool;

#[async_trait]
impl Spool for NoSpool {
    async fn keep(&self, _answer: &RawAnswer) -> Result<(), SpoolError> {
        Err(SpoolError("nothing is kept of this call".into()))
    }
}

impl Access {
    /// To a provider that is not saved.
    #[must_use]
    pub fn unsaved(deps: &Deps, settings: Settings, secrets: Unsaved) -> Self {
        let management = settings.management.as_ref().zip(secrets.management_secret);
        Self {
            id: Uuid::nil(),
            method: requirements::method(&settings, secrets.token.is_some()),
            token: None,
            secret: secrets.token,
            software_statement: secrets.software_statement,
            management: management.map(|(stored, client_secret)| Management {
                client_id: stored.client_id.clone(),
                client_secret,
            }),
            outgoing: deps.outgoing.clone(),
            deadline: deps.config.outgoing.timeout,
            settings,
        }
    }

    /// The first setting that the provider's type needs and that is absent.
    #[must_use]
    pub fn missing(&self) -> Option<MissingSetting> {
        requirements::missing(&self.settings, self.secret.is_some())
    }

    /// The network as this provider's settings allow it.
    #[must_use]
    pub fn fetch(&self) -> Fetch<'_> {
        Fetch {
            outgoing: &self.outgoing,
            skip_tls_verify: self.settings.location.skip_tls_verify,
            trusted_certificates: &self.settings.location.trusted_certificates,
        }
    }

    /// As a driver needs to know it to say what it would send.
    #[must_use]
    pub fn site(&self) -> Site<'_> {
        Site::new(&self.settings, self.method)
    }

    /// For one piece of work; answers with credentials go to the spool.
    #[must_use]
    pub fn session<'a>(&'a self, spool: &'a dyn Spool) -> Session<'a> {
        Session {
            fetch: self.fetch(),
            endpoints: &self.settings.location.endpoints,
            method: self.method,
            options: &self.settings.options,
            token: self.secret.as_ref(),
            software_statement: self.software_statement.as_ref(),
            management: self.management.as_ref(),
            client_secrets: Vec::new(),
            spool,
            deadline: self.deadline,
        }
    }

    /// Driver for the provider's type.
    #[must_use]
    pub fn driver(&self) -> &'static dyn Driver {
        driver_for(&self.settings.kind)
    }
}

/// Pauses a provider that refused the token `refused` ([`Access::token`]). Nothing happens where it is paused
/// already or has got a new token meanwhile.
///
/// # Errors
/// The store failed.
pub async fn pause(
    store: &EventStore,
    id: Uuid,
    refused: Option<VaultRef>,
    reason: &str,
    context: &Context,
) -> Result<(), ExecuteError<Rejection>> {
    let command = Command::Pause {
        refused,
        reason: reason.to_owned(),
    };
    store
        .execute::<IdentityProvider>(id, &command, context)
        .await
        .map(|_| ())
}
