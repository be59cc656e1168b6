//! Tokens and secrets on their way into the vault and out of it.

use portico_eventstore::{Context, ExecuteError};
use portico_proto::Error;
use portico_runtime::vault_error;
use portico_vault::{Owner, Secret, VaultRef};
use uuid::Uuid;

use crate::grpc::Grpc;
use crate::identity_provider::{IdentityProvider, ManagementRef, OWNER, Rejection, Settings};

use super::draft::Draft;

/// What a draft brought, in the vault before the command runs.
pub(super) struct Secrets {
    /// The initial access token, or the API token.
    pub(super) token: Option<VaultRef>,
    statement: Option<VaultRef>,
    management: Option<VaultRef>,
}

impl Secrets {
    /// References are derived from the command, so that a repetition finds them again.
    pub(super) async fn keep(
        grpc: &Grpc,
        id: Uuid,
        context: &Context,
        draft: &Draft,
    ) -> Result<Self, Error> {
        let put = async |what, secret| put(grpc, id, context, what, secret).await;
        Ok(Self {
            token: put("initial_access_token", draft.token.secret()).await?,
            statement: put("software_statement", draft.software_statement.secret()).await?,
            management: put("management_client_secret", draft.management_secret.as_ref()).await?,
        })
    }

    fn all(&self) -> [Option<VaultRef>; 3] {
        [self.token, self.statement, self.management]
    }

    /// Puts the references into the settings: the new ones, or those before.
    pub(super) fn refer(&self, settings: &mut Settings, draft: &Draft, before: Option<&Settings>) {
        let known = before.and_then(|before| before.management.as_ref());
        let client_secret = self.management.or(known.map(|known| known.client_secret));
        let managed = settings.management.take().zip(client_secret);
        settings.management = managed.map(|(entered, client_secret)| ManagementRef {
            client_secret,
            ..entered
        });
        let stored = before.and_then(|before| before.software_statement);
        settings.software_statement = draft.software_statement.or(self.statement, stored);
    }

    /// After a command: takes out of the vault what the provider does not refer to any more, also what a
    /// repeated command brought again.
    pub(super) async fn settle(
        &self,
        grpc: &Grpc,
        before: &IdentityProvider,
        after: &IdentityProvider,
    ) {
        let kept = references(after);
        let unused = |secret: Option<VaultRef>| secret.filter(|_| !kept.contains(&secret));
        let all = references(before).into_iter().chain(self.all());
        grpc.vault.discard(all.filter_map(unused)).await;
    }

    /// Takes out of the vault again what a refused command brought.
    pub(super) async fn forget_after(&self, grpc: &Grpc, error: &ExecuteError<Rejection>) {
        if error.is_refusal() {
            grpc.vault.discard(self.all().into_iter().flatten()).await;
        }
    }
}

async fn put(
    grpc: &Grpc,
    id: Uuid,
    context: &Context,
    what: &str,
    secret: Option<&Secret>,
) -> Result<Option<VaultRef>, Error> {
    let Some(secret) = secret else {
        return Ok(None);
    };
    let reference = VaultRef(context.step(&format!("{what}/{id}")).command_id);
    grpc.vault
        .put_at(reference, &Owner::new(OWNER, id), secret)
        .await
        .map_err(vault_error)?;
    Ok(Some(reference))
}

fn references(provider: &IdentityProvider) -> [Option<VaultRef>; 3] {
    let settings = provider.settings.as_ref();
    let management = settings.and_then(|settings| settings.management.as_ref());
    [
        provider.initial_access_token,
        settings.and_then(|settings| settings.software_statement),
        management.map(|management| management.client_secret),
    ]
}
