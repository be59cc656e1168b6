//! What the access-request, catalog and registration services say, and what comes of it here.
//!
//! Each fact is noted before anybody is told of it, and each new revision looks for what was noted before it came:
//! whichever of two messages comes first, their effect is the same.
//!
//! - `messages`: reading them; `scopes`: what OAuth clients hold
//! - [`waiting`]: who goes on when something that was in the way is gone

mod messages;
mod scopes;
pub(crate) mod waiting;

use std::collections::BTreeSet;

use async_trait::async_trait;
use portico_bus::{ConsumerSpec, Message};
use portico_eventstore::consumer::{Policy, PolicyError};
use portico_eventstore::{Aggregate, Context, EventStore, InboxEntry};
use portico_proto::registration::v1 as registration;
use uuid::Uuid;

use crate::entitlement::{
    AccessCommand, Command, Credential, Entitlement, IDENTITY_PROVIDER_UNKNOWN, Wanted,
};
use crate::item::CatalogueChange;
use crate::known::{Application, KnownApplication, KnownEntry, KnownProvider, ProviderCommand};
use crate::views::{entitlements as view, gateways};
use portico_runtime::messages::{decode, header, id};

pub(crate) const CONSUMER: ConsumerSpec = ConsumerSpec {
    name: "gateway",
    subjects: &[
        "portico.access.access_approved",
        "portico.access.access_retried",
        "portico.access.access_suspended",
        "portico.access.access_resumed",
        "portico.access.access_revoked",
        "portico.access.access_scopes_changed",
        APPLICATION_CHANGED,
        "portico.catalog.product_published",
        "portico.catalog.product_changed",
        "portico.catalog.product_deleted",
        "portico.catalog.plan_changed",
        CLIENT_SCOPES_HELD,
        PROVIDER_CHANGED,
        PROVIDER_DELETED,
        PROVIDER_KEYS_CHANGED,
    ],
};

const APPLICATION_CHANGED: &str = "portico.access.application_changed";
const CLIENT_SCOPES_HELD: &str = "portico.registration.client_scopes_held";
const PROVIDER_CHANGED: &str = "portico.registration.identity_provider_changed";
const PROVIDER_DELETED: &str = "portico.registration.identity_provider_deleted";
const PROVIDER_KEYS_CHANGED: &str = "portico.registration.identity_provider_keys_changed";

pub(crate) struct Policies {
    pub(crate) store: EventStore,
}

#[async_trait]
impl Policy for Policies {
    async fn handle(
        &self,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        match message.subject.as_str() {
            APPLICATION_CHANGED => {
                let (application, newest) = messages::application(message)?;
                self.when_application_changed(application, newest, context, entry)
                    .await
            }
            CLIENT_SCOPES_HELD => {
                self.when_client_scopes_held(
                    decode(message)?,
                    header(message, "position")?,
                    context,
                    entry,
                )
                .await
            }
            PROVIDER_CHANGED => {
                let (provider, newest) = messages::provider(message)?;
                let command = ProviderCommand::Note(newest);
                self.once::<KnownProvider>(provider, &command, context, entry)
                    .await?;
                waiting::wake(&self.store, provider, IDENTITY_PROVIDER_UNKNOWN, context).await
            }
            PROVIDER_DELETED => {
                let event: registration::IdentityProviderDeleted = decode(message)?;
                let provider = id("identity_provider_id", &event.identity_provider_id)?;
                self.once::<KnownProvider>(provider, &ProviderCommand::Delete, context, entry)
                    .await
            }
            PROVIDER_KEYS_CHANGED => {
                let event: registration::IdentityProviderKeysChanged = decode(message)?;
                let provider = id("identity_provider_id", &event.identity_provider_id)?;
                self.once::<KnownProvider>(provider, &ProviderCommand::ChangeKeys, context, entry)
                    .await
            }
            subject if subject.starts_with("portico.access.") => {
                let (request, wanted) = messages::wanted(message)?;
                self.when_access_wanted(request, wanted, context, entry)
                    .await
            }
            _ => match messages::catalogue_change(message)? {
                Some(change) => self.when_catalogue_changed(change, context, entry).await,
                None => Ok(()),
            },
        }
    }
}

impl Policies {
    async fn when_access_wanted(
        &self,
        request: Uuid,
        wanted: Wanted,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let there_is_one = gateways::is_any(self.store.database().pool()).await?;
        let want = match there_is_one {
            true => AccessCommand::Want,
            false => AccessCommand::WantWithoutGateway,
        };
        let command = Command::Access(want(Box::new(wanted.clone())));
        let now = self
            .store
            .execute_once::<Entitlement>(request, &command, context, entry)
            .await?
            .state;
        // What was noted before this request was known is newer than the message, or has no effect.
        let known = self.load::<KnownApplication>(wanted.application_id).await?;
        if let Some(newest) = known.newest {
            self.follow_application(request, Some(&now), newest, context)
                .await?;
        }
        let entries = wanted.items.iter();
        let entries = entries.flat_map(|item| [&item.product.id, &item.plan.id]);
        for entry in BTreeSet::<Uuid>::from_iter(entries.filter_map(|id| id.parse().ok())) {
            self.follow_newest(request, Some(&now), entry, context)
                .await?;
        }
        match wanted.credential {
            Credential::OauthClient {
                identity_provider_id,
            } => {
                self.free_scopes(wanted.application_id, identity_provider_id, context)
                    .await
            }
            Credential::ApiKey => Ok(()),
        }
    }

    async fn when_application_changed(
        &self,
        application: Uuid,
        newest: Application,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        self.once::<KnownApplication>(application, &newest, context, entry)
            .await?;
        let pool = self.store.database().pool();
        let listed = view::of_application(pool, application).await;
        for one in listed? {
            let now = Some(&one.entitlement);
            self.follow_application(one.request_id, now, newest.clone(), context)
                .await?;
        }
        Ok(())
    }

    async fn when_catalogue_changed(
        &self,
        change: CatalogueChange,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let subject = id("id", change.subject())?;
        self.once::<KnownEntry>(subject, &change, context, entry)
            .await?;
        let pool = self.store.database().pool();
        for request in view::of_catalogue(pool, subject).await? {
            self.follow_newest(request, None, subject, context).await?;
        }
        Ok(())
    }

    /// Idempotent: only what is newer has an effect.
    async fn follow_application(
        &self,
        request: Uuid,
        now: Option<&Entitlement>,
        newest: Application,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let label = format!("application as of {}", newest.as_of);
        let command = Command::Access(AccessCommand::ChangeApplication(newest));
        self.tell(request, now, command, &label, context)
            .await
            .map(drop)
    }

    /// Has a request follow the newest that is noted of a product or plan, and never the message at hand: an older one
    /// that comes late must not undo a newer one that left the request as it was. Where this one changed the request, a
    /// newer one that was noted meanwhile may have found it unchanged: so it is looked at again.
    async fn follow_newest(
        &self,
        request: Uuid,
        now: Option<&Entitlement>,
        subject: Uuid,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let mut changed = true;
        while changed {
            let Some(newest) = self.load::<KnownEntry>(subject).await?.newest else {
                return Ok(());
            };
            let label = format!("{subject} version {}", newest.version());
            let command = Command::Access(AccessCommand::FollowCatalogue(newest));
            changed = self.tell(request, now, command, &label, context).await?;
        }
        Ok(())
    }

    /// Whether it had an effect. `now`: the request as it was read a moment ago; what has no effect on it need not be
    /// tried, for whatever changes it looks for what is newer by itself.
    async fn tell(
        &self,
        request: Uuid,
        now: Option<&Entitlement>,
        command: Command,
        label: &str,
        context: &Context,
    ) -> Result<bool, PolicyError> {
        if now.is_some_and(|now| now.decide(&command).is_ok_and(|events| events.is_empty())) {
            return Ok(false);
        }
        let context = context.step(label);
        let told = self
            .store
            .execute::<Entitlement>(request, &command, &context);
        let outcome = told.await?;
        Ok(!outcome.events.is_empty())
    }

    async fn load<A: Aggregate>(&self, id: Uuid) -> Result<A, PolicyError> {
        Ok(self.store.load::<A>(id).await?.state)
    }

    async fn once<A: Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let done = self.store.execute_once::<A>(id, command, context, entry);
        done.await.map(drop).map_err(PolicyError::from)
    }
}
