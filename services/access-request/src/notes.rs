//! Notes and reasons that people write. They may hold personal data, so they are in the vault and events hold
//! references.

use portico_eventstore::{Context, ExecuteError};
use portico_proto::Error;
use portico_runtime::vault_error;
use portico_vault::{Owner, Secret, Vault, VaultError, VaultRef};
use uuid::Uuid;

/// Notes of access requests. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Notes(Vault);

/// To whom the notes of a request belong.
fn owner(request: Uuid) -> Owner {
    Owner::new("access_request", request)
}

impl Notes {
    pub(crate) fn new(vault: Vault) -> Self {
        Self(vault)
    }

    /// Keeps a text; nothing for an empty one. The reference comes from the call, so that a repeated call keeps it
    /// once.
    ///
    /// # Errors
    /// Conflict `idempotency_key_reused` where the same call came with another text; the vault failed.
    pub(crate) async fn keep(
        &self,
        request: Uuid,
        context: &Context,
        text: &str,
    ) -> Result<Option<VaultRef>, Error> {
        if text.is_empty() {
            return Ok(None);
        }
        let reference = VaultRef(Uuid::new_v5(&context.command_id, request.as_bytes()));
        self.0
            .put_at(reference, &owner(request), &Secret::new(text))
            .await
            .map_err(vault_error)?;
        Ok(Some(reference))
    }

    /// Drops the text of a command that was refused.
    pub(crate) async fn settle<T, R: std::error::Error>(
        &self,
        note: Option<VaultRef>,
        outcome: &Result<T, ExecuteError<R>>,
    ) {
        if outcome.as_ref().is_err_and(ExecuteError::is_refusal) {
            self.0.discard(note).await;
        }
    }

    /// Erases every text of a request.
    pub(crate) async fn erase(&self, request: Uuid) -> Result<(), VaultError> {
        self.0.erase(&owner(request)).await
    }

    /// Reads texts with few queries; what was erased is empty.
    pub(crate) async fn read(&self, wanted: &[(Uuid, VaultRef)]) -> Result<Vec<String>, Error> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(request, reference)| (owner(*request), *reference))
            .collect();
        let texts = self.0.get_many(&wanted).await.map_err(vault_error)?;
        Ok(texts
            .into_iter()
            .map(|text| text.map_or(String::new(), |text| text.expose().to_owned()))
            .collect())
    }
}
