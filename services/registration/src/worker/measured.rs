//! What became of steps, for the log and `/metrics`.

use portico_runtime::metrics::instruments;
use uuid::Uuid;

use super::{Job, Worker};
use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{
    Command, DeletionCommand, FailureCommand, RegistrationCommand, RotationCommand, UpdateCommand,
};
use crate::providers::entry;

impl Worker {
    /// Logs and counts what was recorded, where it is an outcome.
    pub(super) async fn measure(&self, job: &Job, command: &Command) {
        let Some((step, outcome)) = outcome(command) else {
            return;
        };
        let provider = job.state.identity_provider_id;
        tracing::info!(
            oauth_client_id = %job.id, application_id = %job.state.application_id, identity_provider_id = %provider,
            step, outcome, "OAuth client: {step} {outcome}"
        );
        instruments().registration(self.provider_type(provider).await, step, outcome);
    }

    /// It never changes, so it is asked for once.
    async fn provider_type(&self, id: Uuid) -> &'static str {
        let known = self.provider_types().get(&id).copied();
        if let Some(known) = known {
            return known;
        }
        let loaded = self.store.load::<IdentityProvider>(id).await.ok();
        let kind = loaded.and_then(|loaded| Some(entry(&loaded.state.present().ok()?.kind).0));
        let Some(kind) = kind else {
            return "unknown";
        };
        self.provider_types().insert(id, kind);
        kind
    }
}

fn outcome(command: &Command) -> Option<(&'static str, &'static str)> {
    Some(match command {
        Command::Registration(RegistrationCommand::Complete(_)) => ("register", "succeeded"),
        Command::Registration(RegistrationCommand::Suspect { .. }) => ("register", "unknown"),
        Command::Update(UpdateCommand::Complete(_)) => ("update", "succeeded"),
        Command::Rotation(RotationCommand::Complete(_)) => ("rotate", "succeeded"),
        Command::Rotation(RotationCommand::Refuse(_)) => ("rotate", "failed"),
        Command::Deletion(DeletionCommand::Complete { .. }) => ("delete", "succeeded"),
        Command::Failure(FailureCommand::Delay { counted: true, .. }) => ("provider", "delayed"),
        Command::Failure(FailureCommand::Refuse { .. }) => ("provider", "failed"),
        Command::Failure(FailureCommand::Pause(_)) => ("provider", "paused"),
        _ => return None,
    })
}
