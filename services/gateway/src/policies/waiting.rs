//! Who goes on when something that was in the way is gone.

use portico_eventstore::consumer::PolicyError;
use portico_eventstore::{Context, EventStore};
use uuid::Uuid;

use crate::entitlement::{AccessCommand, Command, Entitlement, SCOPE_STILL_HELD};
use crate::item::Item;
use crate::views::{entitlements as view, held_scopes};

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
        end_pause(store, request, context).await?;
    }
    Ok(())
}

/// As [`wake`], of those who waited for scopes that nobody else may hold any more. It follows from the tables alone, so
/// it can be repeated, and those whose scopes are still held are left alone.
pub(crate) async fn wake_unblocked(
    store: &EventStore,
    identity_provider: Uuid,
    context: &Context,
) -> Result<(), PolicyError> {
    let pool = store.database().pool();
    let waiting = view::waiting(pool, identity_provider, SCOPE_STILL_HELD).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let holders = held_scopes::holders(pool).await?;
    for request in waiting {
        let entitlement = store.load::<Entitlement>(request).await?.state;
        let mut scopes = entitlement.items().iter().flat_map(Item::scopes);
        let held = scopes.any(|(scope, of)| {
            let holder = holders.get(&(identity_provider, scope.clone()));
            holder.is_some_and(|holder| holder.id != of.id)
        });
        if !held {
            end_pause(store, request, context).await?;
        }
    }
    Ok(())
}

async fn end_pause(
    store: &EventStore,
    request: Uuid,
    context: &Context,
) -> Result<(), PolicyError> {
    let context = context.step(&format!("wake {request}"));
    let command = Command::Access(AccessCommand::Wake);
    let woken = store.execute::<Entitlement>(request, &command, &context);
    woken.await.map(drop).map_err(PolicyError::from)
}
