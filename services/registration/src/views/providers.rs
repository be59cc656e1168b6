//! Keeps the tables `identity_providers` and `client_types`, and the rules that hold between their streams.

use async_trait::async_trait;
use portico_eventstore::{Change, Projection, ProjectionError, Tx};

use super::{client_types, identity_providers};
use crate::client_type::ClientType;
use crate::identity_provider::IdentityProvider;

/// Rule: the names of providers differ in more than upper and lower case.
pub(crate) const NAME_TAKEN: &str = "name_taken";
/// Rule: a provider with client types is not deleted.
pub(crate) const PROVIDER_IN_USE: &str = "provider_in_use";
/// Rule: a client type belongs to a provider that is there.
pub(crate) const PROVIDER_NOT_FOUND: &str = "identity_provider_not_found";

pub(crate) struct Providers;

#[async_trait]
impl Projection for Providers {
    fn tables(&self) -> &'static [&'static str] {
        &["identity_providers", "client_types"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        for event in change.events {
            if let Some(change) = event.decode::<IdentityProvider>()? {
                identity_providers::apply(tx, event, &change).await?;
            } else if let Some(change) = event.decode::<ClientType>()? {
                client_types::apply(tx, event, &change).await?;
            }
        }
        Ok(())
    }
}
