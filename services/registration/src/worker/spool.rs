//! Answers of identity providers, kept encrypted and durable before anything of them is understood, so that a
//! process that dies loses none.
//!
//! Where an answer is follows from the client and the attempt. It goes when its outcome is recorded.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use portico_runtime::fault;
use portico_vault::{Changes, Owner, Vault, VaultError, VaultRef};
use uuid::Uuid;

use crate::oauth_client::OWNER;
use crate::providers::{RawAnswer, Spool, SpoolError};

/// The answers of one attempt.
pub(crate) struct AnswerSpool {
    vault: Vault,
    client: Uuid,
    attempt: u32,
    next: AtomicU32,
}

impl AnswerSpool {
    /// The spool of an attempt of an OAuth client.
    pub(crate) fn new(vault: &Vault, client: Uuid, attempt: u32) -> Self {
        Self {
            vault: vault.clone(),
            client,
            attempt,
            next: AtomicU32::new(0),
        }
    }

    /// All answers that were kept, in the order in which they came.
    pub(crate) async fn load(&self) -> Result<Vec<RawAnswer>, VaultError> {
        let mut answers = Vec::new();
        for index in 0.. {
            let Some(kept) = self.vault.get(&self.owner(), &self.at(index)).await? else {
                break;
            };
            self.next.fetch_max(index + 1, Ordering::Relaxed);
            match RawAnswer::from_secret(&kept) {
                Ok(answer) => answers.push(answer),
                // Written by another version, perhaps; the attempt is reconciled without it.
                Err(_) => {
                    tracing::error!(oauth_client_id = %self.client, attempt = self.attempt, index,
                    "a kept answer cannot be read")
                }
            }
        }
        Ok(answers)
    }

    /// Where the answers are that were kept or loaded: to be deleted with the record of the outcome.
    pub(crate) fn kept(&self) -> impl Iterator<Item = VaultRef> {
        (0..self.next.load(Ordering::Relaxed)).map(|index| self.at(index))
    }

    /// Deletes what was kept, also by an earlier process.
    pub(crate) async fn clear(&self) -> Result<(), VaultError> {
        if self.next.load(Ordering::Relaxed) == 0 {
            self.load().await?;
        }
        let mut deleted = Changes::default();
        deleted.delete(self.kept());
        self.vault.change(&deleted).await
    }

    fn owner(&self) -> Owner {
        Owner::new(OWNER, self.client)
    }

    fn at(&self, index: u32) -> VaultRef {
        let name = format!("answer/{}/{index}", self.attempt);
        VaultRef(Uuid::new_v5(&self.client, name.as_bytes()))
    }
}

#[async_trait]
impl Spool for AnswerSpool {
    async fn keep(&self, answer: &RawAnswer) -> Result<(), SpoolError> {
        let failed = |error: &dyn std::fmt::Display| SpoolError(error.to_string());
        fault::point("answer_unspooled");
        let secret = answer.to_secret().map_err(|error| failed(&error))?;
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            match self
                .vault
                .put_at(self.at(index), &self.owner(), &secret)
                .await
            {
                Ok(()) => break,
                // An earlier try of this attempt kept an answer there.
                Err(VaultError::Taken) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        fault::point("answer_received");
        Ok(())
    }
}
