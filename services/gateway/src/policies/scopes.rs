//! Which scopes OAuth clients may still hold, and who goes on when they hold one no longer.

use std::collections::BTreeSet;

use portico_eventstore::consumer::PolicyError;
use portico_eventstore::{Context, InboxEntry};
use portico_proto::registration::v1 as registration;
use uuid::Uuid;

use super::{Policies, waiting};
use crate::entitlement::{Command, ScopesCommand, WantedState};
use crate::known::{ClientScopes, KnownClient};
use crate::views::entitlements as view;
use portico_runtime::messages::id;

impl Policies {
    pub(super) async fn when_client_scopes_held(
        &self,
        held: registration::ClientScopesHeld,
        as_of: i64,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let application = id("application_id", &held.application_id)?;
        let provider = id("identity_provider_id", &held.identity_provider_id)?;
        let mut answered = Vec::new();
        for one in &held.answered {
            answered.push((id("request_id", &one.request_id)?, one.revision));
        }
        let newest = ClientScopes {
            scopes: held.scopes.into_iter().collect(),
            answered: answered.into_iter().collect(),
            as_of,
        };
        let client = ClientScopes::id(application, provider);
        self.once::<KnownClient>(client, &newest, context, entry)
            .await?;
        self.free_scopes(application, provider, context).await
    }

    /// Takes claims back that the client has no scope for any more, and lets those go on who waited for that. A scope
    /// that another request of the same application is granted is not held for the former product: it is that
    /// application's own by now.
    pub(super) async fn free_scopes(
        &self,
        application: Uuid,
        provider: Uuid,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let client = ClientScopes::id(application, provider);
        let Some(newest) = self.load::<KnownClient>(client).await?.newest else {
            return Ok(());
        };
        let pool = self.store.database().pool();
        let mut listed = view::of_application(pool, application).await?;
        listed.retain(|one| one.entitlement.identity_provider_id() == Some(provider));
        let granted = listed.iter().map(|one| &one.entitlement);
        let granted = granted.filter(|one| one.state() == Some(WantedState::Granted));
        let claims = granted.flat_map(|one| &one.claims);
        let own: BTreeSet<&String> = claims
            .filter(|claim| claim.unwanted_since.is_none())
            .map(|claim| &claim.of.scope)
            .collect();
        let held = newest.scopes.iter().filter(|scope| !own.contains(scope));
        let held: BTreeSet<String> = held.cloned().collect();
        for one in &listed {
            let Some(answered) = newest.answered.get(&one.request_id) else {
                continue;
            };
            let command = ScopesCommand::Free {
                answered: *answered,
                held: held.clone(),
            };
            let label = format!("scopes held as of {}", newest.as_of);
            let (command, now) = (Command::Scopes(command), Some(&one.entitlement));
            self.tell(one.request_id, now, command, &label, context)
                .await?;
        }
        // Also where nothing was left to free: a process may have died after it had freed everything.
        waiting::wake_unblocked(&self.store, provider, context).await
    }
}
