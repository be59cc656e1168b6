//! How a gateway is reached, and what is known of a provider.

use std::time::Duration;

use portico_runtime::Outgoing;
use portico_vault::Secret;
use url::Url;
use uuid::Uuid;

use super::super::{Mapper, MappingFailure};
use super::Work;
use crate::gateway::{Gateway, Settings};
use crate::gateways::{GatewaySession, driver_for};
use crate::known::KnownProvider;

/// The hard deadline of each single call.
const DEADLINE: Duration = Duration::from_secs(10);

impl Work<'_> {
    /// As it is known here.
    pub(super) async fn provider(&self, id: Uuid) -> Result<KnownProvider, MappingFailure> {
        Ok(self.mapper.store.load::<KnownProvider>(id).await?.state)
    }

    pub(super) fn session(&self) -> GatewaySession<'_> {
        self.access.session(&self.mapper.deps.outgoing)
    }

    pub(super) fn driver(&self) -> Result<&'static dyn crate::gateways::Gateway, MappingFailure> {
        self.access.driver()
    }
}

/// How a gateway is reached.
pub(in crate::worker::mapper) struct Access {
    pub(super) settings: Settings,
    secret: Secret,
    url: Url,
}

impl Access {
    pub(in crate::worker::mapper) fn session<'a>(
        &'a self,
        outgoing: &'a Outgoing,
    ) -> GatewaySession<'a> {
        GatewaySession {
            outgoing,
            url: &self.url,
            secret: &self.secret,
            org_id: &self.settings.org_id,
            default_policy_id: &self.settings.default_policy_id,
            deadline: DEADLINE,
        }
    }

    pub(in crate::worker::mapper) fn driver(
        &self,
    ) -> Result<&'static dyn crate::gateways::Gateway, MappingFailure> {
        driver_for(&self.settings.kind).ok_or_else(|| {
            let why = format!("No driver knows gateways of type {}.", self.settings.kind);
            MappingFailure::fail("gateway_type_unknown", why)
        })
    }

    pub(in crate::worker::mapper) async fn of(
        mapper: &Mapper,
        gateway: Uuid,
    ) -> Result<Self, MappingFailure> {
        let state = mapper.store.load::<Gateway>(gateway).await?.state;
        let Some(reference) = state.secret else {
            return Err(MappingFailure::fail(
                "gateway_not_found",
                "The gateway is not there any more.",
            ));
        };
        let owner = Gateway::vault_owner(gateway);
        let Some(secret) = mapper.vault.get(&owner, &reference).await? else {
            // Replaced at this moment.
            return Err(MappingFailure::retry(
                "gateway_secret_missing",
                "The gateway's secret is not there.",
            ));
        };
        let url = state.settings.url.parse().map_err(|_| {
            MappingFailure::fail("gateway_url_invalid", "The gateway's URL is not valid.")
        })?;
        Ok(Self {
            settings: state.settings,
            secret,
            url,
        })
    }
}
