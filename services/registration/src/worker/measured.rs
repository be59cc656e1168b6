//! What became of steps, for `/metrics`.

use portico_runtime::metrics::instruments;
use uuid::Uuid;

use super::Worker;
use crate::identity_provider;
use crate::oauth_client::{Command, Target};

impl Worker {
    /// Counts what was recorded, where it is an outcome.
    pub(super) async fn count(&self, provider: Uuid, command: &Command) {
        let Some((step, outcome)) = outcome(command) else {
            return;
        };
        instruments().registration(self.provider_type(provider).await, step, outcome);
    }

    /// It never changes, so it is asked for once.
    async fn provider_type(&self, id: Uuid) -> &'static str {
        let known = self.provider_types().get(&id).copied();
        if let Some(known) = known {
            return known;
        }
        let loaded = identity_provider::load(&self.store, id).await.ok();
        let kind = loaded.and_then(|loaded| {
            let settings = loaded.state.present().ok()?;
            Some(settings.kind.as_str())
        });
        let Some(kind) = kind else {
            return "unknown";
        };
        self.provider_types().insert(id, kind);
        kind
    }
}

fn outcome(command: &Command) -> Option<(&'static str, &'static str)> {
    Some(match command {
        Command::CompleteRegistration { .. } => ("register", "succeeded"),
        Command::CompleteUpdate { .. } => ("update", "succeeded"),
        Command::CompleteRotation { .. } => ("rotate", "succeeded"),
        Command::CompleteDelete { .. } => ("delete", "succeeded"),
        Command::CompleteMapping { .. } => ("map", "succeeded"),
        Command::RefuseRotation { .. } => ("rotate", "failed"),
        Command::RefuseMapping { .. } => ("map", "failed"),
        Command::Refuse { .. } => ("provider", "failed"),
        Command::SuspectOrphan { .. } => ("register", "unknown"),
        Command::Hold(_) => ("provider", "paused"),
        Command::Delay { target, .. } => match target {
            Target::Provider => ("provider", "delayed"),
            Target::Gateway => ("map", "delayed"),
        },
        _ => return None,
    })
}
