//! The security log of accounts: one line and one event for each thing that matters to the safety of an account. Neither
//! holds a name, a mail address or a secret.
//!
//! Failed sign-ins and refusals of authority are counted and make one event for an account and minute, and tries at
//! accounts that do not exist make none, so that nobody can grow the log. What the log has anyway, such as tokens that were
//! made, is only a line here. The edge counts refusals and writes their lines, since it sees those of every service.

use std::{
    collections::HashMap,
    convert::Infallible,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::try_join_all;
use jiff::Timestamp;
use portico_eventstore::{Aggregate, Context, EventStore, ExecuteError, Metadata, trace};
use portico_runtime::{
    Clock, Deps, address,
    config::LogAddresses,
    metrics::{SignIn, instruments},
    security::line,
};
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// Failures within it make one event.
const MINUTE: Duration = Duration::from_mins(1);

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum SecurityEvent {
    /// A session began.
    SignedIn {
        /// Whose.
        account_id: Uuid,
        /// Vault reference of the network address, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address_ref: Option<VaultRef>,
    },
    /// Wrong passwords within a minute, as one process saw them.
    SignInFailed {
        /// Of the account that was tried.
        account_id: Uuid,
        /// When the minute began.
        minute: Timestamp,
        /// How many.
        count: u32,
    },
    /// So many passwords were wrong that no more are tried.
    SignInLocked {
        /// Of the account that was tried.
        account_id: Uuid,
        /// When they are tried again.
        until: Timestamp,
    },
    /// Asked for what they may not have, within a minute, as one edge saw it.
    Refused {
        /// Who asked.
        account_id: Uuid,
        /// When the minute began.
        minute: Timestamp,
        /// How often.
        count: u32,
    },
    /// A session was ended by whoever had it.
    SignedOut {
        /// Whose.
        account_id: Uuid,
    },
    /// An API token was used for the first time.
    ApiTokenFirstUsed {
        /// Whose.
        account_id: Uuid,
        /// As it was issued.
        token_id: Uuid,
    },
}

impl SecurityEvent {
    fn account_id(&self) -> Uuid {
        match self {
            Self::SignedIn { account_id, .. }
            | Self::SignInFailed { account_id, .. }
            | Self::SignInLocked { account_id, .. }
            | Self::Refused { account_id, .. }
            | Self::SignedOut { account_id }
            | Self::ApiTokenFirstUsed { account_id, .. } => *account_id,
        }
    }
}

/// Stream of one thing that happened. Each has its own, so that the log of an account need not be read to add to it.
#[derive(Debug, Clone, Default)]
pub struct Security {
    recorded: bool,
}

/// An event of the security log could not be stored.
pub(crate) type NotStored = ExecuteError<Infallible>;

impl Aggregate for Security {
    const CATEGORY: &'static str = "security";
    type Command = SecurityEvent;
    type Event = SecurityEvent;
    type Rejection = Infallible;

    fn decide(&self, command: &SecurityEvent) -> Result<Vec<SecurityEvent>, Infallible> {
        // A second time where two replicas saw it, or a try was repeated.
        Ok(match self.recorded {
            true => vec![],
            false => vec![command.clone()],
        })
    }

    fn evolve(&mut self, _: &SecurityEvent) {
        self.recorded = true;
    }
}

/// Writes the lines and the events. Cheap to clone; clones count failures together.
#[derive(Clone)]
pub(crate) struct SecurityLog {
    store: EventStore,
    clock: Clock,
    tasks: TaskTracker,
    process: Uuid,
    shown: LogAddresses,
    /// By account and the minute's number since 1970. Each costs a hash, so there are never many.
    failures: Arc<Mutex<HashMap<(Uuid, i64), u32>>>,
}

impl SecurityLog {
    pub(crate) fn new(deps: &Deps, store: EventStore) -> Self {
        Self {
            store,
            clock: deps.clock.clone(),
            tasks: deps.tasks.clone(),
            process: deps.process,
            shown: deps.config.log.addresses,
            failures: Arc::default(),
        }
    }

    pub(crate) async fn signed_in(
        &self,
        account_id: Uuid,
        address: &str,
        address_ref: Option<VaultRef>,
    ) {
        instruments().sign_in(SignIn::Done);
        self.line("signed_in", Some(account_id), address);
        let event = SecurityEvent::SignedIn {
            account_id,
            address_ref,
        };
        self.record(self.clock.new_id(), &event).await;
    }

    /// The password was wrong; `locked`: until when no more are tried, where this was the last one.
    pub(crate) fn failed(
        &self,
        account_id: Option<Uuid>,
        address: &str,
        locked: Option<Timestamp>,
    ) {
        let Some(account_id) = account_id else {
            instruments().sign_in(SignIn::UnknownAccount);
            self.line("sign_in_of_unknown_account", None, address);
            return;
        };
        instruments().sign_in(SignIn::WrongPassword);
        self.line("sign_in_failed", Some(account_id), address);
        let minute = minute_of(self.clock.now());
        *self.lock().entry((account_id, minute)).or_default() += 1;
        if let Some(until) = locked {
            self.line("sign_in_locked", Some(account_id), address);
            let event = SecurityEvent::SignInLocked { account_id, until };
            let log = self.clone();
            // Not waited for: the last guess at an account that there is would take longer than at one that there is not.
            self.tasks
                .spawn(async move { log.record(log.clock.new_id(), &event).await });
        }
    }

    /// It was not tried, because too many have failed.
    pub(crate) fn limited(&self, address: &str) {
        instruments().sign_in(SignIn::Limited);
        self.line("sign_in_refused", None, address);
    }

    pub(crate) async fn signed_out(&self, account_id: Uuid) {
        line("signed_out", Some(account_id), None, None);
        let event = SecurityEvent::SignedOut { account_id };
        self.record(self.clock.new_id(), &event).await;
    }

    pub(crate) async fn api_token_first_used(&self, account_id: Uuid, token_id: Uuid) {
        line(
            "api_token_first_used",
            Some(account_id),
            None,
            Some(&token_id),
        );
        let event = SecurityEvent::ApiTokenFirstUsed {
            account_id,
            token_id,
        };
        let stream = Uuid::new_v5(&token_id, b"first used");
        self.record(stream, &event).await;
    }

    /// What an edge has counted: account, minute, how often. A report that is repeated is recorded once.
    ///
    /// # Errors
    /// Something could not be stored: all of it may be reported again.
    pub(crate) async fn refused(
        &self,
        reporter: Uuid,
        counted: &[(Uuid, Timestamp, u32)],
    ) -> Result<(), NotStored> {
        let records = counted.iter().map(async |(account_id, minute, count)| {
            let (account_id, minute, count) = (*account_id, *minute, *count);
            let stream = Uuid::new_v5(
                &reporter,
                format!("refused {account_id} {minute}").as_bytes(),
            );
            let event = SecurityEvent::Refused {
                account_id,
                minute,
                count,
            };
            self.store(stream, &event).await
        });
        try_join_all(records).await.map(drop)
    }

    fn line(&self, what: &'static str, account_id: Option<Uuid>, address: &str) {
        let address = address::logged(address, self.shown);
        line(what, account_id, address.as_deref(), None);
    }

    /// Who signs in does not wait for a log that cannot be written: the line is there.
    async fn record(&self, stream: Uuid, event: &SecurityEvent) {
        if let Err(error) = self.store(stream, event).await {
            tracing::error!(%error, account = %event.account_id(), "an event of the security log was not stored");
        }
    }

    async fn store(&self, stream: Uuid, event: &SecurityEvent) -> Result<(), NotStored> {
        let command_id = Uuid::new_v5(&stream, b"record");
        let context = Context {
            metadata: Metadata {
                actor: event.account_id().to_string(),
                correlation: Some(trace::correlation().unwrap_or(command_id)),
                ..Metadata::default()
            },
            now: self.clock.now(),
            command_id,
        };
        let stored = self
            .store
            .execute::<Security>(stream, event, &context)
            .await;
        stored.map(drop)
    }

    /// Makes events of the failures of minutes that have ended, every minute, and of all at shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        while shutdown
            .run_until_cancelled(self.clock.sleep(MINUTE))
            .await
            .is_some()
        {
            self.store_failures(minute_of(self.clock.now())).await;
        }
        self.store_failures(i64::MAX).await;
    }

    async fn store_failures(&self, before: i64) {
        let ended: Vec<_> = {
            let mut failures = self.lock();
            let (ended, rest) = mem::take(&mut *failures)
                .into_iter()
                .partition(|((_, minute), _)| *minute < before);
            *failures = rest;
            HashMap::into_iter(ended).collect()
        };
        for ((account_id, minute), count) in ended {
            let stream = Uuid::new_v5(&self.process, format!("{account_id} {minute}").as_bytes());
            let minute = Timestamp::from_second(minute * 60).unwrap_or_default();
            let event = SecurityEvent::SignInFailed {
                account_id,
                minute,
                count,
            };
            self.record(stream, &event).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Uuid, i64), u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn minute_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(60)
}
