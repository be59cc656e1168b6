//! Who goes on when something that was in the way is gone.

use portico_eventstore::consumer::PolicyError;
use portico_eventstore::{Context, EventStore};
use uuid::Uuid;

use crate::entitlement::{AccessCommand, Command, Entitlement};
use crate::views::entitlements as view;

/// Ends the pause of those at an identity provider whose last try failed with this code.
pub(crate) async fn wake(
    store: &EventStore,
    identity_provider: Uuid,
    code: &'static str,
    context: &Context,
) -> Result<(), PolicyError> {
    let pool = store.database().pool();
    let waiting = view::waiting(pool, identity_provider, code).await;
    for request in waiting? {
        let context = context.step(&format!("wake {request}"));
        let command = Command::Access(AccessCommand::Wake);
        let woken = store.execute::<Entitlement>(request, &command, &context);
        woken.await?;
    }
    Ok(())
}
