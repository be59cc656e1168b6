//! What is left of a person's applications once their account is erased.

use portico_eventstore::{Context, EventStore};
use portico_proto::Error;
use portico_runtime::query_error;
use uuid::Uuid;

use crate::{
    application::{Application, Command},
    profiles::Profiles,
    views::{applications, refused},
};

/// Erases what a person wrote of their applications; again changes nothing.
pub(crate) async fn erase(
    store: &EventStore,
    profiles: &Profiles,
    owner: Uuid,
    context: &Context,
) -> Result<(), Error> {
    let found = applications::of_owner(store.database().pool(), owner).await;
    for id in found.map_err(query_error)? {
        let step = context.step(&format!("erasure of {id}"));
        store
            .execute::<Application>(id, &Command::Erase, &step)
            .await
            .map_err(refused)?;
    }
    // Last: nothing is written under the owner after these events.
    profiles.erase(owner).await
}
