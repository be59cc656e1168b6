//! Keys of identity providers at gateways. A gateway keeps what it fetched for some minutes, in which it refuses every
//! token that a new key signed; so Portico looks at the keys of the providers whose tokens it has let through, and
//! makes the gateways fetch them anew when they have changed. Where keys moved to another address, the APIs follow.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portico_eventstore::Metadata;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::{Mapper, MappingFailure};
use crate::identity_provider::{self, Access};
use crate::views::gateways as view;

/// How often to look.
const PERIOD: Duration = Duration::from_secs(60);
/// How long a provider has to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// What was seen last, by provider: the address, and the keys there.
pub(super) type Seen = BTreeMap<Uuid, (String, BTreeSet<String>)>;

impl Mapper {
    /// Looks from time to time, until shutdown. What was is not kept: after a start, gateways have had the time to
    /// notice by themselves.
    pub(crate) async fn watch_keys(self) {
        let mut seen = Seen::new();
        let shutdown = self.deps.shutdown.clone();
        while !shutdown.is_cancelled() {
            self.look_at_keys(&mut seen).await;
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Fetches keys anew for every API that Portico maps at a gateway. `false`: it cannot be told to.
    ///
    /// # Errors
    /// The gateway is not there, or says no.
    pub(crate) async fn refresh_keys(&self, gateway: Uuid) -> Result<bool, MappingFailure> {
        let recorded = view::recorded(self.pool(), gateway).await?;
        let mapped = recorded
            .into_iter()
            .filter(|(_, recorded)| !recorded.owned.entries.is_empty());
        let apis: BTreeSet<String> = mapped.map(|(api, _)| api).collect();
        let reached = self.reach(gateway).await?;
        let flushed = reached.driver.flush_keys(&reached.session(), &apis).await?;
        Ok(flushed)
    }

    /// One look at all of them. What fails is tried again at the next one.
    pub(super) async fn look_at_keys(&self, seen: &mut Seen) {
        let used = match self.used_providers().await {
            Ok(used) => used,
            Err(failure) => {
                tracing::warn!(%failure, "the keys of identity providers are not looked at");
                return;
            }
        };
        for (provider, gateways) in used {
            let Some(now) = self.keys_of(provider).await else {
                continue;
            };
            let before = seen.get(&provider);
            let followed = match before {
                Some(before) if *before == now => continue,
                // A provider that moved while nobody looked is followed too; its keys are not old then.
                before => self.follow(&gateways, before.is_some()).await,
            };
            match followed {
                Ok(()) => drop(seen.insert(provider, now)),
                Err(failure) => tracing::warn!(%provider, %failure,
                    "a gateway does not know the new keys of an identity provider yet, trying again"),
            }
        }
    }

    async fn follow(&self, gateways: &BTreeSet<Uuid>, changed: bool) -> Result<(), MappingFailure> {
        for gateway in gateways {
            let context = self.by_itself();
            self.tidy_up(*gateway, &context).await?;
            if changed {
                self.refresh_keys(*gateway).await?;
                tracing::info!(%gateway, "keys of an identity provider have changed");
            }
        }
        Ok(())
    }

    fn by_itself(&self) -> portico_eventstore::Context {
        portico_eventstore::Context {
            metadata: Metadata {
                actor: "service:registration".to_owned(),
                ..Metadata::default()
            },
            now: self.deps.clock.now(),
            command_id: self.deps.clock.new_id(),
        }
    }

    /// Providers whose tokens are let through, and where.
    async fn used_providers(&self) -> Result<BTreeMap<Uuid, BTreeSet<Uuid>>, MappingFailure> {
        let mut used: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
        for gateway in self.places().await?.gateways {
            for recorded in view::recorded(self.pool(), gateway).await?.into_values() {
                if let Ok(provider) = recorded.identity_provider_id.parse()
                    && !recorded.owned.entries.is_empty()
                {
                    used.entry(provider).or_default().insert(gateway);
                }
            }
        }
        Ok(used)
    }

    /// The address and the keys; `None` where they cannot be read now.
    async fn keys_of(&self, provider: Uuid) -> Option<(String, BTreeSet<String>)> {
        let loaded = identity_provider::load(&self.store, provider).await.ok()?;
        let access =
            identity_provider::access(&self.deps, &self.vault, provider, &loaded.state).await;
        let access = access.ok()?;
        let url = access.settings.location.endpoints.jwks_uri.as_ref()?;
        let keys = fetch(&access, url).await;
        if keys.is_none() {
            tracing::warn!(%provider, "the keys of an identity provider cannot be read");
        }
        Some((url.to_string(), keys?))
    }
}

/// RFC 7517 section 5. A key is compared as a whole: its id may stay.
async fn fetch(access: &Access, url: &Url) -> Option<BTreeSet<String>> {
    let (status, body) = access.fetch().get(url, DEADLINE).await.ok()?;
    let document: Value = serde_json::from_slice(&body)
        .ok()
        .filter(|_| status == 200)?;
    let keys = document.get("keys")?.as_array()?;
    Some(keys.iter().map(Value::to_string).collect())
}
