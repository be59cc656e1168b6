//! What the access-request and catalog services say, and what comes of it here.

use std::collections::BTreeSet;

use async_trait::async_trait;
use portico_bus::{ConsumerSpec, Message};
use portico_eventstore::consumer::{Policy, PolicyError};
use portico_eventstore::{Aggregate, Context, EventStore, ExecuteError, InboxEntry, sqlx};
use portico_proto::access::v1 as access;
use portico_proto::catalog::v1 as catalog;
use portico_proto::registration::v1 as registration;
use uuid::Uuid;

use crate::application::{self, KnownApplication};
use crate::catalogue::{KnownEntry, Note};
use crate::granted::{Application, CatalogueChange};
use crate::oauth_client::{Command, OauthClient};
use crate::views::oauth_clients as view;
use messages::{decode, granted, id, position};

mod keys;
mod messages;

const APPROVED: &str = "portico.access.access_approved";
const REVOKED: &str = "portico.access.access_revoked";
const RETRIED: &str = "portico.access.access_retried";
const SUSPENDED: &str = "portico.access.access_suspended";
const RESUMED: &str = "portico.access.access_resumed";
/// Our own: so that every client follows, also where the process ends meanwhile.
const CLIENT_TYPE_CHANGED: &str = "portico.registration.client_type_changed";
const APPLICATION_CHANGED: &str = "portico.access.application_changed";
const PRODUCT_PUBLISHED: &str = "portico.catalog.product_published";
const PRODUCT_CHANGED: &str = "portico.catalog.product_changed";
const PRODUCT_DELETED: &str = "portico.catalog.product_deleted";
const PLAN_CHANGED: &str = "portico.catalog.plan_changed";

/// What this service consumes.
pub(crate) const CONSUMER: ConsumerSpec = ConsumerSpec {
    name: "registration",
    subjects: &[
        APPROVED,
        REVOKED,
        RETRIED,
        SUSPENDED,
        RESUMED,
        APPLICATION_CHANGED,
        CLIENT_TYPE_CHANGED,
        PRODUCT_PUBLISHED,
        PRODUCT_CHANGED,
        PRODUCT_DELETED,
        PLAN_CHANGED,
    ],
};

/// The policies.
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
            APPROVED => {
                let approved: access::AccessApproved = decode(message)?;
                if approved.identity_provider_id.is_empty() {
                    return self
                        .when_keys_approved(approved, position(message), context, entry)
                        .await;
                }
                self.when_access_approved(approved, position(message), context, entry)
                    .await
            }
            REVOKED => {
                let revoked: access::AccessRevoked = decode(message)?;
                if revoked.identity_provider_id.is_empty() {
                    return self.when_keys_revoked(&revoked, context, entry).await;
                }
                self.when_access_revoked(revoked, context, entry).await
            }
            RETRIED => {
                let retried: access::AccessRetried = decode(message)?;
                if retried.identity_provider_id.is_empty() {
                    return self.when_keys_retried(&retried, context, entry).await;
                }
                self.when_access_retried(retried, context, entry).await
            }
            APPLICATION_CHANGED => {
                let changed = decode(message)?;
                self.when_application_changed(changed, position(message), context, entry)
                    .await
            }
            SUSPENDED => {
                let said: access::AccessSuspended = decode(message)?;
                let ids = [
                    &said.request_id,
                    &said.application_id,
                    &said.identity_provider_id,
                ];
                self.when_suspension_changed(ids, true, position(message), context, entry)
                    .await
            }
            RESUMED => {
                let said: access::AccessResumed = decode(message)?;
                let ids = [
                    &said.request_id,
                    &said.application_id,
                    &said.identity_provider_id,
                ];
                self.when_suspension_changed(ids, false, position(message), context, entry)
                    .await
            }
            CLIENT_TYPE_CHANGED => {
                self.when_client_type_changed(decode(message)?, context)
                    .await
            }
            _ => match catalogue_change(message)? {
                Some(change) => self.when_catalogue_changed(change, context, entry).await,
                None => Ok(()),
            },
        }
    }
}

/// `None` where the message says nothing of a product or plan.
fn catalogue_change(message: &Message) -> Result<Option<CatalogueChange>, PolicyError> {
    let product = |product: Option<catalog::Product>| {
        product.map(|product| CatalogueChange::Product(product.into()))
    };
    Ok(match message.subject.as_str() {
        PRODUCT_PUBLISHED => product(decode::<catalog::ProductPublished>(message)?.product),
        PRODUCT_CHANGED => product(decode::<catalog::ProductChanged>(message)?.product),
        PRODUCT_DELETED => Some(CatalogueChange::ProductDeleted {
            product_id: decode::<catalog::ProductDeleted>(message)?.product_id,
        }),
        PLAN_CHANGED => {
            let plan = decode::<catalog::PlanChanged>(message)?.plan;
            plan.map(|plan| CatalogueChange::Plan(plan.into()))
        }
        other => return Err(PolicyError::Poison(format!("nobody asked for {other}"))),
    })
}

impl Policies {
    async fn when_access_approved(
        &self,
        approved: access::AccessApproved,
        as_of: i64,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let granted = granted(approved, as_of)?;
        let application = granted.application_id;
        let entries: BTreeSet<Uuid> = granted
            .items
            .iter()
            .flat_map(|item| [&item.product_id, &item.plan_id])
            .filter_map(|id| id.parse().ok())
            .collect();
        let client = OauthClient::id(application, granted.identity_provider_id);
        self.once::<OauthClient>(client, &Command::Grant(granted), context, entry)
            .await?;
        // A change that was handled before there was this client: it has been noted, and is newer.
        let known = self
            .store
            .load::<KnownApplication>(application)
            .await?
            .state;
        if let Some(newest) = known.newest {
            self.change(client, newest, context).await?;
        }
        for entry in entries {
            // A change that was handled before there was anything that it concerns.
            let known = self.store.load::<KnownEntry>(entry).await?.state;
            if let Some(newest) = known.newest {
                self.follow(client, newest, context).await?;
            }
        }
        Ok(())
    }

    /// Notes the change first, then tells the clients that have it: one that is granted meanwhile finds the note.
    async fn when_catalogue_changed(
        &self,
        change: CatalogueChange,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let subject = id("id", change.subject())?;
        self.once::<KnownEntry>(subject, &Note(change.clone()), context, entry)
            .await?;
        let clients = view::streams_of_catalogue(self.store.database().pool(), subject)
            .await
            .map_err(|error: sqlx::Error| PolicyError::Retry(error.to_string()))?;
        for client in clients {
            self.follow(client, change.clone(), context).await?;
        }
        self.keys_follow(subject, &change, context).await
    }

    /// Idempotent: only what is newer has an effect.
    async fn follow(
        &self,
        client: Uuid,
        change: CatalogueChange,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let step = format!("{} version {}", change.subject(), change.version());
        let context = context.step(&step);
        let command = Command::FollowCatalogue(change);
        let done = self
            .store
            .execute::<OauthClient>(client, &command, &context)
            .await;
        done.map(drop).map_err(failed)
    }

    async fn when_access_revoked(
        &self,
        revoked: access::AccessRevoked,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let application_id = id("application_id", &revoked.application_id)?;
        let identity_provider_id = id("identity_provider_id", &revoked.identity_provider_id)?;
        let client = OauthClient::id(application_id, identity_provider_id);
        let command = Command::Withdraw {
            request_id: id("request_id", &revoked.request_id)?,
            application_id,
            identity_provider_id,
        };
        self.once::<OauthClient>(client, &command, context, entry)
            .await
    }

    /// Of the request, the application and the provider.
    async fn when_suspension_changed(
        &self,
        ids: [&String; 3],
        suspended: bool,
        as_of: i64,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let [request, application, provider] = ids;
        if provider.is_empty() {
            return self
                .when_key_suspension_changed(request, suspended, as_of, context, entry)
                .await;
        }
        let application_id = id("application_id", application)?;
        let identity_provider_id = id("identity_provider_id", provider)?;
        let command = Command::SuspendGrant {
            request_id: id("request_id", request)?,
            application_id,
            identity_provider_id,
            suspended,
            as_of,
        };
        let client = OauthClient::id(application_id, identity_provider_id);
        self.once::<OauthClient>(client, &command, context, entry)
            .await
    }

    /// Idempotent: a client that follows already is not told again by the same message.
    async fn when_client_type_changed(
        &self,
        changed: registration::ClientTypeChanged,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let client_type_id = id("client_type_id", &changed.client_type_id)?;
        let provider = id("identity_provider_id", &changed.identity_provider_id)?;
        let pool = self.store.database().pool();
        let clients = view::streams_of_type(pool, provider, client_type_id)
            .await
            .map_err(|error: sqlx::Error| PolicyError::Retry(error.to_string()))?;
        let command = Command::FollowType { client_type_id };
        for client in clients {
            let step = context.step(&format!("client type of {client}"));
            let told = self
                .store
                .execute::<OauthClient>(client, &command, &step)
                .await;
            told.map_err(failed)?;
        }
        Ok(())
    }

    async fn when_access_retried(
        &self,
        retried: access::AccessRetried,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let application_id = id("application_id", &retried.application_id)?;
        let provider = id("identity_provider_id", &retried.identity_provider_id)?;
        let command = Command::Retry {
            request_id: id("request_id", &retried.request_id)?,
        };
        let client = OauthClient::id(application_id, provider);
        self.once::<OauthClient>(client, &command, context, entry)
            .await
    }

    /// Notes the change first, then tells the clients there are: one that is granted meanwhile finds the note.
    async fn when_application_changed(
        &self,
        changed: access::ApplicationChanged,
        as_of: i64,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let id = id("application_id", &changed.application_id)?;
        let application = Application {
            name: changed.name,
            redirect_urls: changed.redirect_urls,
            as_of,
            suspended: changed.suspended,
        };
        self.once::<KnownApplication>(id, &application::Note(application.clone()), context, entry)
            .await?;
        let clients = view::streams_of_application(self.store.database().pool(), id)
            .await
            .map_err(|error: sqlx::Error| PolicyError::Retry(error.to_string()))?;
        for client in clients {
            self.change(client, application.clone(), context).await?;
        }
        self.keys_follow_application(id, &application, context)
            .await
    }

    /// Idempotent: only what is newer has an effect.
    async fn change(
        &self,
        client: Uuid,
        application: Application,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let step = context.step(&format!("application as of {}", application.as_of));
        let command = Command::ChangeApplication(application);
        match self
            .store
            .execute::<OauthClient>(client, &command, &step)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    async fn once<A: Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        match self
            .store
            .execute_once::<A>(id, command, context, entry)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed<R: std::error::Error>(error: ExecuteError<R>) -> PolicyError {
    match error {
        ExecuteError::Store(error) => error.into(),
        other => PolicyError::Poison(other.to_string()),
    }
}
